"""Test pictures and their files, made on the spot."""

from __future__ import annotations

import functools
import struct

import cv2
import numpy as np

from gpu_pack.types import Entry, Image

SAMPLINGS = {
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:4:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    "4:1:1": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}


def photograph(width: int, height: int, seed: int = 0) -> np.ndarray:
    """BGR with detail at every scale, falling off towards the fine ones as it does in photographs."""
    return _photograph(width, height, seed).copy()


@functools.lru_cache(100)
def _photograph(width: int, height: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 128, np.float32)
    for step in (1, 2, 4, 8, 16, 32, 64, 128):
        size = (height // step + 2, width // step + 2, 3)
        noise = generator.normal(0, 2 * step**0.6, size).astype(np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(picture, 0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray, sampling: str = "4:2:0", quality: int = 90, progressive: bool = False) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling]]
    return cv2.imencode(".jpg", picture, options)[1].tobytes()


def png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def oriented(data: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF segment that holds nothing but the orientation."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def images(datas: list[bytes]) -> list[Image]:
    return [Image(Entry(key, (0.0,), f"{key}.jpg"), data) for key, data in enumerate(datas)]


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal to noise ratio in dB; 99 for equal pictures."""
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))
