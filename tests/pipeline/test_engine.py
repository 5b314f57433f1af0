"""The engine: order, bounds, and what becomes of workers that break."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pack.errors import BackendError, SourceError
from gpu_pack.pipeline.engine import Engine
from gpu_pack.types import Entry, Image, Rejected
from tests.pipeline.fakes import AnswersWith, BreakingWorker, EchoWorker, HangingWorker, images


def keys(engine: Engine, stream: list[Image | Rejected] | Iterator[Image | Rejected]) -> list[int]:
    return [outcome.entry.key for outcome in engine.run(stream)]


def test_yields_in_list_order_with_workers_of_unlike_speed_and_batch_size() -> None:
    workers = [EchoWorker("slow", 16, 0.02), EchoWorker("fast", 1, 0.0005), EchoWorker("odd", 3, 0.001)]
    assert keys(Engine(workers), images(500)) == list(range(500))
    assert all(worker.batches for worker in workers), "every worker took part"
    assert max(workers[0].batches) == 16
    assert [worker.closed for worker in workers] == [1, 1, 1]


@given(st.integers(0, 60), st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_every_image_comes_out_once_whatever_the_bounds(count: int, sizes: list[int], limit: int) -> None:
    engine = Engine([EchoWorker(str(size), size) for size in sizes], bytes_in_flight=limit)
    assert keys(engine, images(count)) == list(range(count))


def test_what_is_in_flight_is_bounded_in_bytes() -> None:
    taken = 0

    def stream() -> Iterator[Image]:
        nonlocal taken
        for image in images(400, size=1000):
            taken += 1
            yield image

    engine = Engine([EchoWorker(str(n), 2) for n in range(4)], bytes_in_flight=20_000, batch_bytes=5_000)
    for yielded, _ in enumerate(engine.run(stream()), 1):
        time.sleep(0.0005)  # a slow writer
        assert taken - yielded <= 20 + 5 + 2, "20 images of bound, a quarter over it, and one batch"


def test_a_failing_worker_ends_the_run_with_its_cause() -> None:
    engine = Engine([BreakingWorker(2, KeyError("boom")), EchoWorker(pause=0.02)])  # which leaves batches to the other
    with pytest.raises(BackendError, match="worker breaking failed with KeyError: 'boom'") as caught:
        keys(engine, images(100))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("change", [lambda found: found[:-1], lambda found: [*found, found[0]], lambda _: []])
def test_a_wrong_number_of_outcomes_is_an_error(change: object) -> None:
    with pytest.raises(BackendError, match=r"liar answered 4 images with \d outcomes"):
        keys(Engine([AnswersWith(change)]), images(8))  # type: ignore[arg-type]


def test_a_batch_ends_with_the_image_that_reaches_its_bytes() -> None:
    worker = EchoWorker(batch_size=100)
    assert keys(Engine([worker], batch_bytes=25), images(10)) == list(range(10))
    assert worker.batches == [3, 3, 3, 1]


def test_batches_shrink_towards_an_end_that_is_known() -> None:
    worker = EchoWorker(batch_size=32)
    assert [outcome.entry.key for outcome in Engine([worker]).run(images(100), 100)] == list(range(100))
    assert worker.batches == [32, 32, 18, 9, 4, 4, 1]


def test_a_few_images_are_shared_among_the_workers() -> None:
    workers = [EchoWorker(str(number), 32, 0.01) for number in range(4)]
    assert len(list(Engine(workers).run(images(16), 16))) == 16
    assert sorted(size for worker in workers for size in worker.batches) == [4, 4, 4, 4]


@pytest.mark.parametrize("total", [0, 10, 1000])
def test_a_wrong_total_loses_nothing(total: int) -> None:
    outcomes = Engine([EchoWorker(batch_size=8), EchoWorker(batch_size=3)]).run(images(100), total)
    assert [outcome.entry.key for outcome in outcomes] == list(range(100))


def test_a_hanging_worker_is_an_error_that_names_the_file() -> None:
    worker = HangingWorker()
    with pytest.raises(BackendError, match=r"no worker has answered for 0 s; 0\.jpg, image number 0 of the run"):
        keys(Engine([worker], stall_seconds=0.1, close_seconds=0.1), images(4))
    assert worker.closed == 0, "no device is closed during a call"
    worker.let_go.set()


def test_a_slow_consumer_is_no_hanging_worker() -> None:
    engine = Engine([EchoWorker(batch_size=2)], bytes_in_flight=10, stall_seconds=0.1)
    seen = []
    for outcome in engine.run(images(6)):
        seen.append(outcome.entry.key)
        time.sleep(0.15 if outcome.entry.key % 2 else 0.0)
    assert seen == list(range(6))


def test_storage_that_fails_is_no_fault_of_the_worker() -> None:
    """So no other worker is asked, and no rescue."""
    engine = Engine([BreakingWorker(2, SourceError("too many files are open"))], rescue=lambda _: [EchoWorker()])
    with pytest.raises(SourceError, match="too many files are open"):
        keys(engine, images(100))
    assert engine.broken == []


def test_errors_of_the_stream_come_through() -> None:
    def stream() -> Iterator[Image]:
        yield from images(5)
        raise OSError("the network is gone")

    with pytest.raises(OSError, match="the network is gone"):
        keys(Engine([EchoWorker(), EchoWorker()]), stream())


def test_what_is_in_hand_when_the_stream_fails_is_yielded_first() -> None:
    """Eleven images, then the network goes, while the slow worker has four of them."""

    def stream() -> Iterator[Image]:
        yield from images(11)
        raise OSError("the network is gone")

    seen = []
    with pytest.raises(OSError, match="the network is gone"):
        for outcome in Engine([EchoWorker("slow", pause=0.3), EchoWorker("fast")]).run(stream()):
            seen.append(outcome.entry.key)
    assert seen == list(range(8)), "the last three were being gathered for a batch"


def test_others_take_the_images_of_a_broken_worker() -> None:
    broken = BreakingWorker(3, batch_size=50)
    engine = Engine([broken, EchoWorker("small", 3, 0.001)], rescue=lambda _: [])
    assert keys(engine, images(600)) == list(range(600))
    assert engine.broken == ["breaking: lost context"]


@pytest.mark.parametrize("good", [0, 1, 5])
def test_the_last_broken_worker_calls_the_rescue(good: int) -> None:
    helpers = [EchoWorker("cpu:0", 2), EchoWorker("cpu:1", 2)]
    engine = Engine([BreakingWorker(good, batch_size=20), BreakingWorker(good, batch_size=7)], rescue=lambda _: helpers)
    assert keys(engine, images(300)) == list(range(300))
    assert len(engine.broken) == 2
    assert [helper.closed for helper in helpers] == [1, 1]


def test_a_worker_that_breaks_on_the_very_last_batch_loses_nothing() -> None:
    idle = EchoWorker("idle", 4)
    engine = Engine([BreakingWorker(0, batch_size=100), idle], rescue=lambda _: [])
    assert keys(engine, images(7)) == list(range(7))


def test_without_rescue_the_first_broken_device_ends_the_run() -> None:
    with pytest.raises(BackendError, match="lost context"):
        keys(Engine([BreakingWorker(1), EchoWorker(pause=0.001)]), images(200))


def test_a_rescue_that_has_nobody_leaves_the_device_error() -> None:
    with pytest.raises(BackendError, match="lost context"):
        keys(Engine([BreakingWorker(1)], rescue=lambda _: []), images(50))


def test_leaving_early_stops_the_threads() -> None:
    engine = Engine([EchoWorker(f"left early {n}", 2, 0.001) for n in range(4)], close_seconds=10)
    outcomes = engine.run(iter(images(10_000)))
    assert [next(outcomes).entry.key for _ in range(10)] == list(range(10))
    outcomes.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("left early")]


def test_no_workers_is_an_error() -> None:
    with pytest.raises(BackendError, match="no worker"):
        Engine([])


def test_two_that_break_at_once_call_the_rescue_once() -> None:
    together = threading.Barrier(2, timeout=10)

    class Both(EchoWorker):
        def transform(self, images: object) -> list:
            together.wait()
            raise BackendError("lost context")

    helper = EchoWorker("helper")
    asked: list[BackendError] = []

    def rescue(error: BackendError) -> list[EchoWorker]:
        asked.append(error)
        return [helper]

    engine = Engine([Both("one"), Both("other")], rescue=rescue)
    assert keys(engine, images(40)) == list(range(40))
    assert len(engine.broken) == 2 and len(asked) == 1 and helper.closed == 1


def test_who_is_busy_when_the_run_ends_is_closed_afterwards() -> None:
    hanging, quick = HangingWorker(), EchoWorker("quick")
    engine = Engine([quick, hanging], bytes_in_flight=400, close_seconds=0.1)

    def run() -> None:
        with contextlib.suppress(BackendError):
            keys(engine, itertools.cycle(images(40)))

    threading.Thread(target=run, daemon=True).start()
    assert hanging.asked.wait(10)
    engine.close()
    assert (quick.closed, hanging.closed) == (0, 0), "never under a running call"
    hanging.let_go.set()
    deadline = time.monotonic() + 10
    while not hanging.closed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (quick.closed, hanging.closed) == (1, 1)


def test_an_engine_that_never_ran_closes_its_workers() -> None:
    worker = EchoWorker()
    Engine([worker]).close()
    assert worker.closed == 1


@pytest.mark.parametrize("started", [0, 2])
def test_where_the_system_has_no_more_threads_those_that_run_do_the_work(
    started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, count = threading.Thread.start, itertools.count()

    def starting(self: threading.Thread) -> None:
        if self.name == "few" and next(count) >= started:
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", starting)
    workers = [EchoWorker("few") for _ in range(5)]
    if started:
        assert keys(Engine(workers), images(50)) == list(range(50))
    else:
        with pytest.raises(BackendError, match="no thread can be started"):
            keys(Engine(workers), images(50))
    assert [worker.closed for worker in workers] == [1] * 5


def test_entries_go_to_workers_that_read_them() -> None:
    class Reading(EchoWorker):
        def transform(self, entries: Sequence[Entry]) -> list:
            return super().transform([images(entry.key + 1)[entry.key] for entry in entries])

    stream = [image.entry for image in images(50)]
    assert keys(Engine([Reading(), Reading("other", 7)], bytes_in_flight=100), stream) == list(range(50))
