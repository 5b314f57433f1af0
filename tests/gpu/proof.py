"""Data of a proof that went well, for tests to spoil, and a stand-in for NVIDIA's MPS daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.gpu.parts import PARTS

#: Keeps a process as its daemon; REFUSE makes it fail, as it does without permission.
_DAEMON = """#!/bin/sh
folder="$CUDA_MPS_PIPE_DIRECTORY"
pid="$folder/nvidia-cuda-mps-control.pid"
if [ "$1" = -d ]; then
    [ -z "$REFUSE" ] || { echo "Cannot start:  no permission"; exit 1; }
    setsid sleep 300 >/dev/null 2>&1 &
    echo $! > "$pid"
    exit 0
fi
read command
case "$command" in
    quit) kill "$(cat "$pid")";;
    get_server_list) echo 4711;;
esac
"""


def mps_daemon(folder: Path) -> Path:
    """A folder for PATH with a `nvidia-cuda-mps-control` in it."""
    folder.mkdir()
    program = folder / "nvidia-cuda-mps-control"
    program.write_text(_DAEMON, encoding="utf-8")
    program.chmod(0o755)
    return folder


def trial(rate: float, engines: int | None = 60, **settings: Any) -> dict[str, Any]:
    settings = {"encoder": "cuda", "hw_decoder_load": 1.0, "processes": 4, "batch_size": 128, **settings}
    busy = None if engines is None else {"min": 0, "mean": engines / 2, "max": engines, "samples": 12}
    gpu = {"min": 10, "mean": 20.0, "max": 30, "samples": 12}
    return {"call": 1, "seconds": 9.0, "settings": settings, "images/s": rate, "engines": busy, "gpu": gpu}


def under_load(**changes: Any) -> dict[str, Any]:
    return {
        "images_per_second": 21000.4,
        "jpeg_engines": "busy up to 80 %",
        "compared": 19_990,
        "identical": 10,
        "in one file only": 0,
        "mean": 44.1,
        "worst": 33.0,
        "repeats with other bytes": 0,
        "under 30 dB": [],
        **changes,
    }


def proof() -> dict[str, Any]:
    """What a machine that does everything right would give; the figures are made up."""
    gpu = {
        "number": 0,
        "name": "GPU",
        "memory": 80 << 30,
        "compute": "9.0",
        "jpeg_engines": 7,
        "jpeg_engines_reason": "",
    }
    defaults = {"encoder": "auto", "hw_decoder_load": 1.0, "processes": None, "batch_size": 128}
    run = {device: {"images_per_second": rate} for device, rate in (("cpu", 9000), ("gpu", 22_000), ("hybrid", 24_000))}
    parts: dict[str, Any] = {part: {"complete": True, "items": {}} for part in PARTS}
    parts["facts"]["items"] = {
        "machine": {
            "gpus": [gpu],
            "driver": "580.1",
            "versions": {"nvidia-dali-cuda130": "2.4.0"},
            "defaults": defaults,
        }
    }
    parts["sweep"]["items"] = {
        "half": trial(20_000, hw_decoder_load=0.5),
        "none": trial(9_000, engines=0, hw_decoder_load=0.0),
        "all": trial(23_000, processes=6),
        "coarse": trial(25_000, fancy_upsampling=False),
    }
    parts["side_by_side"]["items"] = {"round 1": run, "round 2": run}
    parts["under_load"]["items"] = {"load=1": under_load()}
    parts["mps"]["items"] = {"all": trial(24_000, processes=8)}
    return {"rehearsal": False, "machine": {"gpu": "GPU"}, "calls": ["PHOTOS"], "parts": parts}
