"""``gpu-pack doctor``: which device a run would use here, and what to install."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from typing import Any

from gpu_pack import __version__
from gpu_pack.gpu.driver import driver_version, jpeg_engines
from gpu_pack.gpu.probe import PACKAGES, Machine, Probe, probe
from gpu_pack.types import available_cores

#: Distributions that bring OpenCV.
_OPENCVS = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")


@dataclass(frozen=True)
class GpuFacts:
    """One GPU.

    Attributes:
        memory: in bytes.
        compute: compute capability, e.g. ``9.0``.
        jpeg_engines: hardware JPEG decoders; None if unknown.
        jpeg_engines_reason: why they are unknown or cannot be used; empty if they can.
    """

    number: int
    name: str
    memory: int
    compute: str
    jpeg_engines: int | None
    jpeg_engines_reason: str


@dataclass(frozen=True)
class Diagnosis:
    """Everything that `render` shows.

    Attributes:
        device: what ``--device auto`` takes, ``gpu`` or ``cpu``.
        reason: why.
        cure: what to do so that the GPU is used; empty if it is.
        cores: that this process may use.
        driver: the NVIDIA driver's version; None if there is none.
        cuda: the newest CUDA version that it supports; None if there is no driver.
        versions: by distribution; None for those that are not installed.
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

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return asdict(self)


def diagnose(machine: Machine | None = None) -> Diagnosis:
    """Examine machine, driver and packages. Never raises."""
    machine = machine or Machine()
    found = probe(machine)
    return Diagnosis(
        device="gpu" if found.usable else "cpu",
        reason=found.reason,
        cure=found.cure,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cores=available_cores(),
        driver=driver_version(machine.load) if found.cuda else None,
        cuda="{}.{}".format(*found.cuda) if found.cuda else None,
        gpus=tuple(_facts(found, machine)),
        versions=_versions(machine),
    )


def diagnosis_json() -> dict[str, Any]:
    """This machine's diagnosis as plain values."""
    return diagnose().to_json()


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


def _facts(found: Probe, machine: Machine) -> list[GpuFacts]:
    return [
        GpuFacts(
            gpu.number, gpu.name, gpu.memory, "{}.{}".format(*gpu.compute), *jpeg_engines(gpu.number, machine.load)
        )
        for gpu in found.gpus
    ]


def _describe(gpu: GpuFacts) -> str:
    engines = {None: "JPEG engines unknown", 0: "no JPEG engine", 1: "1 JPEG engine"}
    told = engines.get(gpu.jpeg_engines, f"{gpu.jpeg_engines} JPEG engines")
    told += f": {gpu.jpeg_engines_reason}" if gpu.jpeg_engines_reason else ""
    return f"{gpu.name}, {gpu.memory / 2**30:.1f} GiB, compute capability {gpu.compute}, {told}"


def _versions(machine: Machine) -> dict[str, str | None]:
    versions: dict[str, str | None] = {"Python": platform.python_version(), "gpu-pack": __version__}
    versions |= {name: machine.version(name) for name in ("numpy", "simplejpeg")}
    opencv = next((name for name in _OPENCVS if machine.version(name)), _OPENCVS[0])
    versions[opencv] = machine.version(opencv)
    for newer, older in PACKAGES.values():
        name = older if machine.version(older) and not machine.version(newer) else newer
        versions[name] = machine.version(name)
    return versions
