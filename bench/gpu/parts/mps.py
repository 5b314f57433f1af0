"""A sweep under NVIDIA's Multi-Process Service, which prove_gpu.py has started."""

from __future__ import annotations

from bench.gpu.mps import servers
from bench.gpu.parts.sweep import START, Choices, descend
from bench.gpu.session import Session

_CHOICES: Choices = {"processes": (2, 4, 6, 8), "hw_decoder_load": (0.5, 0.75, 1.0), "batch_size": (64, 128, 256)}
_REHEARSED: Choices = {"processes": (1,)}


def mps(session: Session) -> None:
    start = session.best or {**START, **({"processes": 1, "workers": 1, "batch_size": 16} if session.rehearsal else {})}
    descend(session, _REHEARSED if session.rehearsal else _CHOICES, start)
    session.item("servers", 5, _servers)


def _servers() -> dict[str, int]:
    if not (count := servers()):
        raise SystemExit("the daemon has started no server, so the processes ran beside MPS and not under it")
    return {"count": count}
