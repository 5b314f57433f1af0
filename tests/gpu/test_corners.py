"""The first pixels of a picture, and what a worker does where its JPEG engines give others."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from cpu_fallback.worker import CpuWorker, make_codec
from gpu_pack.formats.image_headers import read_header
from gpu_pack.gpu.corners import EDGE, corner, decode_corner, different
from gpu_pack.gpu.engine_check import WRONG
from gpu_pack.gpu.gpu_worker import GpuWorker
from gpu_pack.types import Encoded, TransformSpec
from tests.gpu.device import context
from tests.gpu.fakes import FakeEncoder, FakeGraph
from tests.gpu.pictures import images, jpeg, oriented, photograph

SPEC = TransformSpec(size=32)
DATAS = [jpeg(photograph(60 + seed, 50, seed)) for seed in range(40)]
STOPPED = "gpu:0: its JPEG engines are not used any more, since {} of {} pictures were wrong"


def upright(data: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def square(data: bytes) -> np.ndarray:
    """What a graph gives of a picture that it decodes as OpenCV does."""
    y, x = corner(read_header(data))
    pixels = upright(data)[y : y + EDGE, x : x + EDGE]
    return np.pad(pixels, [(0, EDGE - pixels.shape[0]), (0, EDGE - pixels.shape[1]), (0, 0)])


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0", "4:4:0", "gray"])
@pytest.mark.parametrize("size", [(70, 40), (17, 16), (9, 20), (5, 7), (1, 1)], ids=str)
def test_the_first_pixels_are_those_of_the_whole_picture(sampling, size):
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    for picture in (photograph(*size), noise):
        plain = jpeg(picture[..., 1]) if sampling == "gray" else jpeg(picture, sampling)
        for orientation in range(1, 9):
            data = oriented(plain, orientation)
            header = read_header(data)
            pixels = decode_corner(data, header, gray=False)
            rows, columns = pixels.shape[:2]
            assert min(rows, columns) >= min(8, *size)
            y, x = corner(header)
            whole = upright(data)[y : y + rows, x : x + columns]
            assert np.abs(whole.astype(int) - pixels).mean() < 2.5  # interpolated chroma at the cut


def test_files_that_cannot_be_cut():
    """Of each component's own scan, the whole is decoded; what libjpeg refuses has no pixels."""
    header = read_header(DATAS[0])
    assert decode_corner(DATAS[0].replace(b"\xff\xdb", b"\xff\xfe"), header, gray=False) is None  # without tables
    several = header._replace(components=2, sampling=((1, 1), (1, 1)))
    assert np.array_equal(decode_corner(DATAS[0], several, gray=False), upright(DATAS[0])[:8, :16])


def test_black_and_foreign_squares_differ():
    right = np.stack([square(data) for data in DATAS])
    expected = [decode_corner(data, read_header(data), gray=False) for data in DATAS]
    assert different(right, expected) == []
    assert different(np.zeros_like(right), expected) == list(range(40))
    assert len(different(np.roll(right, 1, 0), expected)) >= 36  # two photographs may begin alike
    assert different(right[:2], [None, expected[1]]) == [0]


class Engines(FakeGraph):
    """Its squares are right, but for those of some files; without engines, all is right.

    Args:
        wrong: files whose square is black.
        stale: whether every square is that of the batch before.
    """

    def __init__(self, wrong=(), stale: bool = False) -> None:
        super().__init__()
        self.wrong, self.stale, self.engines, self.before = wrong, stale, True, np.zeros((99, EDGE, EDGE, 3), np.uint8)

    def run(self, batch):
        crops = super().run(batch)
        if not self.engines:
            return crops
        right = np.stack([square(data) * (data not in self.wrong) for data in crops.tensors])
        stale, self.before = self.before[: len(right)], np.resize(right, self.before.shape)
        return crops._replace(corners=stale if self.stale else right)

    def rebuild_without_engines(self):
        self.engines = False
        self.rebuild()


def transform(graph, batches):
    """The worker, and the backend of each image."""
    one = GpuWorker(context(SPEC, "cpu", check_corners=True), make_codec(SPEC), graph, FakeEncoder())
    return one, [outcome.backend for batch in batches for outcome in one.transform(images(batch))]


def test_right_pictures_stay_on_the_device():
    one, backends = transform(Engines(), [DATAS])
    assert backends == ["gpu"] * 40
    assert not one.failures


def test_wrong_pictures_go_to_the_codec_and_are_counted():
    one, backends = transform(Engines({DATAS[3], DATAS[4], DATAS[20]}), [DATAS])
    assert backends == ["cpu" if place in (3, 4, 20) else "gpu" for place in range(40)]
    assert one.failures == {WRONG: 3}


@pytest.mark.parametrize("batches", [[DATAS], [DATAS[:4], DATAS[4:]]], ids=["one batch", "two batches"])
def test_three_wrong_in_a_row_end_the_use_of_the_engines(batches):
    """The batch is decoded again without them."""
    graph = Engines(DATAS[3:6])
    one, backends = transform(graph, batches)
    again = backends if len(batches) == 1 else backends[4:]
    assert again == ["gpu"] * len(again)
    assert backends[:3] == ["gpu"] * 3
    assert graph.rebuilds == 1
    assert one.failures == {WRONG: 3, STOPPED.format(3, 40): 1}


def test_many_wrong_among_right_ones_end_it_too():
    graph = Engines(DATAS[::2])
    one, backends = transform(graph, [DATAS[:8]] * 5)
    assert (backends.count("cpu"), graph.rebuilds) == (8, 1)
    assert one.failures == {WRONG: 12, STOPPED.format(12, 24): 1}


def test_stale_pictures_are_found():
    graph = Engines(stale=True)
    one, backends = transform(graph, [DATAS])
    assert backends == ["gpu"] * 40
    assert graph.rebuilds == 1
    assert one.failures[STOPPED.format(40, 40)] == 1


@pytest.mark.parametrize("spec", [SPEC, TransformSpec(size=None, crop=False), TransformSpec(size=32, color="gray")])
def test_the_real_graph_passes_its_check(open_worker, spec):
    datas = [jpeg(photograph(60, 90, seed), sampling) for seed, sampling in enumerate(["4:4:4", "4:2:2", "4:4:0"])]
    datas += [jpeg(photograph(50, 40)[..., 1]), jpeg(photograph(3, 2))]
    datas += [oriented(jpeg(photograph(60, 33, seed)), seed) for seed in range(1, 9)]
    worker = open_worker(spec, check_corners=True)
    outcomes = worker.transform(images(datas))
    assert [outcome.backend for outcome in outcomes] == ["gpu"] * len(datas)
    assert outcomes == open_worker(spec, check_corners=False).transform(images(datas))
    assert not worker.failures


def test_the_real_graph_without_engines(open_worker):
    from gpu_pack.gpu.graph import Graph

    class Black(Graph):
        def run(self, batch):
            crops = super().run(batch)
            return crops._replace(corners=None if crops.corners is None else crops.corners * 0)

    expected = open_worker(SPEC).transform(images(DATAS))
    settings = context(SPEC, check_corners=True, batch_size=64)
    from gpu_pack.gpu.encoders import CpuEncoder

    worker = GpuWorker(settings, make_codec(SPEC), Black(settings), CpuEncoder(settings))
    assert worker.transform(images(DATAS)) == expected
    assert worker.failures[STOPPED.format(40, 40)] == 1
    assert all(isinstance(outcome, Encoded) for outcome in CpuWorker(SPEC).transform(images(DATAS)))
    worker.close()
