"""Keys, lists and many requests at once, as they are in real buckets."""

from __future__ import annotations

import asyncio
import http.server
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cpu_fallback.cpu_processes import cpu_worker_group
from cpu_fallback.worker import CpuWorker
from gpu_pack.errors import SourceError
from gpu_pack.pipeline.engine import Engine
from gpu_pack.stores.address import Address, Retry, StoreOptions
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.object_requests import count_retries, requests_to
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.stores.open_store import open_store
from gpu_pack.stores.reading_worker import ReadingWorker
from gpu_pack.stores.store import Store
from gpu_pack.types import Container, Entry, Image, Outcome, Place, Rejected, TransformSpec
from tests.folders import ENVIRONMENT
from tests.pictures import jpeg, photo
from tests.stores import servers
from tests.stores.faulty_proxy import SLOW_DOWN, Failure, always, first, proxy

pytest.importorskip("obstore")
boto3 = pytest.importorskip("boto3")

QUICK = Retry(tries=4, first_seconds=0.01, most_seconds=0.02)
_NUMBERS = itertools.count()
_ODD = ["a b.jpg", "ä/é ü.jpg", "100%41+.jpg", "x?y#z&=.jpg", "'\"<>.jpg", "日本/😀.jpg", "tilde~.jpg", "_.-!*().jpg"]


@pytest.fixture
def client(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    servers.use_s3(monkeypatch, s3_url)
    client = boto3.client("s3")
    yield client
    client.close()


@pytest.fixture
def bucket(client: Any) -> str:
    bucket = f"reading{next(_NUMBERS)}"
    client.create_bucket(Bucket=bucket)
    return bucket


@pytest.fixture
def store(s3_url: str, bucket: str) -> ObjectStore:
    return ObjectStore(Address("s3", bucket), StoreOptions(retry=QUICK))


def _put(store: ObjectStore, keys: list[str], data: bytes = b"12") -> None:
    """Many objects at once."""
    requests = requests_to(store.folder, store.options)

    async def put(slots: asyncio.Semaphore, key: str) -> None:
        async with slots:
            await requests.obstore.put_async(requests.client, key, data)

    async def put_all() -> None:
        slots = asyncio.Semaphore(16)
        await asyncio.gather(*(put(slots, key) for key in keys))

    asyncio.run(put_all())


# ---- keys and lists


def test_keys_with_spaces_signs_and_other_scripts(store: ObjectStore) -> None:
    for name in _ODD:
        store.write(name, name.encode())
    assert [path for path, _ in store.walk()] == sorted(_ODD, key=str.encode)
    entries = [Entry(n, (0.0,), name, len(name.encode())) for n, name in enumerate(_ODD)]
    assert list(store.read_many(entries)) == [Image(entry, entry.path.encode()) for entry in entries]
    (item,) = store.list("日本")
    assert (item.name, item.path, item.is_dir()) == ("😀.jpg", "日本/😀.jpg", False)
    assert dict(store.walk()) == {name: store.stat(name) for name in _ODD}
    root = ObjectStore(store.folder.below("ä"), store.options)
    assert [path for path, _ in root.walk()] == ["é ü.jpg"]


def test_lists_of_more_than_a_page(store: ObjectStore) -> None:
    keys = [f"many/{number:04d}" for number in range(1050)]
    _put(store, [*keys, "many/a/x", "z/y"])
    assert [path for path, _ in store.walk()] == [*keys, "many/a/x", "z/y"]
    assert [item.name for item in store.list("many")] == [*(f"{number:04d}" for number in range(1050)), "a"]
    with proxy(os.environ["AWS_ENDPOINT_URL"], first(1, SLOW_DOWN, "list-type")) as found:
        behind = ObjectStore(store.folder, StoreOptions(found.url, retry=QUICK))
        assert [path for path, _ in behind.walk()] == [*keys, "many/a/x", "z/y"], "none is lost or comes twice"


def test_a_walk_keeps_the_order_of_keys_and_leaves_out_what_marks_folders(store: ObjectStore, client: Any) -> None:
    _put(store, ["a-b", "a/x", "a.b", "a/y/z", "b", "empty/x"])
    for marker in ("a/", "a/y/", "empty/"):
        client.put_object(Bucket=store.folder.bucket, Key=marker, Body=b"")
    store.write("empty/none", b"")
    assert [path for path, _ in store.walk()] == ["a-b", "a.b", "a/x", "a/y/z", "b", "empty/none", "empty/x"]
    assert [path for path, _ in store.walk("a")] == ["a/x", "a/y/z"]
    assert [(item.name, item.is_dir()) for item in store.list("a")] == [("x", False), ("y", True)]


def test_a_walk_that_is_left_asks_for_no_more(store: ObjectStore) -> None:
    _put(store, [f"{number:02d}/x" for number in range(40)])
    with proxy(os.environ["AWS_ENDPOINT_URL"]) as found:
        walk = ObjectStore(store.folder, StoreOptions(found.url)).walk()
        assert next(walk)[0] == "00/x"
        walk.close()  # type: ignore[attr-defined]
        assert found.gets("list-type") < 25, "folders are listed a few ahead"


def test_keys_that_cannot_be_listed_are_told(store: ObjectStore, client: Any) -> None:
    client.put_object(Bucket=store.folder.bucket, Key="a//b", Body=b"")
    with pytest.raises(SourceError, match=r"cannot be listed: a key has an empty part, \. or \.\. .*a//b"):
        list(store.walk())


def test_paths_as_find_writes_them(store: ObjectStore) -> None:
    store.write("a/x", b"12")
    (found,) = store.read_many([Entry(0, (0.0,), "./a/./x", 2)])
    assert isinstance(found, Image)


def test_a_path_may_be_an_address(store: ObjectStore) -> None:
    store.write("a/x", b"12")
    (found,) = ObjectStore(Address("s3", "elsewhere"), store.options).read_many(
        [Entry(0, (0.0,), f"s3://{store.folder.bucket}/a/x", 2)]
    )
    assert isinstance(found, Image) and found.data == b"12"


# ---- at once


def test_many_requests_are_in_flight_and_each_object_is_asked_for_once(store: ObjectStore) -> None:
    _put(store, [f"{number:03d}" for number in range(150)])
    entries = [Entry(number, (0.0,), f"{number:03d}", 2) for number in range(150)]
    with proxy(os.environ["AWS_ENDPOINT_URL"], always(Failure(seconds=0.2), "/0")) as found:
        behind = ObjectStore(store.folder, StoreOptions(found.url))
        ahead = behind.ahead(entries)
        while batch := list(itertools.islice(ahead, 32)):
            assert list(behind.read_many(batch)) == [Image(entry, b"12") for entry in batch]
        assert found.gets() == 150
        assert found.most > 60, "while the first are waited for, the next ones are on their way"


def test_what_was_announced_and_not_asked_for_is_dropped(store: ObjectStore) -> None:
    _put(store, [f"{number}" for number in range(20)])
    entries = [Entry(number, (0.0,), f"{number}", 2) for number in range(20)]
    with proxy(os.environ["AWS_ENDPOINT_URL"], always(Failure(seconds=0.2))) as found:
        behind = ObjectStore(store.folder, StoreOptions(found.url))
        announced = requests_to(behind.folder, behind.options).announced
        ahead = behind.ahead(entries)
        taken = [next(ahead) for _ in range(5)]
        assert len(announced) == 20
        ahead.close()  # type: ignore[attr-defined]
        assert not announced
        assert len(list(behind.read_many(taken))) == 5, "and can still be read"


def test_an_image_is_read_in_several_threads_at_once(store: ObjectStore) -> None:
    _put(store, [f"{number}" for number in range(40)])
    entries = [Entry(number, (0.0,), f"{number}", 2) for number in range(40)]
    results: list[list[Any]] = []
    threads = [threading.Thread(target=lambda: results.append([*store.read_many(entries)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[Image(entry, b"12") for entry in entries]] * 4


def test_headers_in_a_row_do_not_cost_a_request_each(store: ObjectStore) -> None:
    data = bytes(range(256)) * (3 << 12)
    store.write("x.tar", data)
    with proxy(os.environ["AWS_ENDPOINT_URL"]) as found:
        behind = ObjectStore(store.folder, StoreOptions(found.url))
        with behind.open("x.tar") as file:
            for offset in range(0, len(data), 4096):
                assert file.read_at(offset, 300) == data[offset : offset + 300]
            assert file.read_at(100, len(data)) == data[100:]
        assert found.gets() <= 6


def test_a_file_that_is_replaced_while_it_is_read(store: ObjectStore) -> None:
    store.write("x.tar", bytes(12 << 20))
    with store.open("x.tar") as file:
        file.read_at(0, 10)
        store.write("x.tar", b"1" * (12 << 20))
        with pytest.raises(SourceError, match=r"x\.tar: it changed while it was read"):
            file.read_at(11 << 20, 10)
    container = Container("x.tar", *store.stat("x.tar"))
    entry = Entry(0, (0.0,), "x.tar!/a", 5, Place(container, 0, 5))
    store.write("x.tar", b"2" * (12 << 20))
    (found,) = store.read_many([entry])
    assert isinstance(found, Rejected) and found.reason == "x.tar changed while packing"


@pytest.mark.parametrize("processes", [False, True])
def test_a_run_gives_what_a_local_run_gives(store: ObjectStore, tmp_path: Path, processes: bool) -> None:
    entries = []
    for number in range(40):
        data = jpeg(photo(40 + number, 50, number)) if number % 10 else b"no image"
        (tmp_path / f"{number}.jpg").write_bytes(data)
        store.write(f"{number}.jpg", data)
        entries.append(Entry(number, (0.0,), f"{number}.jpg", len(data)))
    before = count_retries()
    with proxy(os.environ["AWS_ENDPOINT_URL"], first(1, SLOW_DOWN, "5.jpg")) as found:
        behind = ObjectStore(store.folder, StoreOptions(found.url, retry=QUICK))
        expected, outcomes = (_run(each, entries, processes) for each in (LocalStore(str(tmp_path)), behind))
    assert outcomes == expected and len(outcomes) == 40
    assert processes or count_retries() == before + 4, "counted by the process that reads"


def _run(store: Store, entries: list[Entry], processes: bool) -> list[Outcome]:
    spec = TransformSpec(size=32)
    if processes:
        return list(Engine(cpu_worker_group(spec, store).channels()).run(entries))
    workers = [ReadingWorker(CpuWorker(spec, f"cpu:{number}"), store) for number in range(2)]
    return list(Engine(workers).run(store.ahead(entries)))


def test_a_process_that_ends_while_requests_are_in_flight(store: ObjectStore) -> None:
    code = """
import sys
from gpu_pack.stores.address import Address, StoreOptions
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.types import Entry
store = ObjectStore(Address("s3", sys.argv[1]))
ahead = store.ahead([Entry(n, (0.0,), str(n), 2) for n in range(50)])
print(next(ahead).path)
"""
    with proxy(os.environ["AWS_ENDPOINT_URL"], always(Failure(seconds=3), f"{store.folder.bucket}/")) as found:
        environment = {**ENVIRONMENT, **os.environ, "AWS_ENDPOINT_URL": found.url, "NO_PROXY": "127.0.0.1"}
        command = [sys.executable, "-c", code, store.folder.bucket]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_says_so_and_does_not_hang(store: ObjectStore) -> None:
    store.write("x", b"12")
    code = """
import os, sys
from cpu_fallback.cpu_processes import cpu_worker_group
from cpu_fallback.worker import CpuWorker
from gpu_pack.errors import SourceError
from gpu_pack.pipeline.engine import Engine
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.open_store import open_store
store = open_store(f"s3://{sys.argv[1]}")
store.stat("x")
if not os.fork():
    try:
        store.stat("x")
    except SourceError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""
    command = [sys.executable, "-c", code, store.folder.bucket]
    done = subprocess.run(command, env={**ENVIRONMENT, **os.environ}, capture_output=True, text=True, timeout=20)
    assert "this process was forked from one that had read object stores" in done.stdout


# ---- the web


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Knows no ranges."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    servers.bare_environment(monkeypatch)
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b/é.tar").write_bytes(b"..first-second..")
    handler = partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/a%20b/%C3%A9.tar"
        server.shutdown()
        thread.join()


def test_files_of_a_web_server(web: str) -> None:
    store = open_store(web.rpartition("/")[0], StoreOptions(retry=QUICK))
    assert store.stat("é.tar").size == 16 and store.stat("missing").size == -1
    entries = [
        Entry(0, (0.0,), "é.tar", 16),
        Entry(1, (0.0,), "é.tar"),
        Entry(2, (0.0,), "é.tar", 4),
        Entry(3, (0.0,), "x"),
    ]
    whole, unsized, changed, missing = store.read_many(entries)
    assert whole == Image(entries[0], b"..first-second..") and unsized == Image(entries[1], b"..first-second..")
    assert isinstance(changed, Rejected) and changed.code == "changed"
    assert isinstance(missing, Rejected) and missing.code == "missing"
    with pytest.raises(SourceError, match="web servers tell no lists of their files"):
        store.list("")


def test_parts_of_files_want_a_server_that_knows_ranges(web: str) -> None:
    with (
        pytest.raises(SourceError, match=r"%C3%A9\.tar: the server sends whole files only: download it"),
        open_store(web.rpartition("/")[0], StoreOptions(retry=QUICK)).open("é.tar") as file,
    ):
        file.read_at(2, 5)
