"""The batched encoder's CUDA source, compiled for the host, against OpenCV: the same files, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_pack.gpu.cuda_encoder import CudaEncoder, can_encode
from gpu_pack.types import TransformSpec
from tests.gpu import host_kernels
from tests.gpu.compiler import need_compiler
from tests.gpu.crops import crops, differing, opencv
from tests.gpu.device import context
from tests.gpu.host_kernels import HostLaunch
from tests.gpu.pictures import photograph

pytestmark = need_compiler


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return host_kernels.folder(tmp_path_factory)


@pytest.mark.parametrize("quality", [1, 30, 75, 95, 100])
@pytest.mark.parametrize("edge", [224, 16])
def test_the_files_are_opencvs(folder, edge, quality):
    assert differing(HostLaunch(folder), edge, quality) == []


@pytest.mark.parametrize("edge", [1, 2, 7, 8, 9, 15, 17, 23, 24, 25, 31, 33, 111])
def test_edges_that_are_no_whole_blocks(folder, edge):
    assert differing(HostLaunch(folder), edge, 95) == []


@pytest.mark.parametrize("leap", [1, 7, 100_003])
def test_the_order_of_threads_does_not_matter(folder, leap):
    pictures = [photograph(48, 48, seed) for seed in range(5)]
    encoder = CudaEncoder(context(TransformSpec(size=48), "cpu", batch_size=5), HostLaunch(folder, leap))
    assert encoder.encode(crops(pictures)) == [opencv(picture, 95) for picture in pictures]


def test_batches_of_changing_size_and_length_leave_nothing_behind(folder):
    encoder = CudaEncoder(context(TransformSpec(size=40, quality=100), "cpu", batch_size=9), HostLaunch(folder))
    generator = np.random.default_rng(5)
    for count in (9, 1, 4, 9, 2):
        for noise in (255, 10, 1):
            pictures = [generator.integers(0, noise + 1, (40, 40, 3), np.uint8) for _ in range(count)]
            expected = [opencv(picture, 100) for picture in pictures]
            assert encoder.encode(crops(pictures)) == expected
            assert encoder.encode(crops(pictures, dense=False)) == expected


def test_what_it_can_encode():
    assert can_encode(TransformSpec())
    for other in ({"size": None}, {"size": 513}, {"crop": False}, {"upscale": False}, {"color": "gray"}):
        assert not can_encode(TransformSpec(**other))
