"""Chooses a worker's encoder: the one that was asked for or, under ``auto``, the fastest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gpu_pack.gpu.cuda_encoder import can_encode
from gpu_pack.gpu.gpu_worker import summarize
from gpu_pack.gpu.kernel_check import check_files
from gpu_pack.gpu.protocols import Crops, Encoder, WorkerContext
from gpu_pack.types import EncoderName

_TRIALS = 3
MakeEncoder = Callable[[WorkerContext], Encoder]


class ChosenEncoder(NamedTuple):
    """An encoder, and why ``auto`` left others out, a clause for each."""

    encoder: Encoder
    left_out: tuple[str, ...] = ()


def choose_encoder(
    context: WorkerContext,
    makers: Mapping[EncoderName, MakeEncoder],
    sample: Callable[[], Crops],
    clock: Callable[[], float] = time.perf_counter,
) -> ChosenEncoder:
    """The encoder that ``context.settings`` ask for; ``cpu`` where ``cuda`` cannot encode the spec.

    Wherever ``cuda`` is made, it is checked (`check_files`) before it is used.

    Args:
        makers: makes the encoders, by name.
        sample: gives the crops that ``auto`` compares encoders with; called for nothing else.
        clock: seconds.

    Raises:
        RuntimeError: the encoder that was asked for cannot be made, or is ``cuda`` and makes wrong files.
        Exception: under ``auto``, each of them fails; the first one's error.
    """
    name = context.settings.encoder
    has_kernels = can_encode(context.spec)
    if name == "auto":
        names: list[EncoderName] = ["cpu", "nvjpeg", "cuda"] if has_kernels else ["cpu", "nvjpeg"]
        return _fastest({each: makers[each] for each in names}, context, sample(), clock)
    if name == "cuda" and not has_kernels:
        name = "cpu"
    try:
        return ChosenEncoder(_make(name, makers, context))
    except Exception as error:
        raise RuntimeError(f"encoder={name} (--encoder {name}): {summarize(error)}") from error


def _make(name: EncoderName, makers: Mapping[EncoderName, MakeEncoder], context: WorkerContext) -> Encoder:
    encoder = makers[name](context)
    if name == "cuda":
        try:
            check_files(encoder, context)
        except BaseException:
            encoder.close()
            raise
    return encoder


def _time(encoder: Encoder, crops: Crops, clock: Callable[[], float]) -> float:
    """Seconds for the crops; infinite where it refuses some."""
    encoder.encode(crops)  # allocates
    least = float("inf")
    for _ in range(_TRIALS):
        start = clock()
        refused = None in encoder.encode(crops)
        least = least if refused else min(least, clock() - start)
    return least


def _fastest(
    makers: Mapping[EncoderName, MakeEncoder], context: WorkerContext, crops: Crops, clock: Callable[[], float]
) -> ChosenEncoder:
    """The encoder that takes the least time here. One that fails is left out; the first error if all do.

    A trial with one worker says little about several side by side; ``bench/prove_gpu.py`` measures these.
    """
    best: Encoder | None = None
    least = float("inf")
    failures: dict[EncoderName, Exception] = {}
    for name in makers:
        try:
            encoder = _make(name, makers, context)
            seconds = _time(encoder, crops, clock)
        except Exception as error:
            failures[name] = error.with_traceback(None)  # whose frames reference what it allocated
            continue
        if best is not None and seconds >= least:
            encoder.close()
            continue
        if best is not None:
            best.close()
        best, least = encoder, seconds
    if best is None:
        raise next(iter(failures.values()))
    told = tuple(f"encoder=auto leaves out {name}: {summarize(error)}" for name, error in failures.items())
    return ChosenEncoder(best, told)
