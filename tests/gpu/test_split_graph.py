"""One worker with a graph for the JPEG engines and one for CUDA; in the CPU mode, both are the CPU."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from cpu_fallback.worker import CpuWorker, make_codec
from gpu_pack.geometry import crop_resize
from gpu_pack.gpu.engine_check import WRONG
from gpu_pack.gpu.gpu_worker import GpuWorker
from gpu_pack.gpu.protocols import Decoder, DecodeRequest, WorkerContext
from gpu_pack.gpu.route import on_engines
from gpu_pack.types import Encoded, Entry, Image, Rejected, TransformSpec
from tests.gpu.device import DEVICE, context, need_dali
from tests.gpu.fakes import LOST, FakeEncoder, FakeGraph
from tests.gpu.pictures import jpeg, photograph
from tests.gpu.test_corners import Engines

SPEC = TransformSpec(size=48)
LOAD = 0.5
PICTURES = [
    Image(Entry(key, (0.0,), f"{key}.jpg"), jpeg(photograph(90 + key % 50, 70 + key % 7, key)))
    for key in [*range(36), 2**40, 2**63, 2**64 - 1, 1000]
]
FOR_ENGINES = {image.data for image in PICTURES if on_engines(image.entry.key, LOAD)}
FOR_CUDA = {image.data for image in PICTURES} - FOR_ENGINES
TABLES = PICTURES[0].data.index(b"\xff\xc4") + 5
BAD = PICTURES[0].data[:TABLES] + b"\x7f" * 16 + PICTURES[0].data[TABLES + 16 :]


class TwoKinds:
    """Makes real graphs; that for CUDA resizes in another way, so that a picture's bytes tell where it was decoded.

    Attributes:
        seen: the files that each graph got after it was made, by its load.
    """

    def __init__(self) -> None:
        self.seen: dict[float, list[bytes]] = {0: [], 1: []}

    def __call__(self, made: WorkerContext) -> Decoder:
        from gpu_pack.gpu.graph import Graph

        seen = self.seen[made.settings.hw_decoder_load]

        class Recording(Graph):
            def run(self, batch):
                seen.extend(request.data for request in batch)
                return super().run(batch)

        interp = "linear" if made.settings.hw_decoder_load else "antialias"
        graph = Recording(made._replace(spec=dataclasses.replace(made.spec, interp=interp)))
        seen.clear()
        return graph


@pytest.fixture
def open_split() -> Iterator[Callable[..., GpuWorker]]:
    need_dali()
    from gpu_pack.gpu.encoders import CpuEncoder
    from gpu_pack.gpu.split_graph import SplitGraph

    opened = []

    def open_one(make: Callable[[WorkerContext], Decoder], spec: TransformSpec = SPEC, **settings) -> GpuWorker:
        parts = context(spec, hw_decoder_load=LOAD, **settings)
        opened.append(GpuWorker(parts, make_codec(spec), SplitGraph(parts, make), CpuEncoder(parts)))
        return opened[-1]

    yield open_one
    for worker in opened:
        worker.close()


def packed(worker: GpuWorker, pictures: list[Image], size: int) -> dict[int, bytes]:
    """By key."""
    batches = [pictures[start : start + size] for start in range(0, len(pictures), size)]
    outcomes = [outcome for batch in batches for outcome in worker.transform(batch)]
    assert [outcome.entry for outcome in outcomes] == [image.entry for image in pictures]
    assert {outcome.backend for outcome in outcomes} == {"gpu"}
    return {outcome.entry.key: outcome.data for outcome in outcomes}


def test_the_key_alone_decides_whatever_the_batches_and_their_order(open_split):
    made = TwoKinds()
    worker = open_split(made, batch_size=40)
    made.seen[0].clear(), made.seen[1].clear()  # the worker has looked at the device
    expected = packed(worker, PICTURES, 40)
    assert (set(made.seen[1]), set(made.seen[0])) == (FOR_ENGINES, FOR_CUDA)
    assert len(made.seen[0]) + len(made.seen[1]) == 40, "each picture once"
    assert 10 < len(FOR_ENGINES) < 30
    shuffled = [PICTURES[place] for place in np.random.default_rng(1).permutation(40)]
    for size, pictures in ((1, PICTURES), (2, shuffled), (7, PICTURES[::-1]), (16, shuffled), (40, shuffled)):
        assert packed(worker, pictures, size) == expected
    assert packed(worker, PICTURES[17:], 16) == {image.entry.key: expected[image.entry.key] for image in PICTURES[17:]}
    smaller = open_split(TwoKinds(), batch_size=5, batch_pixels=30_000)
    assert packed(smaller, shuffled, 40) == expected
    assert worker.failures == smaller.failures == {}


def test_both_graphs_make_what_one_makes(open_worker):
    """In crops of one size and of several, in color and gray. In the CPU mode both decode alike."""
    for spec in (SPEC, TransformSpec(size=None, crop=False), TransformSpec(size=40, crop=False, color="gray")):
        for encoder in ("cpu", "nvjpeg"):
            settings = {"encoder": encoder, "batch_size": 40, "check_corners": True}
            two, one = (open_worker(spec, hw_decoder_load=load, **settings) for load in (LOAD, 1.0))
            made = packed(two, PICTURES, 40)
            assert DEVICE == "gpu" or made == packed(one, PICTURES, 40)
            assert not two.failures


@pytest.mark.parametrize("load", [0.0, 1.0])
def test_at_full_load_and_at_none_there_is_one_graph(load):
    need_dali()
    from gpu_pack.gpu.graph import Graph
    from gpu_pack.gpu.split_graph import SplitGraph, open_graph

    one, two = open_graph(context(SPEC, hw_decoder_load=load)), open_graph(context(SPEC, hw_decoder_load=LOAD))
    assert (type(one), type(two)) == (Graph, SplitGraph)
    one.close()
    two.close()


@pytest.mark.parametrize("data", [sorted(FOR_ENGINES)[0], sorted(FOR_CUDA)[0]], ids=["engines", "CUDA"])
def test_a_picture_that_fails_costs_only_itself_in_either_graph(open_split, data):
    worker = open_split(TwoKinds(), batch_size=40)
    expected = packed(worker, PICTURES, 40)
    mixed = [image._replace(data=BAD) if image.data == data else image for image in PICTURES]
    for _ in range(2):
        outcomes = worker.transform(mixed)
        (bad,) = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
        (place,) = [place for place, image in enumerate(mixed) if image.data == BAD]
        assert bad == CpuWorker(SPEC).transform([mixed[place]])[0]
        good = [outcome for outcome in outcomes if isinstance(outcome, Encoded)]
        assert {outcome.entry.key: outcome.data for outcome in good} == {
            key: file for key, file in expected.items() if key != bad.entry.key
        }
    assert worker.failures == {"Failed to decode an image": 2}


# ---- with fakes


def split(engines: FakeGraph, cuda: FakeGraph, **settings) -> GpuWorker:
    need_dali()
    from gpu_pack.gpu.split_graph import SplitGraph

    parts = context(SPEC, "cpu", hw_decoder_load=LOAD, **settings)
    graph = SplitGraph(parts, lambda made: engines if made.settings.hw_decoder_load else cuda)
    return GpuWorker(parts, make_codec(SPEC), graph, FakeEncoder())


def test_both_graphs_run_at_once():
    """Each waits for the other, which ends in an error if they run one after the other."""
    together = threading.Barrier(2, timeout=20)

    class Meeting(FakeGraph):
        def run(self, batch):
            if len(batch) > 1:
                together.wait()
            return super().run(batch)

    worker = split(Meeting(), Meeting())
    assert {outcome.backend for outcome in worker.transform(PICTURES)} == {"gpu"}
    assert not worker.failures
    worker.close()


@pytest.mark.parametrize("fails", ["engines", "CUDA"])
def test_a_failed_run_ends_after_both_graphs(fails):
    """So that neither is reset while it runs."""
    need_dali()
    from gpu_pack.gpu.split_graph import SplitGraph

    failed, running = threading.Event(), []

    class Failing(FakeGraph):
        def run(self, batch):
            failed.set()
            raise RuntimeError(LOST)

    class Slow(FakeGraph):
        def run(self, batch):
            failed.wait(20)
            threading.Event().wait(0.1)
            running.append("ended")
            return super().run(batch)

    made = iter([Failing(), Slow()] if fails == "engines" else [Slow(), Failing()])
    graph = SplitGraph(context(SPEC, "cpu"), lambda _: next(made))
    box = crop_resize(90, 70, SPEC)
    batch = [DecodeRequest(PICTURES[0].data, box, (0, 0), on_engines=way) for way in (True, False)]
    with pytest.raises(RuntimeError, match="illegal memory access"):
        graph.run(batch)
    assert running == ["ended"]
    graph.close()


def test_recovery_concerns_both_graphs():
    engines, cuda = FakeGraph(poison=next(iter(FOR_ENGINES))), FakeGraph()
    worker = split(engines, cuda)
    assert engines.sizes == cuda.sizes == [1], "a new worker looks at each"
    assert [outcome.backend for outcome in worker.transform(PICTURES)].count("cpu") == 1
    assert engines.resets == cuda.resets > 0
    cuda.room = 3
    worker.transform(PICTURES)
    assert engines.rebuilds == cuda.rebuilds > 0
    worker.close()
    assert engines.closes == cuda.closes == 1


def test_a_picture_that_may_be_truncated_is_found_by_its_place():
    engines, cuda = FakeGraph(), FakeGraph()
    doubtful = sorted(FOR_ENGINES)[3], sorted(FOR_CUDA)[5]
    engines.maybe_truncated, cuda.maybe_truncated = doubtful[:1], doubtful[1:]
    outcomes = split(engines, cuda).transform(PICTURES)
    assert {image.data for image, one in zip(PICTURES, outcomes, strict=True) if one.backend == "cpu"} == {*doubtful}


def test_only_what_engines_decode_is_compared():
    wrong = sorted(FOR_ENGINES, key=[image.data for image in PICTURES].index)[-1]
    others = tuple(FOR_CUDA)
    worker = split(Engines({wrong, *others}), FakeGraph(), check_corners=True)
    outcomes = worker.transform(PICTURES)
    assert [image.data for image, one in zip(PICTURES, outcomes, strict=True) if one.backend == "cpu"] == [wrong]
    assert worker.failures == {WRONG: 1}
    alone = [image for image in PICTURES if image.data in FOR_CUDA]
    assert {outcome.backend for outcome in worker.transform(alone)} == {"gpu"}


def test_without_its_engines_the_other_graph_stays_as_it_is():
    engines, cuda = Engines(FOR_ENGINES), FakeGraph()
    worker = split(engines, cuda, check_corners=True)
    assert {outcome.backend for outcome in worker.transform(PICTURES)} == {"gpu"}
    assert (engines.engines, engines.rebuilds, cuda.rebuilds) == (False, 1, 0)
    count = len(FOR_ENGINES)
    assert worker.failures == {
        WRONG: count,
        f"gpu:0: its JPEG engines are not used any more, since {count} of {count} pictures were wrong": 1,
    }
