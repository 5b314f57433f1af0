"""The least that keeps pictures apart in a file: key and length before each. For the bare loops and DALI."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from job import Item, Job

_HEAD = struct.Struct("<II")


def in_threads(job: Job, encode: Callable[[Item], bytes]) -> None:
    """``encode`` every item in a thread a core. No order, no index, no checks, no resume: the floor."""
    items, lock, failures = iter(job.items()), threading.Lock(), []
    Path(job.out).mkdir()
    with open(f"{job.out}/data", "wb") as file:

        def work() -> None:
            try:
                while True:
                    with lock:
                        item = next(items, None)
                    if item is None:
                        return
                    data = encode(item)
                    with lock:
                        file.write(_HEAD.pack(item.key, len(data)))
                        file.write(data)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(job.cores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def frame(key: int, data: bytes) -> bytes:
    return _HEAD.pack(key, len(data)) + data


def read(job: Job) -> Iterator[tuple[int, bytes]]:
    return read_file(Path(job.out, "data"))


def read_file(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            key, length = _HEAD.unpack(head)
            yield key, file.read(length)
