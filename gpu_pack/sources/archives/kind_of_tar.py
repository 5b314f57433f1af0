"""Whether a file is a tar, compressed or not, and whether that holds WebDataset's samples."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from gpu_pack.sources.archives.compression import Decompressed, ForwardFile, compression_of
from gpu_pack.sources.archives.sample_labels import JSON_FIELDS, MOST_BYTES, read_json, split_name
from gpu_pack.sources.archives.tar_header import BLOCK, parse_header
from gpu_pack.sources.archives.tar_search import ReadAt
from gpu_pack.sources.archives.tar_walk import TarMember, TarWalk
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.tree import IMAGE_SUFFIXES
from gpu_pack.stores.store import OpenFile

#: Looked at: some samples of several files each.
_MEMBERS = 32
#: Of what has to be decompressed.
_MOST_DECOMPRESSED = 32 << 20


def kind_of_tar(path: str, file: OpenFile, options: SourceOptions) -> str | None:
    """``tar`` or ``webdataset``; None where it begins with no header of a tar.

    Raises:
        SourceError: it cannot be read, or is compressed in a way that needs a package that is not there.
    """
    read_at: ReadAt = file.read_at
    end: int | None = file.stat.size
    if compression_of(read_at(0, 6)):
        read_at = ForwardFile(iter(Decompressed(path, read_at, 0, file.stat.size))).read_at
        end = None
    first = read_at(0, BLOCK)
    if len(first) < BLOCK or (any(first) and parse_header(first) is None):
        return None
    if not any(first):  # an empty tar, or any other file that begins with zeros
        return None
    if options.label_key is not None or options.image_key is not None:
        return "webdataset"
    most = _MOST_DECOMPRESSED if end is None else end
    return "webdataset" if _has_samples(islice(TarWalk(read_at, end), _MEMBERS), read_at, most) else "tar"


def _has_samples(members: Iterable[TarMember], read_at: ReadAt, most: int) -> bool:
    """Whether an image shares its name up to the first dot with a ``.cls``, or a ``.json`` that has a label."""
    images: set[str] = set()
    labels: set[str] = set()
    for member in members:
        key, ending = split_name(member.name)
        if member.kind == "file" and ending in IMAGE_SUFFIXES:
            images.add(key)
        elif member.kind == "file" and _tells_label(member, ending, read_at):
            labels.add(key)
        if not images.isdisjoint(labels):
            return True
        if member.offset + member.size > most:
            break
    return False


def _tells_label(member: TarMember, ending: str, read_at: ReadAt) -> bool:
    if ending != "json":
        return ending == "cls"
    if "/" not in member.name.removeprefix("./"):
        return True  # no class folder tells it, and what else would
    return not set(JSON_FIELDS).isdisjoint(read_json(read_at(member.offset, min(member.size, MOST_BYTES))))
