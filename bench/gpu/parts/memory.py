"""Memory, on the host and on the GPU, of one long run over a list that names the photographs again and again."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.gpu.create import Sample, create
from bench.gpu.record import Figures
from bench.gpu.session import Session


def memory(session: Session) -> None:
    expected = 10.0 if session.rehearsal else 30 + session.images_wanted / 2000
    session.item("run", expected, lambda: _run(session))


def _run(session: Session) -> Figures:
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as scratch:
        figures = create(session, "gpu", session.images_wanted, Path(scratch) / "out", samples)
    figures["samples: seconds, resident MB, GPU MB"] = samples[:: max(1, len(samples) // 40)]
    second_half = samples[len(samples) // 2 : -1]  # in the last one the process may be gone by half
    if len(second_half) > 3:
        # Pools and caches fill in the first half; a leak would go on through the second.
        figures["growth in the second half, resident MB"] = round(second_half[-1][1] - second_half[0][1], 1)
        figures["growth in the second half, GPU MB"] = round(second_half[-1][2] - second_half[0][2], 1)
    return figures
