"""The batched encoder's CUDA source, compiled for the host, against OpenCV: the same files, byte for byte."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gpu_pack.gpu.cuda_encoder import CudaEncoder, can_encode
from gpu_pack.gpu.protocols import Crops
from gpu_pack.types import TransformSpec
from tests.gpu import host_kernels
from tests.gpu.device import context
from tests.gpu.host_kernels import COMPILER, HostLaunch
from tests.gpu.pictures import photograph

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler to build the kernels with")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return host_kernels.folder(tmp_path_factory)


class Tensors:
    """A batch as DALI hands it out."""

    def __init__(self, pixels: np.ndarray, dense: bool = True) -> None:
        self.pixels, self.dense = pixels, dense

    def is_dense_tensor(self) -> bool:
        return self.dense

    def as_tensor(self) -> Tensors:
        assert self.dense
        return self

    def data_ptr(self) -> int:
        return self.pixels.ctypes.data

    def __getitem__(self, index: int) -> Tensors:
        return Tensors(self.pixels[index])


def rgb(pictures: list[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(np.stack(pictures)[..., ::-1])


def crops(pixels: np.ndarray, dense: bool = True) -> Crops:
    return Crops(Tensors(pixels, dense), [pixels.shape[2:0:-1]] * len(pixels), 3, [])


def opencv(picture: np.ndarray, quality: int) -> bytes:
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling])[1].tobytes()


def kinds(edge: int) -> list[np.ndarray]:
    """Photographs, noise (the longest codes, the most 0xFF), flat, checkered, one hot corner."""
    generator = np.random.default_rng(edge)
    noise = generator.integers(0, 256, (edge, edge, 3), np.uint8)
    checkered = (np.indices((edge, edge)).sum(0) % 2 * 255).astype(np.uint8)
    corner = np.zeros((edge, edge, 3), np.uint8)
    corner[-1, -1] = (0, 128, 255)
    pictures = [photograph(edge, edge, seed) for seed in range(2)]
    return [
        *pictures,
        noise,
        np.full_like(noise, 255),
        np.dstack([checkered] * 3),
        np.where(noise > 127, 255, 0),
        corner,
    ]


@pytest.mark.parametrize("quality", [1, 30, 75, 95, 100])
@pytest.mark.parametrize("edge", [224, 16])
def test_the_files_are_opencvs(folder, edge, quality):
    pictures = [picture.astype(np.uint8) for picture in kinds(edge)]
    encoder = CudaEncoder(context(TransformSpec(size=edge, quality=quality), "cpu", batch_size=8), HostLaunch(folder))
    files = encoder.encode(crops(rgb(pictures)))
    assert [file == opencv(picture, quality) for file, picture in zip(files, pictures, strict=True)] == [True] * 7


@pytest.mark.parametrize("edge", [1, 2, 7, 8, 9, 15, 17, 23, 24, 25, 31, 33, 111])
def test_edges_that_are_no_whole_blocks(folder, edge):
    pictures = [picture.astype(np.uint8) for picture in kinds(edge)]
    encoder = CudaEncoder(context(TransformSpec(size=edge), "cpu", batch_size=8), HostLaunch(folder))
    files = encoder.encode(crops(rgb(pictures)))
    assert [file == opencv(picture, 95) for file, picture in zip(files, pictures, strict=True)] == [True] * 7


@pytest.mark.parametrize("leap", [1, 7, 100_003])
def test_the_order_of_threads_does_not_matter(folder, leap):
    pictures = [photograph(48, 48, seed) for seed in range(5)]
    encoder = CudaEncoder(context(TransformSpec(size=48), "cpu", batch_size=5), HostLaunch(folder, leap))
    assert encoder.encode(crops(rgb(pictures))) == [opencv(picture, 95) for picture in pictures]


def test_batches_of_changing_size_and_length_leave_nothing_behind(folder):
    encoder = CudaEncoder(context(TransformSpec(size=40, quality=100), "cpu", batch_size=9), HostLaunch(folder))
    generator = np.random.default_rng(5)
    for count in (9, 1, 4, 9, 2):
        for noise in (255, 10, 1):
            pictures = [generator.integers(0, noise + 1, (40, 40, 3), np.uint8) for _ in range(count)]
            expected = [opencv(picture, 100) for picture in pictures]
            assert encoder.encode(crops(rgb(pictures))) == expected
            assert encoder.encode(crops(rgb(pictures), dense=False)) == expected


def test_what_it_can_encode():
    assert can_encode(TransformSpec())
    for other in ({"size": None}, {"size": 513}, {"crop": False}, {"upscale": False}, {"color": "gray"}):
        assert not can_encode(TransformSpec(**other))
