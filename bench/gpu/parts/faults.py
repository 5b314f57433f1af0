"""Each kind of damage among good images: its verdict, whether the others are bit-exact, and what it costs."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import cv2
import numpy as np

from bench.gpu.measure import codec, failures, open_gpu
from bench.gpu.record import Figures
from bench.gpu.session import Session
from gpu_pack.formats.image_headers import read_header
from gpu_pack.types import Encoded, Entry, Image, Rejected, TransformSpec

_SPEC = TransformSpec()


def faults(session: Session) -> None:
    good = (session.images(15) * 15)[:15]
    # By the engines and by CUDA; the encoders by the engines alone.
    for encoder, load in (
        (("cpu", 1.0), ("nvjpeg", 1.0))
        if session.rehearsal
        else (("cpu", 1.0), ("cpu", 0.0), ("nvjpeg", 1.0), ("cuda", 1.0))
    ):
        channel = _Channel(session, good, encoder, load)
        for name, data in damaged(good[0].data).items():
            expected = 5.0 if session.rehearsal else 15.0
            session.item(f"{encoder}, load={load:g}, {name}", expected, partial(channel.measure, data))
        channel.close()


class _Channel:
    """A worker, opened when something is to be measured."""

    def __init__(self, session: Session, good: list[Image], encoder: str, load: float) -> None:
        self._settings = session.settings(workers=1, batch_size=16, encoder=encoder, hw_decoder_load=load)
        self._good, self._worker, self._alone = good, None, []  # type: ignore[var-annotated]

    def measure(self, data: bytes) -> Figures:
        worker = self._open()
        batch = [*self._good[:7], Image(Entry(99, (0.0,), "odd"), data), *self._good[7:]]
        before = failures([worker])
        begin = time.perf_counter()
        outcomes = worker.transform(batch)
        milliseconds = 1000 * (time.perf_counter() - begin)
        odd = outcomes.pop(7)
        others = [outcome.data for outcome in outcomes if isinstance(outcome, Encoded)]
        by_gpu = isinstance(odd, Encoded) and odd.backend == "gpu"
        return {
            "verdict": f"packed by {odd.backend}" if isinstance(odd, Encoded) else f"rejected: {odd.reason}",
            "silent": by_gpu and isinstance(codec(_SPEC)(batch[7]), Rejected),
            "others_exact": others == self._alone,
            "milliseconds": round(milliseconds),
            "said": [reason for reason, count in failures([worker]).items() if count > before.get(reason, 0)],
        }

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()

    def _open(self) -> Any:
        if self._worker is None:
            (self._worker,) = open_gpu(_SPEC, self._settings)
            outcomes = self._worker.transform(self._good)
            self._alone = [outcome.data for outcome in outcomes if isinstance(outcome, Encoded)]
        return self._worker


def damaged(data: bytes) -> dict[str, bytes]:
    """A good JPEG, damaged or disguised in every way that decoders are known to be sensitive to."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    scan, middle = read_header(data).body, len(data) // 2
    tables = data.index(b"\xff\xc4")

    def encoded(suffix: str, *options: int) -> bytes:
        return cv2.imencode(suffix, picture, list(options))[1].tobytes()

    return {
        "none": data,
        "empty": b"",
        "text": b"not an image " * 40,
        "half": data[:middle],
        "no end marker": data[:-2],
        "header only": data[:scan],
        "flipped bits": data[:middle] + bytes(byte ^ 0x5A for byte in data[middle : middle + 16]) + data[middle + 16 :],
        "foreign block": data[:middle] + b"\xff\x02" * 512 + data[middle + 1024 :],
        "zeros": data[:middle] + bytes(1024) + data[middle + 1024 :],
        "short scan": data[: scan + (len(data) - scan) // 3] + b"\xff\xd9",
        "Huffman table": data[: tables + 5] + b"\x7f" * 16 + data[tables + 21 :],
        "junk between segments": data[:tables] + b"\0junk" + data[tables:],
        "progressive": encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "restart markers": encoded(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 3),
        "4:1:1": encoded(".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411),
        "gray": cv2.imencode(".jpg", picture[:, :, 1])[1].tobytes(),
        "png": encoded(".png"),
        "one pixel": cv2.imencode(".jpg", picture[:1, :1])[1].tobytes(),
    }
