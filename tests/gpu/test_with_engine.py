"""GPU workers in the engine: alone, beside CPU workers, and when the device breaks in mid-run."""

from __future__ import annotations

from collections import Counter

import pytest

from cpu_fallback.worker import CpuWorker
from gpu_pack.errors import BackendError
from gpu_pack.pipeline.boxes import place_boxes
from gpu_pack.pipeline.engine import Engine
from gpu_pack.types import Encoded, Rejected, TransformSpec
from tests.gpu import test_faults
from tests.gpu.pictures import images, jpeg, oriented, photograph, png

SPEC = TransformSpec(size=32)  # the one that test_faults' workers have


def stream(count: int) -> list:
    datas = [jpeg(photograph(40 + seed, 50, seed)) for seed in range(7)] + [b"", png(photograph(33, 44))]
    return images([datas[place % len(datas)] for place in range(count)])


def test_gpu_workers_alone(open_worker):
    listed = stream(90)
    outcomes = list(Engine([open_worker(SPEC, number, batch_size=8) for number in (101, 102)]).run(iter(listed)))
    assert [outcome.entry for outcome in outcomes] == [image.entry for image in listed]
    assert Counter(type(outcome) for outcome in outcomes) == {Encoded: 80, Rejected: 10}


def test_hybrid_packs_the_same_images_in_the_same_order(open_worker):
    listed = stream(400)
    engine = Engine([open_worker(SPEC, 103, batch_size=8), CpuWorker(SPEC)])
    outcomes = list(engine.run(iter(listed)))
    assert [outcome.entry for outcome in outcomes] == [image.entry for image in listed]
    shares = Counter(outcome.backend for outcome in outcomes if isinstance(outcome, Encoded))
    assert shares["gpu"] > 0
    assert shares["cpu"] > 400 // 9  # more than the PNGs
    assert engine.broken == []


def test_boxes_move_as_on_the_cpu(open_worker):
    labels = (4.0, 5.0, 50.0, 90.0, 1.0, 0.1, 0.1, 0.9, 0.6)
    data = [oriented(jpeg(photograph(90, 50)), 6), jpeg(photograph(50, 90)), png(photograph(50, 90))]
    listed = [image._replace(entry=image.entry._replace(labels=labels)) for image in images(data)]
    on_gpu, on_cpu = (
        [place_boxes(outcome, SPEC, "move").entry.labels for outcome in worker.transform(listed)]
        for worker in (open_worker(SPEC), CpuWorker(SPEC))
    )
    assert on_gpu == on_cpu == [pytest.approx((4, 5, 32, 32, 1, 0.1, 0, 0.9, 34 / 50))] * 3


def test_a_device_that_breaks_hands_its_images_to_the_cpu():
    listed = stream(120)
    broken = test_faults.worker(test_faults.FakeGraph(dead_after=3))
    engine = Engine([broken], rescue=lambda error: [CpuWorker(SPEC)])
    outcomes = list(engine.run(iter(listed)))
    assert [outcome.entry for outcome in outcomes] == [image.entry for image in listed]
    assert {outcome.backend for outcome in outcomes if isinstance(outcome, Encoded)} == {"gpu", "cpu"}
    assert "illegal memory access" in engine.broken[0]


def test_without_a_rescue_the_run_stops_and_says_why():
    engine = Engine([test_faults.worker(test_faults.FakeGraph(dead_after=3))])
    with pytest.raises(BackendError, match="illegal memory access"):
        list(engine.run(iter(stream(120))))
