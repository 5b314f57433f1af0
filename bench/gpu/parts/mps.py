"""A sweep under NVIDIA's Multi-Process Service, which prove_gpu.py has started."""

from __future__ import annotations

from bench.gpu.mps import servers
from bench.gpu.parts.sweep import REHEARSED_START, START, Choices, descend
from bench.gpu.record import Figures
from bench.gpu.session import Session

_CHOICES: Choices = {"processes": (2, 4, 6, 8), "hw_decoder_load": (0.5, 0.75, 1.0), "batch_size": (64, 128, 256)}
_REHEARSED: Choices = {"processes": (1,)}


def mps(session: Session) -> None:
    """The settings that matter where processes share the GPU without time slices, from the sweep's best."""
    choices, start = (_REHEARSED, REHEARSED_START) if session.rehearsal else (_CHOICES, START)
    descend(session, choices, session.best or start, _servers)


def _servers() -> Figures:
    if not (count := servers()):
        raise SystemExit("the daemon has no server, so the processes ran beside MPS and not under it")
    return {"MPS servers": count}
