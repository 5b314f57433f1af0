"""Which records of an interrupted run's .rec are kept, after a killed process and after a power cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpu_pack import recordio
from gpu_pack.output.checkpoint import Checkpoint, ChecksumName, Journal, new_checksum, recover

RECORDS = [recordio.frame_image(key, (0.0,), bytes([key]) * 1000) for key in range(9)]
both = pytest.mark.parametrize("name", ["sha256", "xxh3_128"])


def checkpoint(name: ChecksumName, records: int) -> Checkpoint:
    data = b"".join(RECORDS[:records])
    checksum = new_checksum(name)
    checksum.update(data)
    return Checkpoint(len(data), checksum.hexdigest())


@both
def test_a_killed_process_leaves_its_whole_records(tmp_path: Path, name: ChecksumName) -> None:
    path = tmp_path / "x.rec"
    path.write_bytes(b"".join(RECORDS[:7]) + RECORDS[7][:-20])
    state = recover(path, [checkpoint(name, 3)], name, trust_tail=True)
    assert (list(state.keys), state.size) == (list(range(7)), 7 * len(RECORDS[0]))
    assert state.checksum.hexdigest() == checkpoint(name, 7).digest
    state.cut(path, 5)
    assert state.checksum.hexdigest() == checkpoint(name, 5).digest


@both
@pytest.mark.parametrize("place", [2500, 5000])
def test_a_power_cut_leaves_what_checkpoints_prove(tmp_path: Path, name: ChecksumName, place: int) -> None:
    path = tmp_path / "x.rec"
    data = bytearray(b"".join(RECORDS))
    data[place] ^= 1
    path.write_bytes(data)
    state = recover(path, [checkpoint(name, count) for count in (2, 4, 6)], name, trust_tail=False)
    good = 2 if place < 4 * len(RECORDS[0]) else 4
    assert list(state.keys) == list(range(good))
    assert state.checksum.hexdigest() == checkpoint(name, good).digest


@both
def test_two_swapped_pages_are_noticed(tmp_path: Path, name: ChecksumName) -> None:
    """A file system may write pages in any order: a sum of words would not see these two change places."""
    path = tmp_path / "x.rec"
    pages = [bytes([number]) * 4096 for number in range(4)]
    whole = recordio.frame_image(0, (0.0,), b"".join(pages))
    swapped = bytearray(whole)
    swapped[4096:8192], swapped[8192:12288] = whole[8192:12288], whole[4096:8192]
    assert swapped != whole
    path.write_bytes(swapped)
    checksum = new_checksum(name)
    checksum.update(whole)
    assert recover(path, [Checkpoint(len(whole), checksum.hexdigest())], name, trust_tail=False).size == 0


def test_a_journal_is_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "x.checkpoints")
    assert (journal.checkpoints, journal.same_boot) == ([], False)
    journal.restart(0)
    for size in (100, 200, 300):
        journal.add(Checkpoint(size, f"digest {size}"))
    again = Journal(tmp_path / "x.checkpoints")
    assert [point.size for point in again.checkpoints] == [100, 200, 300]
    again.restart(200)
    assert Journal(tmp_path / "x.checkpoints").checkpoints == [(100, "digest 100"), (200, "digest 200")]


def test_a_line_that_was_cut_off_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "x.checkpoints"
    journal = Journal(path)
    journal.restart(0)
    journal.add(Checkpoint(100, "digest"))
    with path.open("ab") as file:
        file.write(b"[99")
    assert Journal(path).checkpoints == [(100, "digest")]


def test_a_restart_of_the_system_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.checkpoints"
    path.write_bytes(json.dumps("another boot").encode() + b'\n[100, "digest"]\n')
    journal = Journal(path)
    assert (journal.same_boot, journal.checkpoints) == (False, [(100, "digest")])
