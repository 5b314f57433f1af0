"""RecordDataset: what a DataLoader asks of it, without PyTorch."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gpu_pack.dataset import RecordDataset
from gpu_pack.errors import FormatError, SourceError, UsageError
from gpu_pack.recordio import MXIndexedRecordIO, frame_image, pack


def picture(number: int, channels: int = 3) -> np.ndarray[Any, Any]:
    """8 x 12, blue ``number``, green 100, red 200 (, alpha 50)."""
    return np.full((8, 12, channels), [number, 100, 200, 50][:channels], np.uint8)


def png(image: np.ndarray[Any, Any]) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def write(path: Path, numbers: range) -> Path:
    """A .rec and .idx with a picture of each number, which is its label too."""
    with MXIndexedRecordIO(path.with_suffix(".idx"), path, "w") as file:
        for number in numbers:
            file.write_idx(number, pack((0, number, number, 0), png(picture(number))))
    return path


@pytest.fixture
def rec(tmp_path: Path) -> Path:
    return write(tmp_path / "train.rec", range(10))


def labels(dataset: RecordDataset) -> list[Any]:
    return [label for _, label in dataset]


def test_images_are_rgb_and_labels_whole(rec: Path) -> None:
    dataset = RecordDataset(rec)
    assert len(dataset) == 10
    image, label = dataset[7]
    assert (image.shape, image.dtype) == ((8, 12, 3), np.uint8)
    assert image[0, 0].tolist() == [200, 100, 7]
    assert image.flags.writeable
    assert (label, type(label)) == (7, int)
    assert labels(dataset) == list(range(10))


def test_positions(rec: Path) -> None:
    dataset = RecordDataset(str(rec))
    assert dataset[-1][1] == 9
    assert dataset[-10][1] == 0
    assert dataset[np.int64(3)][1] == 3
    for index in (10, -11):
        with pytest.raises(IndexError, match=f"record {index} of 10"):
            dataset[index]
    with pytest.raises(TypeError):
        dataset[1.5]  # type: ignore[index]


def test_encoded_bytes_and_transform(rec: Path) -> None:
    assert RecordDataset(rec, decode=False)[3][0] == png(picture(3))
    assert RecordDataset(rec, transform=lambda image: image.sum())[3][0] == 8 * 12 * 303
    assert RecordDataset(rec, transform=len, decode=False)[3][0] == len(png(picture(3)))


def test_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    images = [picture(1), picture(1, 4), picture(1)[:, :, 0]]
    path.write_bytes(b"".join(frame_image(key, (0.0,), png(image)) for key, image in enumerate(images)))
    assert [image.shape for image, _ in RecordDataset(path)] == [(8, 12, 3)] * 3
    assert [image.shape for image, _ in RecordDataset(path, color="gray")] == [(8, 12)] * 3
    kept = [image for image, _ in RecordDataset(path, color="unchanged")]
    assert [image.shape for image in kept] == [(8, 12, 3), (8, 12, 4), (8, 12)]
    assert kept[0][0, 0].tolist() == [200, 100, 1]
    assert kept[1][0, 0].tolist() == [200, 100, 1, 50]
    with pytest.raises(UsageError, match="'bgr'"):
        RecordDataset(path, color="bgr")  # type: ignore[arg-type]


def test_labels_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    kinds = [(3.0,), (0.5,), (1.0, 2.5), (float("inf"),)]
    path.write_bytes(b"".join(frame_image(key, kind, b"x") for key, kind in enumerate(kinds)))
    whole, half, several, infinite = labels(RecordDataset(path, decode=False))
    assert (whole, type(whole), half, infinite) == (3, int, 0.5, float("inf"))
    assert (several.tolist(), several.dtype) == ([1.0, 2.5], np.float32)
    assert several.flags.writeable
    assert type(RecordDataset(path, decode=False, label_type=float)[0][1]) is float


def test_keys_labels_and_classes(rec: Path, tmp_path: Path) -> None:
    dataset = RecordDataset(rec, target_transform=lambda label: -label)
    assert (dataset.keys.tolist(), dataset.keys.dtype) == (list(range(10)), np.uint64)
    assert (dataset.labels.tolist(), dataset.labels.dtype) == (list(range(10)), np.int64)
    assert (dataset[3][1], dataset.classes) == (-3, None)
    (tmp_path / "classes.txt").write_bytes("ant\nbe\u2028e\n".encode())
    assert pickle.loads(pickle.dumps(RecordDataset(rec))).classes == ["ant", "be\u2028e"]
    lines = rec.with_suffix(".idx").read_text().splitlines(keepends=True)
    rec.with_suffix(".idx").write_text("".join([lines[4], lines[0]]))
    assert RecordDataset(rec).keys.tolist() == RecordDataset(rec).labels.tolist() == [4, 0]


@pytest.mark.parametrize(
    ("records", "expected", "dtype"),
    [
        ([(3.0,), (0.5,)], [3.0, 0.5], np.float32),
        ([(1.0,), (float("inf"),)], [1.0, float("inf")], np.float32),
        ([(1.0, 2.5), (3.0, 4.0)], [[1.0, 2.5], [3.0, 4.0]], np.float32),
        ([], [], np.int64),
    ],
)
def test_labels_as_one_array(records: list[Any], expected: list[Any], dtype: type, tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    path.write_bytes(b"".join(frame_image(key, labels, b"x") for key, labels in enumerate(records)))
    found = RecordDataset(path).labels
    assert (found.tolist(), found.dtype) == (expected, dtype)


def test_records_with_different_numbers_of_labels_make_no_array(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    path.write_bytes(frame_image(0, (1.0,), b"x") + frame_image(1, (1.0, 2.0), b"x"))
    with pytest.raises(FormatError, match="different numbers of labels"):
        RecordDataset(path).labels  # noqa: B018


def test_order_is_the_indexs(rec: Path) -> None:
    lines = rec.with_suffix(".idx").read_text().splitlines(keepends=True)
    rec.with_suffix(".idx").write_text("".join([lines[4], lines[0]]))
    assert labels(RecordDataset(rec)) == [4, 0]


def test_without_an_index_the_records_are_found(rec: Path) -> None:
    rec.with_suffix(".idx").unlink()
    assert labels(RecordDataset(rec)) == list(range(10))
    rec.write_bytes(rec.read_bytes()[:-1])
    with pytest.raises(FormatError, match="cut short") as caught:
        RecordDataset(rec)
    assert caught.value.path == str(rec)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard, numbers in enumerate((range(4), range(4, 4), range(4, 9))):
        write(folder / f"train-{shard:05d}-of-00003.rec", numbers)
    return folder


def test_shards_follow_each_other(shards: Path) -> None:
    for path in (shards, str(shards / "train-*.rec"), sorted(shards.glob("*.rec")), [shards]):
        dataset = RecordDataset(path)
        assert labels(dataset) == list(range(9))
        assert (len(dataset), dataset[-1][1], dataset[4][1]) == (9, 8, 4)


def test_folders_and_patterns_that_are_no_single_set(shards: Path, tmp_path: Path) -> None:
    (shards / "train-00001-of-00003.rec").unlink()
    with pytest.raises(SourceError, match="2 of 3 shards of train"):
        RecordDataset(shards)
    write(shards / "val.rec", range(2))
    with pytest.raises(SourceError, match=r"2 sets \(train, val\) are in it"):
        RecordDataset(shards)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"no \.rec file"):
        RecordDataset(tmp_path / "empty")
    with pytest.raises(SourceError, match="no file matches"):
        RecordDataset(str(tmp_path / "none-*.rec"))
    with pytest.raises(FileNotFoundError):
        RecordDataset(tmp_path / "none.rec")


def test_bad_records_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    first = frame_image(5, (0.0,), b"not an image")
    path.write_bytes(first + frame_image(6, (0.0,), b"\0"))
    dataset = RecordDataset(path)
    for place, key in enumerate((5, 6)):
        with pytest.raises(FormatError, match=f"record {key}: OpenCV cannot decode") as caught:
            dataset[place]
        assert (caught.value.path, caught.value.offset) == (str(path), place * len(first))
    path.with_suffix(".idx").write_text("5\t4\n")
    with pytest.raises(FormatError, match="magic number"):
        RecordDataset(path)[0]


def test_pickles_with_open_files_and_shares_among_threads(rec: Path) -> None:
    dataset = RecordDataset(rec)
    assert dataset[2][1] == 2
    twin = pickle.loads(pickle.dumps(dataset))
    assert (dataset[3][1], twin[4][1]) == (3, 4)
    dataset.close()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda index: dataset[index % 10][1], range(200))) == list(range(10)) * 20


WORKERS = """
import multiprocessing, sys
from gpu_pack.dataset import RecordDataset

dataset = None

def start(given=None):
    global dataset
    dataset = given or dataset

def label(index):
    return dataset[index][1]

if __name__ == "__main__":
    method, path = sys.argv[1:]
    dataset = RecordDataset(path)
    assert dataset[5][1] == 5
    context = multiprocessing.get_context(method)
    given = () if method == "fork" else (dataset,)
    with context.Pool(2, start, given) as pool:
        assert pool.map(label, list(range(10)) * 20, chunksize=3) == list(range(10)) * 20
    assert dataset[6][1] == 6
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_read_for_themselves(rec: Path, tmp_path: Path, method: str) -> None:
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    # A script of its own: workers that are spawned import it, and pytest's process may have threads.
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    search = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, script, method, rec], capture_output=True, text=True, timeout=120, env=search
    )
    assert (done.returncode, done.stderr) == (0, "")
