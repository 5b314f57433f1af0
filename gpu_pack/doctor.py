"""``gpu-pack doctor``: what would run here, on what, and what to install."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from gpu_pack import __version__
from gpu_pack.gpu.driver import Driver, driver_version, jpeg_engines
from gpu_pack.gpu.probe import PACKAGES, Probe, installed, probe

#: Other names under which OpenCV may have come in.
_OPENCVS = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")


@dataclass(frozen=True)
class GpuFacts:
    """One GPU.

    Attributes:
        memory: in bytes.
        compute: compute capability, e.g. ``9.0``.
        jpeg_engines: its hardware JPEG decoders; None where nvJPEG is not there to tell.
    """

    number: int
    name: str
    memory: int
    compute: str
    jpeg_engines: int | None


@dataclass(frozen=True)
class Diagnosis:
    """Everything that `render` shows.

    Attributes:
        device: what ``--device auto`` takes, ``gpu`` or ``cpu``.
        reason: why.
        cure: what to do for the GPU to be used; empty where it is.
        cores: how many this process may use.
        driver: the NVIDIA driver's version; None where there is none.
        cuda: the newest CUDA version that it supports; None likewise.
        versions: by distribution; None for what is not installed.
    """

    device: str
    reason: str
    cure: str
    system: str
    cores: int
    driver: str | None
    cuda: str | None
    gpus: tuple[GpuFacts, ...]
    versions: dict[str, str | None]

    def to_json(self) -> str:
        """An object with the attributes' names, indented."""
        return json.dumps(asdict(self), indent=2)


def diagnose() -> Diagnosis:
    """Look at machine, driver and packages. Never raises for what it finds or misses."""
    found = probe()
    return Diagnosis(
        device="gpu" if found.usable else "cpu",
        reason=found.reason,
        cure=found.cure,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        driver=driver_version() if found.cuda else None,
        cuda="{}.{}".format(*found.cuda) if found.cuda else None,
        gpus=tuple(_facts(found)),
        versions=_versions(),
    )


def render(diagnosis: Diagnosis) -> str:
    """The diagnosis for people, a few aligned lines."""
    lines = [
        ("device", f"auto takes the {diagnosis.device.upper()}: {diagnosis.reason}"),
        ("system", f"{diagnosis.system}, {diagnosis.cores} core{'s' if diagnosis.cores > 1 else ''}"),
    ]
    if diagnosis.cuda:
        lines.append(("driver", f"{diagnosis.driver or 'of unknown version'}, for CUDA up to {diagnosis.cuda}"))
    lines += [(f"gpu {gpu.number}", _describe(gpu)) for gpu in diagnosis.gpus]
    lines += [(name, found or "not installed") for name, found in diagnosis.versions.items()]
    width = max(len(name) for name, _ in lines)
    text = "\n".join(f"{name:{width}}  {value}" for name, value in lines)
    return f"{text}\n\nFor the GPU: {diagnosis.cure}" if diagnosis.cure else text


def _facts(found: Probe) -> list[GpuFacts]:
    facts = []
    for gpu in found.gpus:
        compute = "{}.{}".format(*gpu.compute)
        facts.append(GpuFacts(gpu.number, gpu.name, gpu.memory, compute, _engines(gpu.number)))
    return facts


def _engines(number: int) -> int | None:
    try:
        return jpeg_engines(Driver(), number)
    except Exception:  # a device that is full or out of order; the rest of the answer stands
        return None


def _describe(gpu: GpuFacts) -> str:
    engines = {None: "JPEG engines unknown without nvJPEG", 0: "no JPEG engine", 1: "1 JPEG engine"}
    told = engines.get(gpu.jpeg_engines, f"{gpu.jpeg_engines} JPEG engines")
    return f"{gpu.name}, {gpu.memory / 2**30:.1f} GiB, compute capability {gpu.compute}, {told}"


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {"Python": platform.python_version(), "gpu-pack": __version__}
    versions["numpy"] = _version("numpy")
    opencv = next((name for name in _OPENCVS if _version(name)), _OPENCVS[0])
    versions[opencv] = _version(opencv)
    there = dict(installed())
    for newer, older in PACKAGES.values():
        name = older if older in there and newer not in there else newer
        versions[name] = there.get(name)
    return versions


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
