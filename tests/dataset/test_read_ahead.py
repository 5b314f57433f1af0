"""Reading ahead in a thread: in order, one task ahead, and nothing is left behind."""

from __future__ import annotations

import os
import threading
from itertools import islice

import pytest

from gpu_pack.dataset.read_ahead import read_ahead


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gpu-pack-read-ahead"]


def test_results_come_in_order_and_one_task_ahead() -> None:
    begun: list[int] = []

    def work(task: int) -> int:
        begun.append(task)
        return task * task

    going = read_ahead(work, range(6))
    for number, found in enumerate(going):
        for thread in running():
            thread.join()
        assert found == number * number and begun == list(range(min(number + 2, 6)))
    assert list(read_ahead(work, [])) == []
    assert not running()


def test_the_next_one_is_made_while_one_is_used() -> None:
    used = threading.Event()

    def work(task: int) -> int:
        assert task == 0 or used.wait(30)
        return task

    going = read_ahead(work, range(3))
    assert next(going) == 0 and [thread.is_alive() for thread in running()] == [True]
    used.set()
    assert list(going) == [1, 2]


def test_an_error_comes_when_it_is_due() -> None:
    def work(task: int) -> int:
        if task == 2:
            raise KeyError(task)
        return task

    going = read_ahead(work, range(5))
    assert list(islice(going, 2)) == [0, 1]
    with pytest.raises(KeyError):
        next(going)
    assert list(going) == [] and not running()


def test_a_loop_that_ends_early_leaves_no_thread() -> None:
    going = read_ahead(str, range(5))
    assert next(going) == "0"
    going.close()  # type: ignore[attr-defined]
    for thread in running():
        thread.join(30)
    assert not running()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_goes_on_for_itself() -> None:
    parent, used = os.getpid(), threading.Event()

    def work(task: int) -> int:
        assert task == 0 or os.getpid() != parent or used.wait(30)
        return task

    going = read_ahead(work, range(4))
    assert next(going) == 0
    child = os.fork()
    if child == 0:
        os._exit(0 if list(going) == [1, 2, 3] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    used.set()
    assert list(going) == [1, 2, 3]
