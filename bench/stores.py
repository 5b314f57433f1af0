"""Reading and listing of object stores on this machine: beside boto3, with a delay of 20 ms, and lists.

    python bench/stores.py PHOTOS [--images 3000] [--keys 100000] [--rounds 5] [--only bare,near,...] [--json FILE]

PHOTOS is a folder of JPEGs, repeated until there are enough. `bare` wants nginx, and compares reading through
`ObjectStore` with boto3 in 16 threads; `near` too, and compares packing from it with packing from the folder that it
serves. `delay` packs through the engine, once from a server that answers at once, and
once from one that waits 20 ms. Every two are measured A B A B; the medians are printed, and the median of the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gpu_pack.backends import Choice, DeviceOptions, open_backend
from gpu_pack.pipeline.engine import Engine
from gpu_pack.stores.address import Address, StoreOptions
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.stores.store import Store
from gpu_pack.types import Encoded, Entry, Image, TransformSpec

HERE = Path(__file__).parent
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "NO_PROXY": "127.0.0.1",
}
_DELAY = 20
_BATCH = 32
_NGINX = """worker_processes 1; daemon off; pid {work}/pid; error_log {work}/log;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000;
{temporary}
server {{ listen 127.0.0.1:{port} backlog=1024; root {work}/root; }} }}"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--only", default="bare,near,delay,list")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        entries = collect(options.photos, Path(folder, "root/bucket/photos"), options.images)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "bare": lambda: bare(Path(folder), entries, options.rounds),
            "near": lambda: near(Path(folder), entries, options.rounds),
            "delay": lambda: delay(Path(folder), entries, options.rounds),
            "list": lambda: listing(Path(folder), options.keys, options.rounds),
        }
        results = []
        for name in options.only.split(","):
            results.append({"scenario": name, **parts[name]()})
            print(json.dumps(results[-1]), flush=True)
            if options.json:
                facts = {"cores": os.cpu_count(), "load": os.getloadavg()[1], "results": results}
                options.json.write_text(json.dumps(facts, indent=1) + "\n")


def collect(photos: Path, folder: Path, count: int) -> list[Entry]:
    """Link photos into one folder."""
    folder.mkdir(parents=True)
    found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    entries = []
    for number, path in zip(range(count), itertools.cycle(found), strict=False):
        name = f"{number:05d}.jpg"
        (folder / name).symlink_to(path.resolve())
        entries.append(Entry(number, (0.0,), name, path.stat().st_size))
    return entries


# ---- beside boto3


def bare(work: Path, entries: list[Entry], rounds: int) -> dict[str, Any]:
    with nginx(work) as url:
        return side_by_side(
            rounds, len(entries), ours=lambda: read(url, entries), boto3=lambda: read_boto3(url, entries)
        )


def read(url: str, entries: list[Entry]) -> None:
    """Read all as an engine with two workers does."""
    store = store_at(url)
    ahead, lock = store.ahead(entries), threading.Lock()

    def work(_: int) -> int:
        done = 0
        while True:
            with lock:
                batch = list(itertools.islice(ahead, _BATCH))
            if not batch:
                return done
            done += sum(len(file.data) for file in store.read_many(batch) if isinstance(file, Image))

    with ThreadPoolExecutor(2) as pool:
        check(sum(pool.map(work, range(2))), entries)


def read_boto3(url: str, entries: list[Entry]) -> None:
    import boto3
    import botocore.config

    client = boto3.client("s3", endpoint_url=url, config=botocore.config.Config(max_pool_connections=16))
    with ThreadPoolExecutor(16) as pool:
        sizes = pool.map(lambda entry: len(get(client, entry.path)), entries)
        check(sum(sizes), entries)


def get(client: Any, name: str) -> bytes:
    data: bytes = client.get_object(Bucket="bucket", Key=f"photos/{name}")["Body"].read()
    return data


def check(size: int, entries: list[Entry]) -> None:
    assert size == sum(entry.size or 0 for entry in entries), "some bytes are missing"


# ---- packing


def near(work: Path, entries: list[Entry], rounds: int) -> dict[str, Any]:
    local = LocalStore(str(work / "root/bucket/photos"))
    with nginx(work) as url:
        return side_by_side(
            rounds, len(entries), store=lambda: pack(store_at(url), entries), folder=lambda: pack(local, entries)
        )


def delay(work: Path, entries: list[Entry], rounds: int) -> dict[str, Any]:
    folder = work / "root/bucket/photos"
    with server(folder) as at_once, server(folder, "--delay", str(_DELAY)) as later:
        return side_by_side(
            rounds,
            len(entries),
            delayed=lambda: pack(store_at(later), entries),
            at_once=lambda: pack(store_at(at_once), entries),
        )


def pack(store: Store, entries: list[Entry]) -> None:
    """Decode, resize and encode all, as `create` does."""
    spec, choice = TransformSpec(), Choice("cpu", "as asked")
    backend = open_backend(spec, DeviceOptions("cpu"), choice, store, len(entries))
    engine = Engine(backend.workers, bytes_in_flight=backend.bytes_in_flight, batch_bytes=backend.batch_bytes)
    packed = sum(isinstance(outcome, Encoded) for outcome in engine.run(store.ahead(entries)))
    assert packed == len(entries), packed


# ---- lists


def listing(work: Path, keys: int, rounds: int) -> dict[str, Any]:
    empty = work / "empty"
    empty.mkdir()
    with server(empty, "--keys", str(keys)) as url:
        return side_by_side(rounds, keys, ours=lambda: walk(url, keys), boto3=lambda: walk_boto3(url, keys)) | {
            "peak memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        }


def walk(url: str, keys: int) -> None:
    assert sum(1 for _ in ObjectStore(Address("s3", "many", "photos"), StoreOptions(url)).walk()) == keys


def walk_boto3(url: str, keys: int) -> None:
    import boto3

    pages = (
        boto3.client("s3", endpoint_url=url).get_paginator("list_objects_v2").paginate(Bucket="many", Prefix="photos/")
    )
    assert sum(len(page["Contents"]) for page in pages) == keys


# ---- what they share


def store_at(url: str) -> ObjectStore:
    return ObjectStore(Address("s3", "bucket", "photos"), StoreOptions(endpoint_url=url))


def side_by_side(rounds: int, count: int, **sides: Callable[[], None]) -> dict[str, Any]:
    """Run two in turn: things per second, CPU microseconds for each, and the ratio of the first to the second."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    for run in sides.values():
        run()  # connections are open and files in the cache
    for _ in range(rounds):
        for name, run in sides.items():
            begun, used = time.perf_counter(), time.process_time()
            run()
            rates[name].append(count / (time.perf_counter() - begun))
            cpu[name].append((time.process_time() - used) / count * 1e6)
    first, second = rates.values()
    return {
        **{f"{name}/s": round(statistics.median(values)) for name, values in rates.items()},
        **{f"{name} CPU us": round(statistics.median(values), 1) for name, values in cpu.items()},
        "ratio": round(statistics.median(a / b for a, b in zip(first, second, strict=True)), 3),
    }


@contextlib.contextmanager
def server(folder: Path, *options: str) -> Iterator[str]:
    command = [sys.executable, str(HERE / "store_server.py"), str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


@contextlib.contextmanager
def nginx(work: Path, port: int = 18431) -> Iterator[str]:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        sys.exit("nginx is not installed (--only delay,list)")
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{name}_temp_path {work}/{name};" for name in names)
    config = work / "nginx.conf"
    config.write_text(_NGINX.format(work=work, port=port, temporary=temporary))
    work.chmod(0o755)
    with subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
