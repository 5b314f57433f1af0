"""Workers for a test's processes: they act, and then answer without a decoder, which takes long to import."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from gpu_pack.errors import BackendError
from gpu_pack.processes.worker_main import WorkerSetup
from gpu_pack.stores.store import Store
from gpu_pack.types import Encoded, Image, Outcome

Act = Callable[[Sequence[Image]], object]


class ActingWorker:
    """Calls ``act`` before each batch, and counts the batch in ``failures`` under the first file's path."""

    name, batch_size = "cpu", 8

    def __init__(self, act: Act) -> None:
        self.failures: Counter[str] = Counter()
        self._act = act

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        self.failures[images[0].entry.path] += 1
        self._act(images)
        return answers(images)

    def close(self) -> None:
        pass


def answers(images: Sequence[Image]) -> list[Outcome]:
    """What the workers make of images; the height tells the key, which decides what a GPU's worker does."""
    return [Encoded(image.entry, image.data[::-1], len(image.data), image.entry.key, "cpu") for image in images]


def acting(store: Store, act: Act, workers: int = 1) -> WorkerSetup:
    """The setup of a process whose workers act; ``act`` is picklable."""
    return WorkerSetup(partial(_make, act, workers), store, "queue")


def _make(act: Act, workers: int) -> list[ActingWorker]:
    return [ActingWorker(act) for _ in range(workers)]


def idle(images: Sequence[Image]) -> None:
    """No act."""


def crash(images: Sequence[Image]) -> None:
    """Like native code, at a file that contains a word."""
    if any(b"crash" in image.data for image in images):
        os.kill(os.getpid(), 11)


def kill(number: int, images: Sequence[Image]) -> None:
    os.kill(os.getpid(), number)


def fail(images: Sequence[Image]) -> None:
    raise ZeroDivisionError("in a test")


def fail_without_words(images: Sequence[Image]) -> None:
    raise _NoWordsError


class _NoWordsError(Exception):
    def __str__(self) -> str:
        return str(1 // 0)


def break_device(images: Sequence[Image]) -> None:
    raise BackendError("gpu:0: sticky")


def break_device_once(folder: Path, images: Sequence[Image]) -> None:
    if not (folder / "broke").exists():
        (folder / "broke").touch()
        break_device(images)


def record_process(file: Path, images: Sequence[Image]) -> None:
    """Write the process's id to a file."""
    file.with_suffix(".new").write_text(str(os.getpid()))
    file.with_suffix(".new").replace(file)


def hang(file: Path, images: Sequence[Image]) -> None:
    """Write the process's id to a file, and do not return."""
    record_process(file, images)
    time.sleep(60)


def exit_early(status: int) -> list[ActingWorker]:
    raise SystemExit(status)


def no_device(reason: str) -> list[ActingWorker]:
    raise BackendError(reason)


def never(reason: str) -> list[ActingWorker]:
    time.sleep(60)
    raise AssertionError(reason)
