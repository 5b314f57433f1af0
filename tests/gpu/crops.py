"""Batches of crops for the encoders, and the files that OpenCV makes of them."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from gpu_pack.gpu.cuda_encoder import CudaEncoder, Launch
from gpu_pack.gpu.protocols import Crops
from gpu_pack.types import TransformSpec
from tests.gpu.device import context
from tests.gpu.pictures import photograph


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


def crops(pictures: list[np.ndarray], dense: bool = True) -> Crops:
    """Of BGR pictures of one size."""
    pixels = np.ascontiguousarray(np.stack(pictures)[..., ::-1])
    return Crops(Tensors(pixels, dense), [pixels.shape[2:0:-1]] * len(pixels), 3, [])


@functools.cache
def kinds(edge: int) -> dict[str, np.ndarray]:
    """BGR pictures that make the longest codes, the longest runs, the most 0xFF, and the greatest differences."""
    generator = np.random.default_rng(edge)
    noise = generator.integers(0, 256, (edge, edge, 3), np.uint8)
    checkered = (np.indices((edge, edge)).sum(0) % 2 * 255).astype(np.uint8)
    gradient = np.indices((edge, edge)).sum(0) * 255 // max(2 * edge - 2, 1)
    corner = np.zeros((edge, edge, 3), np.uint8)
    corner[-1, -1] = (0, 128, 255)
    return {
        "photo": photograph(edge, edge),
        "noise": noise,
        "flat": np.full_like(noise, 255),
        "gradient": np.dstack([gradient, gradient[::-1], gradient[:, ::-1]]).astype(np.uint8),
        "checkered": np.dstack([checkered] * 3),
        "extremes": np.where(noise > 127, 255, 0).astype(np.uint8),
        "corner": corner,
    }


@functools.cache
def expected(edge: int, quality: int) -> list[bytes]:
    """OpenCV's files of the `kinds`."""
    return [opencv(picture, quality) for picture in kinds(edge).values()]


def opencv(picture: np.ndarray, quality: int) -> bytes:
    """The 4:2:0 JPEG file of a BGR picture."""
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling])[1].tobytes()


def differing(launch: Launch, edge: int, quality: int) -> list[str]:
    """The `kinds` of pictures whose files, encoded in one batch, are not OpenCV's."""
    pictures = kinds(edge)
    spec = TransformSpec(size=edge, quality=quality)
    encoder = CudaEncoder(context(spec, "cpu", batch_size=len(pictures) + 1), launch)
    files = encoder.encode(crops(list(pictures.values())))
    outcomes = zip(pictures, files, expected(edge, quality), strict=True)
    return [f"{kind}, edge {edge}, quality {quality}" for kind, file, opencvs in outcomes if file != opencvs]
