"""Threads that read: more of them where storage makes them wait, and one sentence where it does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gpu_pack.errors import SourceError
from gpu_pack.pipeline import pass_through
from gpu_pack.pipeline.pass_through import FilePasser
from gpu_pack.stores import adaptive_threads, local
from gpu_pack.stores.io_threads import IoThreads, Task, as_read
from gpu_pack.stores.local import read_images
from gpu_pack.types import Entry, TransformSpec
from tests.folders import write_picture


def _wait() -> int:
    time.sleep(0.01)
    return threading.get_ident()


def _compute() -> int:
    begun = time.thread_time()
    while time.thread_time() - begun < 0.01:
        pass
    return threading.get_ident()


def _tasks(read: Callable[[], int], count: int) -> list[Task[int, int]]:
    return [Task(read, f"{number}.jpg", 1, as_read) for number in range(count)]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that falters for a moment decides less, and what it decided is tried again soon."""
    monkeypatch.setattr(adaptive_threads, "_SECONDS", 0.2)
    monkeypatch.setattr(adaptive_threads, "_PAUSE", 1)


@pytest.mark.usefixtures("patient")
def test_waiting_tasks_get_more_threads_up_to_the_most() -> None:
    crew: IoThreads[int] = IoThreads(1, most=6)
    seen = [(crew.threads, thread) for thread in crew.in_order(_tasks(_wait, 600))]
    crew.close()
    assert seen[0][0] == 1
    assert max(threads for threads, _ in seen) == 6
    assert len({thread for _, thread in seen[-100:]}) > 3


def test_computing_tasks_get_no_more_threads() -> None:
    crew: IoThreads[int] = IoThreads(1)
    for _ in range(20):
        crew.result(crew.submit(_compute, as_read), "first")
    assert crew.threads == 1
    crew.close()


@pytest.mark.usefixtures("patient")
def test_tasks_in_hand_when_the_threads_become_more_are_done() -> None:
    crew: IoThreads[int] = IoThreads(1)
    assert len(list(crew.in_order(_tasks(_wait, 400)))) == 400
    assert crew.threads >= 4  # a machine that falters may take a step back
    crew.close()


def test_threads_that_bring_nothing_are_taken_back() -> None:
    """As where they wait for the interpreter, or for storage that serves one after the other."""
    crew: IoThreads[int] = IoThreads(1)
    alone = threading.Lock()
    seen = []

    def read() -> int:
        with alone:
            return _wait()

    for _ in crew.in_order(_tasks(read, 150)):
        seen.append(crew.threads)
    assert max(seen) == 2
    assert seen[-1] == 1 and seen.count(2) < 50
    crew.close()


def test_what_a_task_does_with_the_files_then_is_no_waiting_for_them() -> None:
    crew: IoThreads[int] = IoThreads(1)
    for number in range(20):
        assert crew.result(crew.submit(_compute, lambda _, number=number: _wait() and number), "first") == number
    assert crew.threads == 1
    crew.close()


@pytest.mark.parametrize("most", [4, 8])
def test_readers_take_turns_until_storage_is_slow(most: int) -> None:
    crew: IoThreads[int] = IoThreads(4, most=most, readers=1)
    reading: list[int] = []
    at_once: list[int] = []

    def read() -> int:
        reading.append(1)
        at_once.append(len(reading))
        time.sleep(0.01)
        reading.pop()
        return 0

    list(crew.in_order(_tasks(read, 150)))
    crew.close()
    assert at_once[:3] == [1, 1, 1]
    assert max(at_once) == crew.threads == most


def test_errors_reach_who_asks() -> None:
    crew: IoThreads[float] = IoThreads(1)
    with pytest.raises(ZeroDivisionError):
        crew.result(crew.submit(lambda: 1 / 0, as_read), "first")
    crew.close()


@pytest.mark.parametrize("packed", [False, True])
def test_slow_storage_is_read_by_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    """Every file takes 5 ms: two seconds for one thread."""
    write_picture(tmp_path / "a.jpg", 0)
    size = (tmp_path / "a.jpg").stat().st_size
    entries = [Entry(key, (0.0,), "a.jpg", size) for key in range(400)]
    real = local._open_early

    def slow(entry: Entry, root: str) -> int | None:
        time.sleep(0.005)
        return real(entry, root)

    monkeypatch.setattr(local, "_CHUNK_FILES", 4)
    monkeypatch.setattr(pass_through, "_BUFFER_FILES", 4)
    monkeypatch.setattr(local, "_open_early", slow)
    begun = time.monotonic()
    if packed:
        with closing(FilePasser(str(tmp_path), TransformSpec(), threads=1)) as passer:
            passed = passer.run(entries, lambda framed: None, lambda framed: None)
            keys = [key for framed in passed for key in framed.keys]
    else:
        keys = [item.entry.key for item in read_images(entries, str(tmp_path), threads=1)]
    assert keys == list(range(400))
    assert time.monotonic() - begun < 1.2


def test_storage_that_does_not_answer_is_named() -> None:
    answers = threading.Event()
    crew: IoThreads[bool] = IoThreads(1)
    with pytest.raises(SourceError, match=r"nothing could be read for 1 s, and c/0\.jpg is the first file waited for"):
        crew.result(crew.submit(lambda: answers.wait(20), as_read), "c/0.jpg", stall_seconds=1)
    answers.set()
    crew.close()
