"""Generated images: one that checks the device, one that compares encoders."""

from __future__ import annotations

import cv2
import numpy as np

from gpu_pack.geometry import crop_resize
from gpu_pack.gpu.protocols import DecodeRequest
from gpu_pack.types import TransformSpec


def device_check_request(spec: TransformSpec) -> DecodeRequest:
    """A small valid JPEG: if it fails, the device is broken."""
    return _request(np.full((32, 48, 3), 200, np.uint8), spec)


def benchmark_request(spec: TransformSpec) -> DecodeRequest:
    """A JPEG of 500 x 375 with detail at every scale, like a photograph."""
    generator = np.random.default_rng(0)
    picture = np.zeros((375, 500, 3), np.float32)
    for step in (1, 4, 16, 64):
        noise = generator.normal(0, 12 * step**0.5, (375 // step + 1, 500 // step + 1, 3)).astype(np.float32)
        picture += cv2.resize(noise, (500, 375), interpolation=cv2.INTER_LINEAR)
    return _request(np.clip(picture + 128, 0, 255).astype(np.uint8), spec)


def _request(picture: np.ndarray, spec: TransformSpec) -> DecodeRequest:
    height, width = picture.shape[:2]
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    return DecodeRequest(data, crop_resize(width, height, spec), (height - 1, width - 1))
