"""BoundedPool: jobs that add jobs, the bound on bytes, and failures."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from gpu_pack.tools.bounded_pool import BoundedPool, PoolStoppedError

_MB = 1 << 20


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_jobs_that_add_more_than_may_wait_finish_all_the_same(workers: int) -> None:
    done: list[int] = []

    def image(number: int) -> None:
        done.append(number)

    def file(pool: BoundedPool, first: int) -> None:
        for number in range(first, first + 100):
            pool.submit(partial(image, number), 2 * _MB)

    with BoundedPool(workers) as pool:
        for first in range(0, 1000, 100):
            pool.submit(partial(file, pool, first))
        pool.wait(lambda: None)
    assert sorted(done) == list(range(1000))


def test_a_job_larger_than_the_bound_runs_where_it_is_added() -> None:
    threads: list[int] = []
    with BoundedPool(1) as pool:
        pool.submit(lambda: threads.append(threading.get_ident()), 1 << 40)
        assert threads == [threading.get_ident()]


def test_a_failure_is_raised_and_stops_the_other_jobs() -> None:
    stopped = threading.Event()

    def fail() -> None:
        raise MemoryError("of a job")

    def endless(pool: BoundedPool) -> None:
        try:
            while True:
                pool.submit(lambda: None, _MB)
        except PoolStoppedError:
            stopped.set()
            raise

    with BoundedPool(2) as pool:
        pool.submit(partial(endless, pool))
        pool.submit(fail)
        with pytest.raises(MemoryError, match="of a job"):
            pool.wait(lambda: None)
    assert stopped.is_set()


def test_leaving_early_drops_what_waits() -> None:
    done: list[int] = []
    begun, left = threading.Event(), threading.Event()

    def first(pool: BoundedPool) -> None:
        begun.set()
        with pytest.raises(PoolStoppedError):
            while True:
                pool.submit(lambda: done.append(1), _MB)
        left.set()

    with pytest.raises(KeyboardInterrupt), BoundedPool(1) as pool:
        pool.submit(partial(first, pool))
        pool.submit(lambda: done.append(2))
        begun.wait()
        raise KeyboardInterrupt
    assert left.is_set() and 2 not in done
