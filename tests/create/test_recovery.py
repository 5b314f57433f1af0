"""What of an interrupted run's .rec is believed, whatever shows that it is what it was."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_pack import recordio
from gpu_pack.recovery import Checkpoint, Crc32, Digest, recover

RECORDS = [recordio.frame_image(key, (0.0,), bytes([key]) * 1000) for key in range(9)]
digests = pytest.mark.parametrize("new_digest", [hashlib.sha256, Crc32])


def checkpoint(new_digest: Callable[[], Digest], records: int) -> Checkpoint:
    data = b"".join(RECORDS[:records])
    digest = new_digest()
    digest.update(data)
    return Checkpoint(len(data), digest.hexdigest())


@digests
def test_a_killed_process_leaves_its_whole_records(tmp_path: Path, new_digest: Callable[[], Digest]) -> None:
    path = tmp_path / "x.rec"
    path.write_bytes(b"".join(RECORDS[:7]) + RECORDS[7][:-20])
    written = recover(path, [checkpoint(new_digest, 3)], new_digest, trust_tail=True)
    assert (list(written.keys), written.size) == (list(range(7)), 7 * len(RECORDS[0]))
    assert written.digest.hexdigest() == checkpoint(new_digest, 7).digest
    written.cut(path, 5)
    assert written.digest.hexdigest() == checkpoint(new_digest, 5).digest


@digests
@pytest.mark.parametrize("place", [2500, 5000])
def test_a_power_cut_leaves_what_checkpoints_prove(
    tmp_path: Path, new_digest: Callable[[], Digest], place: int
) -> None:
    path = tmp_path / "x.rec"
    data = bytearray(b"".join(RECORDS))
    data[place] ^= 1
    path.write_bytes(data)
    written = recover(path, [checkpoint(new_digest, count) for count in (2, 4, 6)], new_digest, trust_tail=False)
    good = 2 if place < 4 * len(RECORDS[0]) else 4
    assert list(written.keys) == list(range(good))
    assert written.digest.hexdigest() == checkpoint(new_digest, good).digest


def test_crc32_is_zlibs() -> None:
    digest = Crc32()
    digest.update(b"any ")
    before = digest.copy()
    digest.update(memoryview(b"bytes"))
    assert (before.hexdigest(), digest.hexdigest()) == (f"{zlib.crc32(b'any '):08x}", f"{zlib.crc32(b'any bytes'):08x}")
