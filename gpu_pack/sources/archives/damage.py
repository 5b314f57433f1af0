"""What is said of a tar that is damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpu_pack.formats.notices import Notice
from gpu_pack.sources.archives.plain_tar import PlainTar
from gpu_pack.sources.archives.tar_header import BLOCK
from gpu_pack.sources.archives.tar_walk import Damage

#: Of a compressed file's end that hold checksums alone: gzip's 8, bzip2's 10, xz's index; as a step of decompressing.
_CHECKSUM_BYTES = 1 << 10


def damage_notices(tar: PlainTar, damage: Sequence[Damage], mean: int) -> Iterator[Notice]:
    """One warning for an archive, with the first damage as its example.

    Args:
        tar: the archive.
        damage: what was passed over in it.
        mean: bytes of an average member, by which it is estimated how many members may be lost.
    """
    fault = tar.stream.fault if tar.stream is not None else ""
    if not damage and not fault:
        return
    lost = sum(max(1, round(each.size / (mean + BLOCK))) for each in damage)
    if not damage and tar.stream is not None and tar.stream.left > _CHECKSUM_BYTES:
        lost = 1  # the archive seems to be whole, but another one may lie behind it
    passed = sum(each.size for each in damage)
    reason = fault or f"{damage[0].reason} at byte {damage[0].offset - tar.start:,}"
    yield Notice("archive-damaged", lost, f"{tar.shown}, where {reason}; {passed:,} bytes were passed over")
