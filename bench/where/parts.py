"""Each part of an image's way alone: processor time of one thread, on the same photographs.

They come in the order in which a run does them, so that each finds the caches as it does there: what the codec does
with one image before it takes the next one, and the rest for 32 images in a row. Of several rounds the least time
counts, image by image: what else the machine does only adds.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg

from cpu_fallback import codec
from cpu_fallback.decode import decode
from cpu_fallback.opencv import configure_opencv
from cpu_fallback.resample import Pixels, antialias, antialias_window, linear
from gpu_pack.formats.image_headers import Header, examine
from gpu_pack.formats.image_headers.scan import check_scan
from gpu_pack.geometry import crop_resize
from gpu_pack.recordio.framing import frame_pieces
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.reading_worker import READ_BATCH
from gpu_pack.types import Entry, TransformSpec

_SPEC = TransformSpec()
#: The scale of 1/8 at which libjpeg decodes brightness alone: Huffman decoding of everything, and next to nothing else.
_SMALLEST = 8


class Stopwatch:
    """Keeps the least time of each part of each photo, or of each batch of photos."""

    def __init__(self) -> None:
        self._least: dict[tuple[Any, str], int] = {}

    def time(self, of: Any, part: str, call: Callable[..., Any], *args: Any) -> Any:
        began = time.thread_time_ns()
        result = call(*args)
        spent = time.thread_time_ns() - began
        self._least[of, part] = min(spent, self._least.get((of, part), spent))
        return result

    def microseconds(self, images: int) -> dict[str, float]:
        parts: dict[str, float] = {}
        for (_, part), spent in self._least.items():
            parts[part] = parts.get(part, 0.0) + spent / 1000 / images
        return parts


def measure(photos: Sequence[Path], out: Path, rounds: int) -> dict[str, float]:
    """Microseconds an image by part, the mean of all photos.

    Args:
        out: a file to write to, on the disk that a run would write to.
    """
    configure_opencv()
    watch, buffer = Stopwatch(), np.empty(1 << 28, np.uint8)
    entries = [Entry(key, (1.0,), str(photo), photo.stat().st_size) for key, photo in enumerate(photos)]
    batches = [entries[first : first + READ_BATCH] for first in range(0, len(entries), READ_BATCH)]
    with out.open("wb", buffering=0) as file:
        for _ in range(rounds):
            for number, batch in enumerate(batches):
                _batch(watch, number, batch, file.fileno(), buffer)
            file.seek(0)
    return watch.microseconds(len(photos))


def _batch(watch: Stopwatch, number: int, batch: Sequence[Entry], out: int, buffer: Pixels) -> None:
    """The parts that a run does with one image after the other, and what each thread does with one image at a time."""
    images = watch.time(number, "read", lambda: list(LocalStore("").read_many(batch)))
    datas = [image.data for image in images]
    headers = watch.time(number, "headers in a row", lambda: [examine(data, _SPEC.max_pixels) for data in datas])
    watch.time(number, "scan for markers", lambda: [*map(check_scan, datas, headers)])
    records = [_codec(watch, image.entry.key, image.data, buffer) for image in images]
    for name, files in (("record", records), ("file", datas)):
        pieces = watch.time(number, f"frame a {name}", lambda files=files: [_framed(data) for data in files])
        watch.time(number, f"hash a {name}", lambda files=files: [hashlib.sha256(data).digest() for data in files])
        watch.time(number, f"write a {name}", os.writev, out, [piece for record in pieces for piece in record])


def _codec(watch: Stopwatch, key: int, data: bytes, buffer: Pixels) -> bytes:
    header = watch.time(key, "header", examine, data, _SPEC.max_pixels)
    watch.time(key, "Huffman decoding", _huffman, data, header, buffer)
    box = crop_resize(*header.upright_size, _SPEC)
    pixels = watch.time(key, "decode, linear", decode, data, header, "rgb")
    square = pixels[box.y : box.y + box.box_height, box.x : box.x + box.box_width]
    small = watch.time(key, "resize, linear", linear, square, box.width, box.height)
    reduction = codec._reduction(header, box, _SPEC)
    pixels = watch.time(key, "decode, antialias", decode, data, header, "rgb", reduction)
    square = pixels[box.y : box.y + box.box_height, box.x : box.x + box.box_width]
    if reduction == 1:
        watch.time(key, "resize, antialias", antialias, square, box.width, box.height)
    else:
        window = codec._window(header, box, reduction)
        watch.time(key, "resize, antialias", antialias_window, pixels, window, box.width, box.height)
    return bytes(watch.time(key, "encode", _encode, small))


def _framed(data: bytes) -> Sequence[bytes]:
    return frame_pieces(1, (1.0,), data)


def _huffman(data: bytes, header: Header, buffer: Pixels) -> None:
    height, width = -(-header.height // _SMALLEST), -(-header.width // _SMALLEST)
    simplejpeg.decode_jpeg(data, "GRAY", min_height=height, min_width=width, buffer=buffer)


def _encode(pixels: Pixels) -> bytes:
    return bytes(cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, _SPEC.quality))[1].tobytes())
