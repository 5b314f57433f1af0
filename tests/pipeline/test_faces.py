"""create --for insightface, read as InsightFace's loaders read it."""

from __future__ import annotations

import json
import numbers
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import gpu_pack
from gpu_pack.errors import SourceError, StrictError, UsageError
from gpu_pack.formats.lst import read_list
from gpu_pack.recordio import MXIndexedRecordIO, unpack
from tests.folders import Run, write_picture

NAMES = ("ada", "bob", "cleo", "dan")


class FaceReader:
    """Pictures and labels by position, as arcface_torch's MXFaceDataset finds them: by what the record 0 says."""

    def __init__(self, root: Path) -> None:
        self.records = MXIndexedRecordIO(root / "train.idx", root / "train.rec", "r")
        header, _ = unpack(self.records.read_idx(0))
        assert header.flag > 0, "else it takes every key of the index for a picture's"
        self.ends = (int(header.label[0]), int(header.label[1]))
        self.keys = range(1, self.ends[0])

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        header, data = unpack(self.records.read_idx(self.keys[index]))
        label = header.label if isinstance(header.label, numbers.Number) else header.label[0]
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), int(label)

    def ranges(self) -> list[tuple[int, int]]:
        """First key and end of each identity, as the MXNet iterators read them for their samplers."""
        labels = (unpack(self.records.read_idx(key))[0].label for key in range(*self.ends))
        return [(int(first), int(end)) for first, end in labels]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Four identities of three pictures, 40 x 40; one of bob's and all of dan's are damaged."""
    for identity, name in enumerate(NAMES):
        for number in range(3):
            path = tmp_path / "people" / name / f"{number}.jpg"
            write_picture(path, 10 * identity + number, width=40, height=40)
            if name == "dan" or (name, number) == ("bob", 0):
                path.write_bytes(path.read_bytes()[:200])
    return tmp_path / "people"


def test_the_loaders_find_every_picture_and_every_identity(people: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = gpu_pack.create(people, out, target="insightface", device="cpu")
    assert (report.packed, report.rejected) == (8, 4) and report.splits["train"].shards == ["train.rec"]
    names = ["classes.txt", "manifest.json", "property", "rejects.jsonl", "train.idx", "train.lst", "train.rec"]
    assert sorted(path.name for path in out.iterdir()) == names
    reader = FaceReader(out)
    assert [label for _, label in (reader[place] for place in range(len(reader)))] == [0, 0, 0, 1, 1, 2, 2, 2]
    assert {picture.shape for picture, _ in (reader[place] for place in range(len(reader)))} == {(112, 112, 3)}
    assert reader.ranges() == [(1, 4), (4, 6), (6, 9), (9, 9)], "without gaps where rejects were"
    assert (out / "property").read_text().strip() == "4,112,112"
    plain = gpu_pack.create(people, tmp_path / "plain", size=112, device="cpu", shuffle=False)
    with MXIndexedRecordIO(tmp_path / "plain/train.idx", tmp_path / "plain/train.rec", "r") as file:
        expected = [unpack(file.read_idx(key))[1] for key in file.keys]
    assert plain.packed == 8
    assert [unpack(reader.records.read_idx(key))[1] for key in reader.keys] == expected


def test_verify_inspect_extract_and_the_dataset_understand_it(people: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    gpu_pack.create(people, out, target="insightface", device="cpu", size=32)
    checked = gpu_pack.verify(out)
    assert checked.ok and (checked.records, checked.metadata) == (8, 5), checked.faults
    seen = gpu_pack.inspect(out)
    assert seen.ok and (seen.records, seen.metadata, seen.identities) == (8, 5, 4)
    assert seen.labels == {"0": 3, "1": 2, "2": 3} and seen.sizes == {"32x32": 8}
    extracted = gpu_pack.extract(out, tmp_path / "files")
    assert extracted.ok and extracted.written == 8
    assert sorted(path.name for path in (tmp_path / "files/bob").iterdir()) == ["1.jpg", "2.jpg"]
    assert gpu_pack.RecordDataset(out / "train.rec").labels.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    listed = {entry.key: entry.path for entry in read_list(out / "train.lst")}
    assert [listed.pop(each["key"]) for each in rejects] == [each["path"] for each in rejects]
    assert list(listed) == [*range(1, 9)] and all(each["key"] > 12 for each in rejects)
    assert gpu_pack.divide(out, tmp_path / "divided", "label").metadata == 5
    assert gpu_pack.verify(tmp_path / "divided").ok


def test_verify_finds_what_is_wrong_with_it(people: Path, tmp_path: Path) -> None:
    gpu_pack.create(people, tmp_path / "out", target="insightface", device="cpu", size=32)
    for name in ("property", "train.rec"):
        out = Path(shutil.copytree(tmp_path / "out", tmp_path / name / "out"))
        (out / name).write_bytes((out / name).read_bytes()[:-44])  # of the .rec: record 0, with two labels
        checked = gpu_pack.verify(out)
        assert not checked.ok and any(fault.file.endswith(name) for fault in checked.faults)


def test_pictures_of_one_size_are_passed_through_and_others_refused(people: Path, tmp_path: Path) -> None:
    gpu_pack.create(people, tmp_path / "out", target="insightface", pass_through=True)
    assert (tmp_path / "out/property").read_text() == "4,40,40\n"
    first, _ = FaceReader(tmp_path / "out")[0]
    assert np.array_equal(first, cv2.imread(str(people / "ada/0.jpg")))
    assert gpu_pack.verify(tmp_path / "out").ok
    write_picture(people / "cleo/9.jpg", 9, width=60, height=40)
    with pytest.raises(SourceError, match="different sizes, such as 40 x 40 and 60 x 40"):
        gpu_pack.create(people, tmp_path / "odd", target="insightface", pass_through=True)


def test_an_interrupted_run_resumes_to_the_same_files(people: Path, tmp_path: Path) -> None:
    gpu_pack.create(people, tmp_path / "whole", target="insightface", device="cpu", size=32)

    def interrupt(state: gpu_pack.Progress) -> None:
        if state.done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gpu_pack.create(people, tmp_path / "out", target="insightface", device="cpu", size=32, progress=interrupt)
    gpu_pack.create(people, tmp_path / "out", target="insightface", device="cpu", size=32)
    for name in ("train.rec", "train.idx", "train.lst", "property", "rejects.jsonl", "classes.txt"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_list_gives_identities_by_number(people: Path, tmp_path: Path) -> None:
    rows = ["7\t2\tcleo/0.jpg", "3\t0\tada/0.jpg", "5\t2\tcleo/1.jpg"]
    (people / "my.lst").write_text("\n".join(rows) + "\n")
    gpu_pack.create(people / "my.lst", tmp_path / "out", target="insightface", device="cpu", size=32)
    reader = FaceReader(tmp_path / "out")
    assert [reader[place][1] for place in range(3)] == [0, 2, 2] and reader.ranges() == [(1, 2), (2, 2), (2, 4)]
    assert gpu_pack.verify(tmp_path / "out").ok
    (people / "my.lst").write_text("1\t0.5\tada/0.jpg\n")
    with pytest.raises(SourceError, match=r"its label 0\.5 is no number of an identity"):
        gpu_pack.create(people / "my.lst", tmp_path / "half", target="insightface", device="cpu")


def test_what_contradicts_the_layout_is_refused(people: Path, tmp_path: Path) -> None:
    for keywords in (
        {"splits": {"a": 0.5}}, {"shards": 2}, {"shuffle": True}, {"crop": False}, {"resize": 32}, {"upscale": False}
    ):  # fmt: skip
        with pytest.raises(UsageError, match=r"target=insightface \(--for\)"):
            gpu_pack.create(people, tmp_path / "out", target="insightface", **keywords)  # type: ignore[arg-type]
    for split in ("train", "val"):
        shutil.copytree(people, tmp_path / "split" / split)
    with pytest.raises(SourceError, match="is divided already, into train, val"):
        gpu_pack.create(tmp_path / "split", tmp_path / "out", target="insightface")
    with pytest.raises(UsageError, match="written into a folder"):
        gpu_pack.create(people, "s3://bucket/out", target="insightface")
    with pytest.raises(StrictError):
        gpu_pack.create(people, tmp_path / "out", target="insightface", device="cpu", strict=True)


def test_the_command(gpu_pack_command: Run, people: Path) -> None:
    done = gpu_pack_command("create", people, "out", "--for", "insightface", "--device", "cpu", "--json")
    assert json.loads(done.stdout)["packed"] == 8
    again = gpu_pack_command("create", people, "out", "--for", "insightface", "--device", "cpu", code=1)
    assert "a finished run lies there" in again.stderr
    assert "'mxnet'" in gpu_pack_command("create", people, "two", "--for", "mxnet", code=2).stderr
