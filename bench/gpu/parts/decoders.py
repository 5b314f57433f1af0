"""PSNR of the GPU path's crops against the CPU fallback's, one worker, with each of the decoder's settings."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np

from bench.gpu.measure import codec, failures, open_gpu, psnr
from bench.gpu.record import Figures
from bench.gpu.session import Session
from gpu_pack.types import Encoded, Interp, TransformSpec


def decoders(session: Session) -> None:
    interps: tuple[Interp, ...] = ("antialias", "linear")
    for fancy, interp in itertools.product((True, False), interps):
        key = f"{interp}, fancy_upsampling={fancy}"
        session.item(key, session.expected(5 if session.rehearsal else 25), partial(_compare, session, interp, fancy))


def _compare(session: Session, interp: Interp, fancy: bool) -> Figures:
    """By load. If engines and CUDA decode alike, ``bytes that differ from load 1`` is 0."""
    images, spec = session.images(32 if session.rehearsal else 256), TransformSpec(interp=interp)
    expected = [codec(spec)(image) for image in images]
    at_first: list[bytes] = []
    figures: Figures = {}
    for load in (1.0,) if session.rehearsal else (1.0, 0.0, 0.75):
        settings = session.settings(
            workers=1, encoder="cpu", fancy_upsampling=fancy, hw_decoder_load=load, check_corners=False
        )
        (worker,) = open_gpu(spec, settings)
        size = worker.batch_size
        parts = (images[start : start + size] for start in range(0, len(images), size))
        outcomes = [outcome for part in parts for outcome in worker.transform(part)]
        pairs = [
            (one, other)
            for one, other in zip(outcomes, expected, strict=True)
            if isinstance(one, Encoded) and isinstance(other, Encoded) and one.backend == "gpu"
        ]
        datas = [one.data for one, _ in pairs]
        at_first = at_first or datas
        values = [psnr(one.data, other.data) for one, other in pairs]
        figures[f"load={load:g}"] = {
            "images": len(values),
            "mean": round(float(np.mean(values)), 2) if values else None,
            "worst": round(min(values), 2) if values else None,
            "other sizes": sum(one[2:4] != other[2:4] for one, other in pairs),
            "bytes that differ from load 1": sum(one != other for one, other in zip(datas, at_first, strict=False)),
            "said": failures([worker]),
        }
        worker.close()
    return figures
