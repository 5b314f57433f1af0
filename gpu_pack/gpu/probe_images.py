"""Pictures of our own: one to tell whether the device works, one to try encoders with."""

from __future__ import annotations

import cv2
import numpy as np

from gpu_pack.geometry import plan
from gpu_pack.gpu.protocols import Request
from gpu_pack.types import TransformSpec


def known_good(spec: TransformSpec) -> Request:
    """A small picture that every decoder takes."""
    picture = np.full((32, 48, 3), 200, np.uint8)
    return Request(cv2.imencode(".jpg", picture)[1].tobytes(), plan(48, 32, spec), (31, 47))


def photograph(spec: TransformSpec) -> Request:
    """A JPEG with detail at every scale, as photographs have."""
    generator = np.random.default_rng(0)
    picture = np.zeros((375, 500, 3), np.float32)
    for step in (1, 4, 16, 64):
        noise = generator.normal(0, 12 * step**0.5, (375 // step + 1, 500 // step + 1, 3)).astype(np.float32)
        picture += cv2.resize(noise, (500, 375), interpolation=cv2.INTER_LINEAR)
    data = cv2.imencode(".jpg", np.clip(picture + 128, 0, 255).astype(np.uint8))[1].tobytes()
    return Request(data, plan(500, 375, spec), (0, 0))
