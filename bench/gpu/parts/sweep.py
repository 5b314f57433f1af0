"""Images/s of the workers at each value of each setting, the others at their best so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from bench.gpu.measure import open_groups, rate
from bench.gpu.record import Figures
from bench.gpu.session import Session
from bench.gpu.utilisation import Utilisation, nvml
from bench.gpu.verdict import best_trial
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import TransformSpec

Choices = dict[str, tuple[Any, ...]]
Check = Callable[[], Figures]
#: What is tried of each setting; the most important first, since the last may be cut off.
CHOICES: Choices = {
    "encoder": ("cpu", "nvjpeg", "cuda"),
    "hw_decoder_load": (0.0, 0.5, 0.75, 1.0),
    "processes": (1, 2, 4, 6, 8),
    "batch_size": (64, 128, 256),
    "workers": (1, 2, 3),
    "threads": (1, 2, 4, 8),
    "hybrid_huffman_threshold": (0, 1_000_000),
    "fancy_upsampling": (False,),
    "check_scans": (False,),
}
START = {"encoder": "cpu", "hw_decoder_load": 1.0, "processes": 4, "workers": 2, "batch_size": 128}
_REHEARSED: Choices = {"encoder": ("cpu", "nvjpeg"), "hw_decoder_load": (1.0,), "batch_size": (8,)}
REHEARSED_START = {"encoder": "cpu", "hw_decoder_load": 1.0, "processes": 1, "workers": 1, "batch_size": 16}
#: A trial starts its processes anew, which takes most of its time.
_START_SECONDS = 20.0


def sweep(session: Session) -> None:
    if session.rehearsal:
        descend(session, _REHEARSED, REHEARSED_START)
    else:
        descend(session, CHOICES, START)


def descend(session: Session, choices: Choices, start: dict[str, Any], check: Check = dict) -> None:
    """Try each setting's values in turn. What is known already leads the same way again.

    Args:
        check: gives further figures of each trial while its processes run; it raises where the trial does not count.
    """
    best = start
    for setting, values in choices.items():
        for value in values:
            trial(session, {**best, setting: value}, check)
        found = best_trial(session.record.items(session.part))
        best = found["settings"] if found else start


def trial(session: Session, settings: dict[str, Any], check: Check) -> Figures:
    """One setting's rate, and how busy it kept the engines."""
    seconds = 0.3 if session.rehearsal else 4.0
    expected = session.expected((1.0 if session.rehearsal else _START_SECONDS) + seconds)
    key = ", ".join(f"{name}={value}" for name, value in sorted(settings.items()))
    return session.item(key, expected, lambda: _measure(session, settings, seconds, check))


def _measure(session: Session, settings: dict[str, Any], seconds: float, check: Check) -> Figures:
    busy = Utilisation(None if session.rehearsal else nvml())
    device = "cpu" if session.rehearsal else "gpu"
    threads = {"threads": 2} if session.rehearsal else {}
    groups = open_groups(TransformSpec(), GpuSettings(**{**threads, **settings, "device": device}))
    try:
        figures: Figures = {**rate(groups, session.entries(), seconds, busy), **check()}
        said = sum((group.failures for group in groups), Counter[str]())
    finally:
        for group in groups:
            group.close()
    if said:
        figures["said"] = dict(said.most_common(3))
    return {"settings": settings, **figures, **busy.figures()}
