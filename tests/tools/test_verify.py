"""verify: no faults in intact datasets, and a fault for all damage."""

from __future__ import annotations

import json
import os
import random
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

import gpu_pack
from gpu_pack.errors import SourceError, UsageError
from gpu_pack.formats.salvage_scan import Damage, salvage_scan
from gpu_pack.recordio import frame, frame_image, read_index, scanning
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.verify import Verification, VerifyOptions, verify
from gpu_pack.types import Progress
from tests.tools.datasets import FILES, faults_of, gray_square, offsets, replace_record


def _check(*paths: Path, decode: bool = True) -> Verification:
    return verify(paths, decode=decode, workers=2)


def test_an_intact_dataset_has_no_faults_and_every_record_is_counted(dataset: Path) -> None:
    result = _check(dataset)
    assert (result.faults, result.notes) == ([], [])
    assert (result.files, result.records) == (4, 16)


def test_one_file_of_a_dataset_is_compared_with_the_manifest_beside_it(dataset: Path) -> None:
    path = dataset / "train-00000-of-00002.rec"
    assert _check(path).ok
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert "sha256" in faults_of(_check(path)) or "padding" in faults_of(_check(path))


def test_a_rec_without_manifest_is_intact_too_and_a_note_tells_what_cannot_be_seen(record: Path) -> None:
    result = _check(record)
    assert result.ok
    assert [note["code"] for note in result.notes] == ["no-manifest", "no-index"] and not result.warnings


@pytest.mark.parametrize("name", FILES)
def test_any_flipped_bit_shows(dataset: Path, name: str) -> None:
    path = dataset / name
    data = path.read_bytes()
    chosen = random.Random(name)
    for number in range(8):  # every bit once, each in another eighth of the file
        bit, begin = 1 << number, number * len(data) // 8
        position = begin + chosen.randrange(max(1, len(data) // 8))
        path.write_bytes(data[:position] + bytes([data[position] ^ bit]) + data[position + 1 :])
        assert not _check(dataset, decode=False).ok, f"{name}: bit {bit} of byte {position}"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-7], lambda data: data + b"\0" * 8])
def test_a_file_that_is_empty_or_cut_or_longer_shows(
    dataset: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    (dataset / name).write_bytes(damage((dataset / name).read_bytes()))
    assert not _check(dataset, decode=False).ok


@pytest.mark.parametrize("name", [name for name in FILES if name != "manifest.json"])
def test_a_missing_file_is_named(dataset: Path, name: str) -> None:
    (dataset / name).unlink()
    found = [fault.file for fault in _check(dataset).faults]
    assert str(dataset / name) in found
    if name in ("classes.txt", "rejects.jsonl"):  # two checks want them; that is no second fault
        assert found == [str(dataset / name)]


def test_progress_counts_bytes_and_ends_at_the_total(dataset: Path) -> None:
    states: list[Progress] = []
    (dataset / "classes.txt").write_bytes(b"one\n")
    verify(dataset, workers=1, on_progress=lambda state: states.append(replace(state)))
    total = sum(path.stat().st_size for path in dataset.glob("*.rec"))
    assert (states[-1].done, states[-1].total, states[-1].unit) == (total, total, "bytes")
    assert states[-1].rejected == 2 and states[-1].detail == "16 records"


def test_options_are_keywords_or_an_object_and_checked_either_way(dataset: Path) -> None:
    assert not verify(dataset, options=VerifyOptions(decode=False)).decoded
    assert not verify(str(dataset), decode=False).decoded
    for workers in (0, 1025):
        with pytest.raises(UsageError, match="workers="):
            verify(dataset, workers=workers)
    with pytest.raises(UsageError, match="not both"):
        verify(dataset, workers=2, options=VerifyOptions(decode=False))


def test_the_json_has_ok_first_and_every_field(dataset: Path) -> None:
    (dataset / "more.rec").write_bytes(b"")
    found = json.loads(json.dumps(_check(dataset).to_json()))
    names = ["ok", "files", "records", "metadata", "bytes", "decoded", "notes", "warnings", "faults", "fault_count"]
    assert list(found) == [*names, "seconds"] and found["ok"] is False
    assert found["faults"] == [
        {"file": str(dataset / "more.rec"), "what": "the manifest beside it does not know this file"}
    ]


# ---- faults are named by place


def test_after_a_damaged_record_the_later_faults_are_found_too(record: Path) -> None:
    begins = offsets(record)
    data = bytearray(record.read_bytes())
    data[begins[1]] ^= 1  # a magic number
    data[begins[3] + 8 + 24 : begins[3] + 8 + 26] = b"no"  # the start of an image
    record.write_bytes(data)
    result = _check(record)
    assert [fault.offset for fault in result.faults] == [begins[1], begins[3]]
    assert result.records == len(begins) - 1
    assert f"byte {begins[2]}" in result.faults[0].what


def test_a_length_that_swallows_the_next_record_is_told(record: Path) -> None:
    begins = offsets(record)
    data = bytearray(record.read_bytes())
    data[begins[0] + 4 : begins[0] + 8] = struct.pack("<I", begins[2] - begins[0] - 8)
    record.write_bytes(data)
    result = _check(record)
    assert "should have split it" in faults_of(result)
    assert result.records == len(begins), "the one that was swallowed is read too"


def test_a_record_cut_short_is_told_with_its_offset(record: Path) -> None:
    last = offsets(record)[-1]
    record.write_bytes(record.read_bytes()[:-40])
    (fault,) = _check(record).faults
    assert fault.offset == last
    assert "cut short" in fault.what


@pytest.mark.parametrize(
    ("labels", "data", "what"),
    [
        ((7.0,), gray_square(), "none of the 2 classes"),
        ((0.5,), gray_square(), "none of the 2 classes"),
        ((float("nan"),), gray_square(), "not finite"),
        ((0.0, 1.0), gray_square(), "label is another one"),
        ((0.0,), gray_square(25, 24), "promises squares"),
        ((0.0,), gray_square(30, 30), "promises 24 x 24"),
        ((0.0,), gray_square()[:-2], "cut short"),
        ((0.0,), cv2.imencode(".png", np.zeros((24, 24, 3), np.uint8))[1].tobytes(), "promises jpg"),
        ((0.0,), cv2.imencode(".jpg", np.zeros((24, 24), np.uint8))[1].tobytes(), "has 1 channels"),
        ((0.0,), b"", "empty"),
    ],
)
def test_a_record_that_breaks_a_promise_is_named_by_key_and_offset(
    dataset: Path, labels: tuple[float, ...], data: bytes, what: str
) -> None:
    path = dataset / "train-00001-of-00002.rec"
    key, offset = list(read_index(path.with_suffix(".idx")))[2]
    replace_record(path, 2, labels, data)
    named = [fault for fault in _check(dataset, decode=False).faults if what in fault.what]
    assert named and named[0].key == key
    assert named[0].offset in (offset, None)  # a list's fault has a line instead
    assert named[0].offset is not None or named[0].line is not None


def test_a_picture_that_looks_whole_but_does_not_decode_shows_only_when_it_is_decoded(record: Path) -> None:
    picture = bytearray(gray_square())
    at = picture.index(b"\xff\xc4") + 5  # a Huffman table with more codes than bits allow
    picture[at : at + 16] = b"\xff" * 16
    record.write_bytes(frame_image(1, (0.0,), bytes(picture)))
    assert "cannot decode" in faults_of(_check(record))
    assert _check(record, decode=False).ok


def test_no_upscale_and_no_crop_are_promises_too(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, (width, height) in {"small": (10, 12), "large": (90, 60), "tall": (40, 70)}.items():
        (source / f"{name}.png").write_bytes(cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1].tobytes())
    for number, spec in enumerate(
        (
            gpu_pack.TransformSpec(size=32, crop=False),
            gpu_pack.TransformSpec(size=32, upscale=False),
            gpu_pack.TransformSpec(size=32, crop=False, upscale=False, encoding="png", quality=3),
            gpu_pack.TransformSpec(size=None, crop=False, color="gray"),
            gpu_pack.TransformSpec(pass_through=True),
        )
    ):
        options = gpu_pack.CreateOptions(spec=spec, device=gpu_pack.DeviceOptions("cpu", workers=1))
        gpu_pack.create(source, tmp_path / str(number), options)
        assert faults_of(_check(tmp_path / str(number))) == ""


# ---- .idx and .lst


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda lines: lines[1:], "no line leads to the record"),
        (lambda lines: [*lines, lines[0]], "an earlier line leads"),
        (lambda lines: ["5\t3\n", *lines[1:]], "no whole record begins at byte 3"),
        (lambda lines: ["5 0\n", *lines[1:]], "not key<TAB>offset"),
        (lambda lines: [*lines, "1\t99999999999999999999\n"], "not key<TAB>offset"),
        (lambda lines: [*lines, f"{1 << 70}\t0\n"], "not key<TAB>offset"),
        (lambda lines: [*lines, "9" * 1000 + "\t0\n"], "not key<TAB>offset"),
        (lambda lines: [lines[1].split("\t")[0] + "\t" + lines[0].split("\t")[1], *lines[1:]], "the same key"),
        (lambda lines: [], "it is empty"),
    ],
)
def test_an_index_that_misleads_is_told(
    dataset: Path, record: Path, edit: Callable[[list[str]], list[str]], what: str
) -> None:
    lines = (dataset / "train-00000-of-00002.idx").read_text().splitlines(keepends=True)
    index = record.with_suffix(".idx")
    index.write_text("".join(lines), newline="\n")
    assert _check(record).ok
    index.write_text("".join(edit(lines)), newline="\n")
    assert what in faults_of(_check(record))


def test_ids_and_keys_agree_in_a_published_dataset(dataset: Path) -> None:
    index = dataset / "train-00000-of-00002.idx"
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join(["777\t" + lines[0].split("\t")[1], *lines[1:]]), newline="\n")
    assert "has the key" in faults_of(_check(dataset))


def test_an_index_renumbered_from_0_or_in_another_order_is_right(dataset: Path, record: Path) -> None:
    entries = list(read_index(dataset / "train-00000-of-00002.idx"))
    for lines in ([(row, offset) for row, (_, offset) in enumerate(entries)], entries[::-1]):
        record.with_suffix(".idx").write_text("".join(f"{key}\t{offset}\n" for key, offset in lines), newline="\n")
        assert _check(record).ok


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda lines: [*lines[:-1]], "is not listed"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "comes before"),
        (lambda lines: [*lines, lines[0]], "the same key"),
        (lambda lines: [*lines, "99\t0\tnobody.jpg\n"], "neither a record nor among the rejects"),
        (
            lambda lines: [re.sub(r"\t(\d)\t", lambda found: f"\t{1 - int(found[1])}\t", lines[0]), *lines[1:]],
            "another",
        ),
        (lambda lines: [*lines, "key\tlabel\tpath\n"], "no whole number"),
    ],
)
def test_a_list_that_differs_from_the_records_is_told(
    dataset: Path, edit: Callable[[list[str]], list[str]], what: str
) -> None:
    path = dataset / "train-00001-of-00002.lst"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if "torn" not in line]
    path.write_text("".join(edit(lines)), encoding="utf-8", newline="\n")
    assert what in faults_of(_check(dataset))


def test_rejects_are_part_of_the_account(dataset: Path) -> None:
    path = dataset / "rejects.jsonl"
    (line,) = path.read_bytes().splitlines()
    value = json.loads(line)
    for text in (b"", b"[" * 100_000, b"{}", line + b"\n" + line, json.dumps(value | {"stage": "lunch"}).encode()):
        path.write_bytes(text + b"\n")
        assert "rejects.jsonl" in faults_of(_check(dataset, decode=False)), text[:50]


def test_a_rec_that_the_manifest_does_not_know_is_told(dataset: Path) -> None:
    (dataset / "more.rec").write_bytes(frame_image(0, (0.0,), gray_square()))
    assert "does not know this file" in faults_of(_check(dataset))


# ---- hostile


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 5_000_000,
        b'{"format": ' + b"9" * 100_000 + b"}",
        b'{"format": 1, "files": {"../../x": {"bytes": 1, "sha256": ""}}}',
        b"null",
        b"\xff\xfe",
        b'{"format": 2}',
    ],
)
def test_a_manifest_made_to_hurt_is_one_fault_and_the_records_are_looked_at_all_the_same(
    dataset: Path, text: bytes
) -> None:
    (dataset / "manifest.json").write_bytes(text)
    result = _check(dataset, decode=False)
    assert [fault.file for fault in result.faults] == [str(dataset / "manifest.json")]
    assert result.records == 16


def test_names_in_a_manifest_cannot_lead_out_of_the_folder(dataset: Path) -> None:
    path = dataset / "manifest.json"
    for name in ("../secret", "/etc/passwd", "a\\\\b", "C:x", ".."):
        found = path.read_text(encoding="utf-8")
        path.write_text(found.replace('"classes.txt"', f'"{name}"'), encoding="utf-8")
        assert "no plain file name" in faults_of(_check(dataset, decode=False))
        path.write_text(found, encoding="utf-8")


@pytest.mark.parametrize(
    "data",
    [
        b"junk",
        frame(struct.pack("<IfQQ", 0xFFFFFFFF, 0, 1, 0) + b"x" * 40),
        frame(struct.pack("<IfQQ", scanning.MAX_LABELS + 1, 0, 1, 0) + bytes(4 * scanning.MAX_LABELS + 8)),
        frame(b"short"),
        struct.pack("<II", 0xCED7230A, (1 << 29) - 1),
        struct.pack("<II", 0xCED7230A, 1 << 29) + struct.pack("<II", 0xCED7230A, 2 << 29) * 1000,
        struct.pack("<II", 0xCED7230A, 1 << 29 | 8000) * 2000,
        b"",
    ],
)
def test_a_rec_made_to_hurt_is_a_listed_fault(record: Path, data: bytes) -> None:
    record.write_bytes(data)
    result = _check(record)
    assert result.ok == (data == b"")
    assert result.records == 0


def test_a_record_of_endless_parts_is_given_up(record: Path) -> None:
    record.write_bytes(struct.pack("<II", 0xCED7230A, 1 << 29) + struct.pack("<II", 0xCED7230A, 2 << 29) * 3_000)
    with RecFile(record, whole=True, max_reads=1_000) as file:
        (damage,) = salvage_scan(file, payloads=True)
        assert file.reads < 10_000
    assert isinstance(damage, Damage) and "over 500 parts" in damage.reason


def test_overlapping_false_starts_do_not_cost_the_square_of_the_size(record: Path) -> None:
    # Each of 4,000 first parts leads into one chain of 2,000 middle parts that ends in nothing.
    heads = b"".join(struct.pack("<II", 0xCED7230A, 1 << 29 | (4_000 - number) * 8 - 8) for number in range(4_000))
    record.write_bytes(heads + struct.pack("<II", 0xCED7230A, 2 << 29) * 2_000)
    with RecFile(record, whole=True) as file:
        (damage,) = salvage_scan(file, payloads=True, max_wasted=5_000)
        assert file.reads < 10_000
    assert isinstance(damage, Damage) and "too many false starts" in damage.reason


def test_a_sparse_file_of_a_terabyte_takes_no_time(record: Path) -> None:
    if not hasattr(os, "SEEK_DATA"):
        pytest.skip("this system does not tell where holes are")
    size = record.stat().st_size
    with record.open("r+b") as file:
        try:
            file.truncate(1 << 40)
        except OSError:
            pytest.skip("this file system has no sparse files of that size")
    result = _check(record, decode=False)
    assert [fault.offset for fault in result.faults] == [size]
    assert result.records == 6


def test_a_million_junk_lines_are_given_up(record: Path) -> None:
    for suffix in (".idx", ".lst"):
        record.with_suffix(suffix).write_bytes(b"junk\n" * 1_000_000)
    result = _check(record, decode=False)
    assert result.fault_count < 5_000
    assert "the rest was not read" in faults_of(result)


def test_what_cannot_be_looked_at_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        _check(tmp_path / "nothing")
    with pytest.raises(SourceError, match=r"no \.rec file in this folder"):
        _check(tmp_path)
    (tmp_path / "folder.rec").mkdir()
    assert "not a plain file" in faults_of(_check(tmp_path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
@pytest.mark.parametrize("suffix", [".rec", ".idx", ".lst"])
def test_a_fifo_does_not_hang(record: Path, suffix: str) -> None:
    record.with_suffix(suffix).unlink(missing_ok=True)
    os.mkfifo(record.with_suffix(suffix))
    assert "not a plain file" in faults_of(_check(record))


def test_intact_datasets_of_every_kind_have_no_faults(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(6):
        (root / f"{number}.jpg").write_bytes(gray_square())
    device = gpu_pack.DeviceOptions("cpu", workers=1)
    half = gpu_pack.Division((("a", Fraction(1, 3)), ("b", Fraction(1, 3))))
    lists = {
        "several labels": ["0.1", "1\t2\t3", "-0\t7", "-0", "16777216", "-5.5\t0"],
        "one label": ["0.1", "0.3", "-0", "1e-40", "12345.678", "-16777216"],
    }
    for name, labels in lists.items():
        path = tmp_path / f"{name}.lst"
        keys = (1 << 63) + 5, 0, 7, 3, (1 << 64) - 1, 12
        rows = zip(keys, labels, range(6), strict=True)
        path.write_text("".join(f"{key}\t{label}\t{row}.jpg\n" for key, label, row in rows))
        for number, division in enumerate((half, gpu_pack.Division(shards=2))):
            out = tmp_path / f"{name} {number}"
            gpu_pack.create(path, out, gpu_pack.CreateOptions(device=device, division=division), root=root)
            assert faults_of(_check(out)) == ""
    (root / "tab\there.jpg").write_bytes(gray_square())
    gpu_pack.create(root, tmp_path / "folder", gpu_pack.CreateOptions(device=device, division=half))
    assert faults_of(_check(tmp_path / "folder")) == ""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is permitted here")
@pytest.mark.parametrize("suffix", [".rec", ".idx", ".lst"])
def test_a_file_that_may_not_be_read_is_named(record: Path, suffix: str) -> None:
    path = record.with_suffix(suffix)
    path.touch()
    path.chmod(0)
    assert f"{path}: cannot be read" in faults_of(_check(record))
