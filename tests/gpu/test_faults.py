"""What a worker does when its device fails: fakes stand in for graph and encoder, so nothing of CUDA is needed."""

from __future__ import annotations

import pytest

from cpu_fallback.worker import make_codec
from gpu_pack.errors import BackendError
from gpu_pack.gpu.gpu_worker import GpuWorker
from gpu_pack.types import Encoded, Rejected, TransformSpec
from tests.gpu.device import context
from tests.gpu.fakes import FakeEncoder, FakeGraph
from tests.gpu.pictures import images, jpeg, photograph

SPEC = TransformSpec(size=32)
DATAS = [jpeg(photograph(60 + seed, 50, seed)) for seed in range(16)]


def worker(graph=None, encoder=None, **settings) -> GpuWorker:
    return GpuWorker(context(SPEC, "cpu", **settings), make_codec(SPEC), graph or FakeGraph(), encoder or FakeEncoder())


def backends(outcomes) -> list[str]:
    return [outcome.backend if isinstance(outcome, Encoded) else outcome.stage for outcome in outcomes]


def test_every_image_has_its_own_result():
    batch = images(DATAS)
    outcomes = worker().transform(batch)
    assert outcomes == [
        Encoded(image.entry, b"packed " + image.data, 32, 32, "gpu", source=(60 + place, 50))
        for place, image in enumerate(batch)
    ]


@pytest.mark.parametrize("place", [0, 5, 15])
def test_bisecting_finds_the_one(place):
    graph = FakeGraph(poison=DATAS[place])
    one = worker(graph)
    outcomes = one.transform(images(DATAS))
    assert backends(outcomes) == ["cpu" if n == place else "gpu" for n in range(16)]
    assert graph.rebuilds == 0
    assert graph.sizes.count(1) <= 8  # the last two of the bisection, and a look at the device for each failure


def test_a_pipeline_that_cannot_be_reset_is_rebuilt():
    graph = FakeGraph(poison=DATAS[3])
    graph.resettable = False
    assert backends(worker(graph).transform(images(DATAS))).count("gpu") == 15
    assert graph.rebuilds == graph.resets == 5  # 16, 8, 4, 2 and 1


def test_what_the_encoder_refuses_goes_to_the_codec():
    outcomes = worker(encoder=FakeEncoder(refuses=DATAS[2])).transform(images(DATAS))
    assert backends(outcomes) == ["gpu"] * 2 + ["cpu"] + ["gpu"] * 13


def test_maybe_truncated_are_the_codecs_to_judge():
    graph = FakeGraph()
    graph.maybe_truncated = DATAS[4], DATAS[9]
    outcomes = worker(graph).transform(images(DATAS))
    assert backends(outcomes) == ["cpu" if place in (4, 9) else "gpu" for place in range(16)]


def test_full_memory_halves_the_batch_and_later_ones_stay_small():
    graph = FakeGraph(room=5)
    one = worker(graph)
    graph.sizes.clear()
    assert backends(one.transform(images(DATAS))) == ["gpu"] * 16
    assert max(size for size in graph.sizes if size <= 5) == 4
    graph.sizes.clear()
    assert backends(one.transform(images(DATAS))) == ["gpu"] * 16
    assert max(graph.sizes) <= 5, "the second batch must not run into the full memory again"


def test_full_memory_in_the_encoder_counts_too():
    graph = FakeGraph()
    one = worker(graph, FakeEncoder(fails=MemoryError("Out of memory allocating 1,234 bytes")))
    assert backends(one.transform(images(DATAS[:4]))) == ["gpu"] * 4
    assert graph.rebuilds > 0
    assert graph.resets == 0


def test_no_memory_for_a_single_picture_is_a_broken_device():
    graph = FakeGraph()
    one = worker(graph)
    graph.room = 0
    with pytest.raises(BackendError, match=r"gpu:0: .*(full|broke).*Can't allocate") as caught:
        one.transform(images(DATAS))
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_a_device_that_breaks_in_mid_run_is_said_so_with_its_cause(runs):
    one = worker(FakeGraph(dead_after=runs))
    with pytest.raises(BackendError, match=r"gpu:0: the device broke: .*illegal memory access"):
        for _ in range(3):
            one.transform(images(DATAS))


def test_a_device_that_never_worked():
    graph, encoder = FakeGraph(dead_after=0), FakeEncoder()
    with pytest.raises(BackendError, match=r"gpu:0: .*illegal memory access"):
        worker(graph, encoder)
    assert graph.closes == encoder.closes == 1


def test_an_image_that_the_device_never_sees():
    graph = FakeGraph()
    outcomes = worker(graph).transform(images([b"", DATAS[0], b"GIF89a"]))
    assert [type(outcome) for outcome in outcomes] == [Rejected, Encoded, Rejected]
    assert graph.sizes[-1] == 1


def test_foreign_markers_are_found_before_the_device_sees_them():
    """Hardware decoders may report success whatever the data held."""
    middle = len(DATAS[0]) // 2
    foreign = DATAS[0][:middle] + b"\xff\x02" * 8 + DATAS[0][middle + 16 :]
    graph = FakeGraph()
    assert backends(worker(graph).transform(images([DATAS[1], foreign]))) == ["gpu", "decode"]
    assert graph.sizes[-1] == 1
    assert backends(worker(graph, check_scans=False).transform(images([DATAS[1], foreign]))) == ["gpu", "gpu"]


def test_why_batches_failed_is_counted_once_a_batch():
    """Not for each of its halves, and whatever the image's number in the batch was."""
    one = worker(FakeGraph(poison=DATAS[5]))
    one.transform(images(DATAS))
    one.transform(images(DATAS[::-1]))
    assert one.failures == {"Failed to decode an image": 2}
    one.failures.clear()
    one.transform(images(DATAS[:5]))
    assert one.failures == {}


def test_full_memory_is_counted_without_its_bytes():
    one = worker(FakeGraph(room=5))
    one.transform(images(DATAS))
    assert one.failures == {"the GPU's memory was full, so later batches are smaller": 1}


class Refusing(FakeEncoder):
    """Refuses everything once it is told to."""

    refusing = True

    def encode(self, crops):
        return [None] * len(crops.tensors) if self.refusing else super().encode(crops)


def test_an_encoder_that_refuses_what_the_spec_makes_leaves_all_to_the_codec():
    one = worker(FakeGraph(poison=DATAS[1]), Refusing())
    assert backends(one.transform(images(DATAS[:4]))) == ["cpu"] * 4


def test_an_encoder_that_refuses_only_after_a_failure_is_a_broken_device():
    graph, encoder = FakeGraph(poison=DATAS[1]), Refusing()
    encoder.refusing = False
    one = worker(graph, encoder)
    encoder.refusing = True
    with pytest.raises(BackendError, match=r"the device broke: .*refuses a test image"):
        one.transform(images(DATAS[:4]))


def test_close_frees_everything():
    graph, encoder = FakeGraph(), FakeEncoder()
    one = worker(graph, encoder)
    one.close()
    one.close()
    assert graph.closes == encoder.closes == 1
