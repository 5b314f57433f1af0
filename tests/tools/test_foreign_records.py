"""The tools on .rec files that others wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from gpu_pack.recordio import frame, frame_image
from gpu_pack.tools.extract import extract
from gpu_pack.tools.faults import ToolReport
from gpu_pack.tools.index import index
from gpu_pack.tools.inspect import inspect
from gpu_pack.tools.verify import verify
from tests.folders import Run
from tests.tools.datasets import faults_of, gray_square, offsets, smooth_jpeg
from tests.tools.foreign_records import PICTURES, entries, insightface, joined, protobuf, without_ids, write_rec

check = partial(verify, workers=2)


def codes(report: ToolReport) -> list[str]:
    return [each["code"] for each in report.warnings + report.notes]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- the .idx decides


def test_keys_come_from_the_index_whatever_the_ids_are(tmp_path: Path) -> None:
    rec = without_ids(tmp_path / "f" / "train.rec")
    assert faults_of(check(rec)) == "" and codes(check(rec)) == ["no-manifest"]
    assert [record.key for record in inspect(rec, first=6).first] == list(range(10, 16))
    result = extract(rec, tmp_path / "dest", keys=[13], layout="flat")
    assert result.ok and files(tmp_path / "dest") == {"13.jpg": smooth_jpeg(3)}


def test_a_list_follows_the_keys_of_the_index(tmp_path: Path) -> None:
    rec = without_ids(tmp_path / "f" / "train.rec")
    lines = [f"{10 + number}\t{number % 2}\ta/{number}.jpg\n" for number in range(6)]
    rec.with_suffix(".lst").write_text("".join(lines))
    assert faults_of(check(rec)) == ""
    extract(rec, tmp_path / "dest")
    assert files(tmp_path / "dest") == {f"{number}.jpg": smooth_jpeg(number) for number in range(6)}
    rec.with_suffix(".lst").write_text("".join(lines).replace("10\t0", "10\t1"))
    assert "label is another one" in faults_of(check(rec))


def test_index_keeps_the_keys_of_a_good_index(tmp_path: Path) -> None:
    rec = without_ids(tmp_path / "train.rec")
    before = entries(rec)
    (result,) = index(rec, overwrite=True)
    assert result.ok and entries(rec) == before
    (result,) = index(rec, overwrite=True, rekey=True)
    assert result.ok and [key for key, _ in entries(rec)] == list(range(6))
    assert check(rec).ok


def test_ids_that_repeat_get_no_index_without_rekey(tmp_path: Path) -> None:
    rec = without_ids(tmp_path / "train.rec")
    idx = rec.with_suffix(".idx")
    lines = idx.read_text().splitlines(keepends=True)
    idx.write_text("".join(lines[:-2]))  # two records have only their ids, which repeat
    (result,) = index(rec, overwrite=True)
    assert not result.ok and not result.written and "--rekey --overwrite" in faults_of(result)
    assert idx.read_text() == "".join(lines[:-2])


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_index_beside_records_is_an_error(tmp_path: Path, text: str) -> None:
    rec = without_ids(tmp_path / "f" / "train.rec")
    rec.with_suffix(".idx").write_text(text)
    for report in (check(rec), inspect(rec), extract(rec, tmp_path / "dest")):
        assert [fault.file for fault in report.faults] == [str(rec.with_suffix(".idx"))]
        assert "it is empty" in faults_of(report)
    (result,) = index(rec, rekey=True, overwrite=True)
    assert result.ok and check(rec).ok


# ---- joined files


def test_joined_files_are_read_whole_with_a_warning(tmp_path: Path) -> None:
    rec = joined(tmp_path / "c" / "train.rec")
    result = check(rec)
    assert result.ok and result.records == 6
    assert [(warning["code"], warning["count"]) for warning in result.warnings] == [("repeated-keys", 3)]
    shown = inspect(rec, first=6)
    assert [record.key for record in shown.first] == list(range(6)) and codes(shown) == ["repeated-keys"]
    taken = extract(rec, tmp_path / "dest", layout="flat", keys=[4])
    assert files(tmp_path / "dest") == {"4.jpg": smooth_jpeg(1)} and codes(taken) == ["repeated-keys"]


def test_rekey_numbers_joined_files_in_one_go(tmp_path: Path) -> None:
    rec = joined(tmp_path / "train.rec")
    (result,) = index(rec)
    assert not result.ok and not result.written and not rec.with_suffix(".idx").exists()
    assert "`gpu-pack index --rekey`" in faults_of(result)
    (result,) = index(rec, rekey=True)
    assert result.ok and [key for key, _ in entries(rec)] == list(range(6))
    assert check(rec).ok and codes(check(rec)) == ["no-manifest"]


def test_an_index_with_double_keys_is_a_fault_and_rekey_mends_it(tmp_path: Path) -> None:
    rec = joined(tmp_path / "train.rec")
    lines = [f"{number % 3}\t{offset}\n" for number, offset in enumerate(offsets(rec))]
    rec.with_suffix(".idx").write_text("".join(lines))
    result = check(rec)
    assert result.fault_count == 3 and "--rekey --overwrite" in result.faults[0].what
    assert [fault.line for fault in result.faults] == [4, 5, 6]
    (result_of_index,) = index(rec, overwrite=True)
    assert not result_of_index.written and rec.with_suffix(".idx").read_text() == "".join(lines)
    assert index(rec, rekey=True, overwrite=True)[0].ok and check(rec).ok


# ---- metadata


def test_records_without_a_picture_are_counted_apart(tmp_path: Path) -> None:
    rec = insightface(tmp_path / "f" / "train.rec")
    result = check(rec)
    assert (faults_of(result), result.records, result.metadata) == ("", PICTURES, 4)
    assert sorted(codes(result)) == ["metadata-records", "no-manifest"]
    shown = inspect(rec, first=2)
    assert (shown.records, shown.metadata, shown.identities, shown.formats) == (PICTURES, 4, 3, {"jpeg": 6})
    assert [(record.key, record.labels, record.metadata) for record in shown.first] == [
        (0, [7.0, 10.0], True),
        (1, [0.0], False),
    ]
    assert shown.labels == {"0": 2, "1": 2, "2": 2}


def test_extract_makes_no_file_of_metadata(tmp_path: Path) -> None:
    rec = insightface(tmp_path / "f" / "train.rec")
    result = extract(rec, tmp_path / "dest", layout="flat")
    assert (result.ok, result.written, result.metadata) == (True, PICTURES, 4)
    assert files(tmp_path / "dest").keys() == {f"{key}.jpg" for key in range(1, 7)}
    assert [(note["code"], note["count"]) for note in result.notes] == [("metadata-records", 4)]
    result = extract(rec, tmp_path / "some", keys=[0, 7])
    assert (result.ok, result.written, result.metadata, result.missing) == (True, 0, 2, [])


def test_an_index_leads_to_metadata_too(tmp_path: Path) -> None:
    rec = insightface(tmp_path / "train.rec")
    before = entries(rec)
    rec.with_suffix(".idx").unlink()
    (result,) = index(rec)
    assert (result.ok, result.records, result.metadata, entries(rec)) == (True, 10, 4, before)


@pytest.mark.parametrize(
    ("zero", "ranges", "keys", "what"),
    [
        ((7, 10), ((1, 3), (3, 5), (5, 9)), [9], "not within"),
        ((7, 10), ((0, 3), (3, 5), (5, 7)), [1, 7], "not within"),
        ((7, 10), ((1, 3), (5, 3), (5, 7)), [3, 8], "not within"),
        ((7, 10), ((1, 3), (3.5, 5), (5, 7)), [3, 8], "not within"),
        ((7, 10), ((1, 4), (3, 5), (5, 7)), [7, 8], "begins inside"),
        ((7, 10), ((1, 3), (3, 4), (5, 7)), [4], "belong to no identity"),
        ((7, 10), ((1, 4), (4, 5), (5, 7)), [7], "several labels"),
        ((7, 10), ((1, 3), (3, 7), (7, 7)), [8], "several labels"),
        ((7, 12), ((1, 3), (3, 5), (5, 7)), [10], "2 are missing"),
        ((6, 9), ((1, 3), (3, 5), (5, 6)), [6], "an identity without a picture, and it holds one"),
        ((9, 10), ((1, 3), (3, 5), (5, 7)), [7, 8], "a picture, and it holds none"),
        ((5, 3), ((1, 3), (3, 5), (5, 7)), [0], "cannot be"),
        ((float("inf"), 3), ((1, 3), (3, 5), (5, 7)), [0], "cannot be"),
        ((1e30, 1e30), ((1, 3), (3, 5), (5, 7)), None, "are missing"),
    ],
)
def test_wrong_ranges_are_faults(
    tmp_path: Path, zero: Sequence[float], ranges: Sequence[Sequence[float]], keys: list[int] | None, what: str
) -> None:
    rec = insightface(tmp_path / "train.rec", zero, ranges)
    result = check(rec, decode=False)
    assert what in faults_of(result)
    found = sorted(fault.key for fault in result.faults if fault.key is not None and "finite" not in fault.what)
    assert keys is None or set(found) >= set(keys)
    assert not inspect(rec).ok


def test_an_identity_without_pictures_and_a_header_without_identities_are_right(tmp_path: Path) -> None:
    rec = insightface(tmp_path / "train.rec", (7, 11), ((1, 3), (3, 5), (5, 5), (5, 7)))
    assert faults_of(check(rec)) == ""
    assert faults_of(check(insightface(rec, (7, 7), ()))) == ""


def test_other_metadata_is_no_fault(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [(3, 3, 1.0, gray_square()), (4, 4, 2.0, b""), (0, 0, [1.0, 2.0, 3.0], b"")])
    result = check(rec)
    assert (faults_of(result), result.records, result.metadata) == ("", 1, 2)


# ---- damage


def test_a_good_index_stays_where_the_records_are_damaged(tmp_path: Path) -> None:
    rec = without_ids(tmp_path / "train.rec")
    before, begins, data = entries(rec), offsets(rec), rec.read_bytes()
    for damaged in (data[:-100], data[: begins[2]] + b"junk" + data[begins[2] + 4 :]):
        for rekey in (False, True):
            rec.write_bytes(damaged)
            (result,) = index(rec, overwrite=True, rekey=rekey)
            assert not result.ok and not result.written and entries(rec) == before
            assert "stays as it is" in faults_of(result)


def test_a_record_that_swallows_others_hides_none_of_them(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "train.rec", ((key, key, 0, smooth_jpeg(key)) for key in range(6)))
    before, begins = entries(rec), offsets(rec)
    data = bytearray(rec.read_bytes())
    data[begins[1] + 4 : begins[1] + 8] = (begins[4] - begins[1] - 8).to_bytes(4, "little")
    rec.write_bytes(data)
    (result,) = index(rec, overwrite=True)
    assert not result.ok and entries(rec) == before
    rec.with_suffix(".idx").unlink()
    (result,) = index(rec)
    assert not result.ok and entries(rec) == before
    taken = extract(rec, tmp_path / "dest")
    assert taken.written == 6 and not taken.ok


def test_records_without_an_id_are_not_left_out(tmp_path: Path) -> None:
    rec = tmp_path / "a.rec"
    rec.write_bytes(frame_image(4, (0.0,), gray_square()) + frame(b"no image"))
    (result,) = index(rec)
    assert not result.written and "no image header" in faults_of(result) and not rec.with_suffix(".idx").exists()
    assert index(rec, rekey=True)[0].written and len(entries(rec)) == 2


# ---- what is no image records at all


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>" + b"<p>Sign in</p>" * 999, "an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
        (b"0\t1.0\ta.jpg\n1\t0.0\tb.jpg\n", "a text file and no RecordIO: it begins with"),
        ("\ufeff0\t1.0\tä.jpg\n".encode(), "a text file"),
        ("0\t1.0\ta.jpg\n".encode("utf-16"), "a text file"),
        (b"PK\x03\x04" + bytes(100), "a ZIP archive"),
        (gray_square(), "a single jpeg picture"),
        (None, "protobuf RecordIO"),
    ],
)
def test_other_files_are_named_and_get_no_index(tmp_path: Path, data: bytes | None, what: str) -> None:
    rec = tmp_path / "f" / "train.rec"
    rec.parent.mkdir()
    if data is None:
        protobuf(rec)
    else:
        rec.write_bytes(data)
    for report in (check(rec), inspect(rec), extract(rec, tmp_path / "dest"), *index([rec]), *index([rec], rekey=True)):
        (fault,) = report.faults
        assert what in fault.what and "damage" not in fault.what
    assert not rec.with_suffix(".idx").exists() and files(tmp_path / "dest") == {}


def test_no_index_is_written_where_nothing_can_be_read(tmp_path: Path) -> None:
    rec = tmp_path / "a.rec"
    rec.write_bytes(bytes(1000))
    assert not index(rec)[0].written and not rec.with_suffix(".idx").exists()
    rec.write_bytes(b"")
    assert index(rec)[0].written, "an empty .rec has an empty .idx"


# ---- what people see


def test_notices_are_lines_on_standard_error_and_lists_in_json(gpu_pack_command: Run, tmp_path: Path) -> None:
    run = partial(gpu_pack_command, code=None)
    insightface(tmp_path / "f" / "train.rec")
    joined(tmp_path / "c" / "train.rec")
    done = run("verify", "f")
    assert "note: records without a picture, taken for metadata: 4" in done.stderr
    assert "6 records and 4 of metadata" in done.stdout
    assert "no picture" in run("inspect", "f").stdout
    assert "warning: records with the id of an earlier one: 3" in run("verify", "c", "--quiet").stderr
    for words in (("verify", "c"), ("inspect", "c"), ("extract", "c", "dest")):
        (warning,) = json.loads(run(*words, "--json").stdout)["warnings"]
        assert warning.keys() == {"code", "message", "count", "example"} and warning["code"] == "repeated-keys"
    done = run("index", "c/train.rec", "--json")
    (found,) = json.loads(done.stdout)
    assert done.returncode == 1 and found["written"] is False
    assert "no index was written" in run("index", "c/train.rec").stdout


def test_inspect_groups_rejects_by_code(gpu_pack_command: Run, dataset: Path) -> None:
    line = json.loads((dataset / "rejects.jsonl").read_text())
    more = [line | {"path": "b.jpg"}, line | {"code": "empty", "path": "c.jpg", "reason": "the file is empty"}]
    with (dataset / "rejects.jsonl").open("a", newline="\n") as file:
        file.writelines(json.dumps(each) + "\n" for each in more)
    result = inspect(dataset)
    assert result.to_json()["rejects"] == {
        line["code"]: {"count": 2, "example": line["path"], "reason": line["reason"]},
        "empty": {"count": 1, "example": "c.jpg", "reason": "the file is empty"},
    }
    out = gpu_pack_command("inspect", dataset, code=None).stdout
    assert f"{line['code']} 2, such as {line['path']}: {line['reason']}" in out


def test_joined_files_beside_the_first_ones_index(tmp_path: Path, gpu_pack_command: Run) -> None:
    rec = joined(tmp_path / "c" / "train.rec")
    gpu_pack_command("index", rec, "--rekey")
    rec.with_suffix(".idx").write_text("".join(rec.with_suffix(".idx").read_text().splitlines(keepends=True)[:3]))
    for words in (("inspect", "c"), ("extract", "c", "dest")):
        (warning,) = json.loads(gpu_pack_command(*words, "--json", code=None).stdout)["warnings"]
        assert warning["code"] == "repeated-keys" and warning["count"] == 3
