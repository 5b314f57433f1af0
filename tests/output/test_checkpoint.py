"""What of an interrupted run's .rec is believed, whatever shows that it is what it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_pack import recordio
from gpu_pack.output.checkpoint import Checkpoint, Digest, Sum32, recover

RECORDS = [recordio.frame_image(key, (0.0,), bytes([key]) * 1000) for key in range(9)]
digests = pytest.mark.parametrize("new_digest", [hashlib.sha256, Sum32])


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


@given(st.binary(), st.lists(st.integers(0, 99)))
def test_sum32_is_the_sum_of_the_words_however_they_come(data: bytes, cuts: list[int]) -> None:
    digest = Sum32()
    begin = 0
    for cut in sorted(cuts):
        digest.update(memoryview(data)[begin:cut])
        digest = digest.copy()
        begin = max(begin, cut)
    digest.update(data[begin:])
    words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
    assert digest.hexdigest() == f"{sum(words) % 2**32:08x}"
