"""RecordDataset on addresses: the same items as of the same files in a folder, in every process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_pack.dataset import RecordDataset, RecordStream
from gpu_pack.errors import FormatError, SourceError
from tests.stores import servers
from tests.stores.faulty_proxy import CUT, RESET, first, proxy
from tests.tools import foreign_records
from tests.tools.datasets import smooth_jpeg

pytest.importorskip("obstore")
boto3 = pytest.importorskip("boto3")

ADDRESS = "s3://bucket-of-records/sets"


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with servers.serve_s3() as url:
        yield url


@pytest.fixture
def s3(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a server with one empty bucket."""
    servers.use_s3(monkeypatch, s3_url)
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket-of-records", ACL="public-read")
    yield client
    for item in client.list_objects_v2(Bucket="bucket-of-records").get("Contents", ()):
        client.delete_object(Bucket="bucket-of-records", Key=item["Key"])
    client.close()


def put(s3: Any, folder: Path) -> None:
    for path in folder.iterdir():
        s3.put_object(Bucket="bucket-of-records", Key=f"sets/{path.name}", Body=path.read_bytes())


@pytest.fixture
def folder(tmp_path: Path, s3: Any) -> Path:
    """Two shards of seven and eight records, and classes.txt; in the bucket too."""
    for shard, keys in enumerate((range(7), range(7, 15))):
        path = tmp_path / "sets" / f"train-{shard:05d}-of-00002.rec"
        foreign_records.write_rec(path, ((key, key, key, smooth_jpeg(key)) for key in keys))
    (tmp_path / "sets" / "classes.txt").write_text("".join(f"class {key}\n" for key in range(15)))
    put(s3, tmp_path / "sets")
    return tmp_path / "sets"


def same(one: RecordDataset, other: RecordDataset) -> None:
    assert len(one) == len(other) > 0
    for (image, label), (image_there, label_there) in zip(one, other, strict=True):
        assert np.array_equal(image, image_there) and label == label_there


@pytest.mark.parametrize("name", ["", "train-*.rec", "train-00001-of-00002.rec"])
def test_items_are_those_of_the_folder(folder: Path, name: str) -> None:
    local, remote = RecordDataset(folder / name), RecordDataset(f"{ADDRESS}/{name}")
    same(local, remote)
    assert remote.classes == local.classes and remote.keys.tolist() == local.keys.tolist()
    assert remote.labels.tolist() == local.labels.tolist()
    assert [file.rpartition("/")[2] for file in remote.files] == [Path(file).name for file in local.files]
    wanted = [len(local) - 1, 0, 3, 3]
    for (image, label), place in zip(remote.__getitems__(wanted), wanted, strict=True):
        assert np.array_equal(image, local[place][0]) and label == local[place][1]


def test_a_stream_gives_those_of_the_folder_and_goes_on(folder: Path) -> None:
    local, remote = RecordStream(folder, shuffle=4), RecordStream(ADDRESS, shuffle=4)
    going = iter(remote)
    for (image, label), _ in zip(local, range(5), strict=False):
        image_there, label_there = next(going)
        assert np.array_equal(image, image_there) and label == label_there
    again = RecordStream(ADDRESS, shuffle=4)
    again.load_state_dict(remote.state_dict())
    assert [label for _, label in again] == [label for _, label in going]


def test_without_an_index_and_over_plain_http(folder: Path, s3: Any, s3_url: str) -> None:
    local = RecordDataset(folder / "train-00000-of-00002.rec")
    same(local, RecordDataset(f"{s3_url}/bucket-of-records/sets/train-00000-of-00002.rec"))
    s3.delete_object(Bucket="bucket-of-records", Key="sets/train-00000-of-00002.idx")
    same(local, RecordDataset(f"{ADDRESS}/train-00000-of-00002.rec"))
    assert len(RecordDataset([f"{ADDRESS}/train-00000-of-00002.rec", folder / "train-00001-of-00002.rec"])) == 15


@pytest.mark.parametrize("make", [foreign_records.insightface, foreign_records.without_ids, foreign_records.joined])
def test_records_of_other_writers(make: Any, s3: Any, tmp_path: Path) -> None:
    make(tmp_path / "sets" / "other.rec")
    put(s3, tmp_path / "sets")
    local, remote = RecordDataset(tmp_path / "sets" / "other.rec"), RecordDataset(f"{ADDRESS}/other.rec")
    same(local, remote)
    assert [note["code"] for note in remote.notes] == [note["code"] for note in local.notes]


def test_a_record_costs_its_own_bytes(tmp_path: Path, s3: Any, s3_url: str) -> None:
    image = smooth_jpeg(0) + bytes(300_000)
    foreign_records.write_rec(tmp_path / "sets" / "some.rec", ((n, n, n, image) for n in range(10)))
    put(s3, tmp_path / "sets")
    with proxy(s3_url) as counted:
        dataset = RecordDataset(f"{ADDRESS}/some.rec", endpoint_url=counted.url)
        opened = counted.bytes_of("some.rec")
        assert dataset[4][1] == 4
        one = counted.bytes_of("some.rec") - opened
        assert dataset.labels.tolist() == list(range(10))
        headers = counted.bytes_of("some.rec") - opened - one
    assert opened < 20_000 and len(image) < one < len(image) + 100 and headers <= 10 * 512


def test_a_stream_asks_for_neighbours_together_and_reads_ahead(
    tmp_path: Path, s3: Any, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign_records.write_rec(tmp_path / "sets" / "some.rec", ((n, n, n, smooth_jpeg(n % 9)) for n in range(640)))
    put(s3, tmp_path / "sets")
    blocks = 128 * len(smooth_jpeg(0))
    monkeypatch.setattr("gpu_pack.dataset.read_blocks._WINDOW", blocks)
    with proxy(s3_url) as counted:
        stream = RecordStream(f"{ADDRESS}/some.rec", endpoint_url=counted.url)
        opened, sent = counted.gets("some.rec"), counted.bytes_of("some.rec")
        going = iter(stream)
        assert next(going)[1] == 0
        settle()
        ahead = counted.bytes_of("some.rec") - sent
        assert [label for _, label in going] == list(range(1, 640))
        asked = counted.gets("some.rec") - opened
        shuffled = RecordStream(f"{ADDRESS}/some.rec", endpoint_url=counted.url, shuffle=100, seed=1)
        assert sorted(label for _, label in shuffled) == list(range(640))
    assert 64 * 500 < ahead < 5 * blocks, "two windows, and not the file"
    assert asked <= 12


def settle() -> None:
    for thread in threading.enumerate():
        if thread.name == "gpu-pack-read-ahead":
            thread.join(30)


def test_what_is_wrong_is_said_with_the_address(folder: Path, s3: Any) -> None:
    address = f"{ADDRESS}/train-00000-of-00002.rec"
    dataset = RecordDataset(address)
    data = (folder / "train-00000-of-00002.rec").read_bytes()
    s3.put_object(Bucket="bucket-of-records", Key="sets/train-00000-of-00002.rec", Body=b"\0" + data[1:])
    with pytest.raises(SourceError, match=f"{address}: it changed while it was read"):
        dataset[1]
    with pytest.raises(FormatError, match=f"{address}: at byte 0: no record begins here"):
        RecordDataset(address)[0]
    for name, sentence in {
        "none.rec": "no such file",
        "none*.rec": "no file matches",
        "none": "there is nothing",
    }.items():
        with pytest.raises(SourceError) as caught:
            RecordDataset(f"{ADDRESS}/{name}")
        assert sentence in str(caught.value) and ADDRESS in str(caught.value)


@pytest.mark.parametrize("failure", [RESET, CUT])
def test_what_goes_wrong_for_a_moment_is_repeated(folder: Path, s3_url: str, failure: Any) -> None:
    with proxy(s3_url, first(1, failure, ".rec")) as found:
        same(RecordDataset(folder), RecordDataset(ADDRESS, endpoint_url=found.url))


def test_pickles_and_shares_among_threads(folder: Path) -> None:
    dataset = pickle.loads(pickle.dumps(RecordDataset(ADDRESS)))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda index: dataset[index % 15][1], range(60))) == list(range(15)) * 4


WORKERS = """
import multiprocessing, sys
from gpu_pack.dataset import RecordDataset, RecordStream

dataset = None

def start(given=None):
    global dataset
    dataset = given or dataset

def labels(indices):
    return [label for _, label in dataset.__getitems__(indices)] + [dataset[indices[0]][1]]

def all_labels(stream):
    next(iter(stream))  # a loop that ends early
    return [label for _, label in stream]

if __name__ == "__main__":
    method, path = sys.argv[1:]
    dataset = RecordDataset(path)
    assert dataset[5][1] == 5
    context = multiprocessing.get_context(method)
    given = () if method == "fork" else (dataset,)
    batches = [[14, 3, 7], [0, 1, 2], [9, 9, 13]] * 4
    with context.Pool(2, start, given) as pool:
        assert pool.map(labels, batches, chunksize=2) == [[*batch, batch[0]] for batch in batches]
        streams = [RecordStream(path, rank=rank, world=2) for rank in range(2)]
        assert next(iter(streams[0]))[1] == 0
        assert pool.map(all_labels, streams, chunksize=1) == [list(range(7)), list(range(7, 15))]
        pool.close()
        pool.join()
    assert dataset[6][1] == 6
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_read_for_themselves(folder: Path, tmp_path: Path, method: str) -> None:
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    search = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, script, method, ADDRESS], capture_output=True, text=True, timeout=120, env=search
    )
    assert (done.returncode, done.stderr) == (0, "")
