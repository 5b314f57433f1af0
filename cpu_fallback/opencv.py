"""OpenCV's process-wide settings, and its errors as reasons for a rejected image."""

from __future__ import annotations

from typing import Any

import cv2

from gpu_pack.formats.image_headers import ImageError
from gpu_pack.types import Stage

_SILENT = 0
_log: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV 4.10 has setLogLevel at the top


def configure_opencv() -> None:
    """Turn off OpenCV's own threads and its log, for the whole process.

    The parallelism is over images, and what the log says of a bad image is already its reason. Some of the libraries
    inside OpenCV print to standard error without the log; that is left alone.
    """
    cv2.setNumThreads(1)
    _log.setLogLevel(_SILENT)


def image_error(error: cv2.error | MemoryError, verb: str, stage: Stage) -> ImageError:
    """Why OpenCV could not ``verb`` an image, for its reject."""
    if isinstance(error, MemoryError):
        return ImageError(f"there is not enough memory to {verb}", stage, "too-large")
    reason = " ".join(str(getattr(error, "err", None) or error).split())
    return ImageError(
        f"OpenCV {cv2.__version__} cannot {verb}: {reason}", stage, "not-encoded" if stage == "encode" else "damaged"
    )
