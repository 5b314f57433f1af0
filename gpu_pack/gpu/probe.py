"""Finds out whether a GPU can be used, without importing CUDA, DALI or CuPy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec

from gpu_pack.gpu.driver import NO_VIDEO, Driver, DriverError, Gpu, Load, has_video, load_library

#: What the GPU path imports, and the distributions that install it, for CUDA 13 and for CUDA 12.
PACKAGES = {
    "nvidia.dali": ("nvidia-dali-cuda130", "nvidia-dali-cuda120"),
    "nvidia.nvimgcodec": ("nvidia-nvimgcodec-cu13", "nvidia-nvimgcodec-cu12"),
    "cupy": ("cupy-cuda13x", "cupy-cuda12x"),
}
#: Distributions whose versions decide the GPU path's pixels: DALI, nvImageCodec, and nvJPEG, which these load.
_PIXELS = (*PACKAGES["nvidia.dali"], *PACKAGES["nvidia.nvimgcodec"], "nvidia-nvjpeg", "nvidia-nvjpeg-cu12")
#: CUDA 13 supports no GPU older than Turing.
_CUDA13_COMPUTE = (7, 5)
_USE_CPU = "--device cpu runs without a GPU."


@dataclass(frozen=True)
class Probe:
    """What was found.

    Attributes:
        usable: whether ``--device gpu`` can work.
        reason: why, or why not; half a sentence without a full stop.
        cure: what to do so that it can, in full sentences; empty if it can.
        gpus: the devices that the driver shows, usable or not.
        cuda: the newest CUDA version that the driver supports; None without a driver.
    """

    usable: bool
    reason: str
    cure: str = ""
    gpus: tuple[Gpu, ...] = ()
    cuda: tuple[int, int] | None = None


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _has_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # its package is missing or broken
        return False


@dataclass(frozen=True)
class Machine:
    """How a machine is examined; the defaults examine this one.

    Attributes:
        system: as `sys.platform`.
        load: loads a C library.
        distribution: a distribution's metadata; None if it is not installed.
        has_module: whether a module can be imported.
    """

    system: str = sys.platform
    load: Load = load_library
    distribution: Callable[[str], Distribution | None] = _distribution
    has_module: Callable[[str], bool] = _has_module

    def version(self, name: str) -> str | None:
        """A distribution's version; None if it is not installed."""
        found = self.distribution(name)
        return found.version if found else None

    def pixel_versions(self) -> dict[str, str]:
        """Versions of the installed distributions that decide the GPU path's pixels."""
        found = {name: self.version(name) for name in _PIXELS}
        return {name: version for name, version in found.items() if version}

    def missing(self, extra: str) -> list[str]:
        """The distributions of ``cuda13`` or ``cuda12`` whose modules cannot be imported."""
        return [names[extra == "cuda12"] for module, names in PACKAGES.items() if not self.has_module(module)]

    def install_line(self, extra: str) -> str:
        """The command that installs the pinned packages of ``cuda13`` or ``cuda12``."""
        found = self.distribution("gpu-pack")  # None if it runs from its source tree
        needs = [need.replace("'", '"') for need in (found and found.requires) or ()]
        pins = [need.partition(";")[0].strip() for need in needs if f'extra == "{extra}"' in need]
        return "pip install " + " ".join(f"'{pin}'" for pin in pins or [f".[{extra}]"])


def probe(machine: Machine | None = None) -> Probe:
    """Examine driver, devices and packages. Never raises."""
    try:
        return _probe(machine or Machine())
    except Exception as error:  # from a broken installation
        return Probe(False, f"the GPU cannot be examined: {error}", "`gpu-pack doctor` shows more. " + _USE_CPU)


def _probe(machine: Machine) -> Probe:
    if machine.system != "linux":
        system = {"darwin": "macOS", "win32": "Windows"}.get(machine.system, machine.system)
        cure = "On Windows, WSL 2 is Linux. " if system == "Windows" else ""
        return Probe(False, f"NVIDIA DALI runs on Linux only, and this is {system}", cure + _USE_CPU)
    try:
        driver = Driver(machine.load)
        gpus = driver.gpus()
    except DriverError as error:
        then = f" Then: {machine.install_line('cuda13')}." if machine.missing("cuda13") else ""
        return Probe(False, str(error), f"{error.cure}{then} {_USE_CPU}")
    if gpus:
        reason, cure = _assess(machine, gpus, driver.cuda)
    else:
        reason = "the NVIDIA driver shows no GPU"
        cure = f"Is CUDA_VISIBLE_DEVICES set, or the container started without --gpus? {_USE_CPU}"
    return Probe(not cure, reason, cure, gpus, driver.cuda)


def _assess(machine: Machine, gpus: tuple[Gpu, ...], cuda: tuple[int, int]) -> tuple[str, str]:
    """(reason, cure) for a machine with GPUs; the cure is empty if nothing is missing."""
    version, name = "{}.{}".format(*cuda), gpus[0].name
    if cuda < (12, 0):
        reason = f"the NVIDIA driver is too old: it supports CUDA {version}, and gpu-pack needs 12.0 or newer"
        return reason, f"Update the driver. {_USE_CPU}"
    extra = "cuda13" if cuda >= (13, 0) and all(gpu.compute >= _CUDA13_COMPUTE for gpu in gpus) else "cuda12"
    if missing := machine.missing(extra):
        return f"{name} is there, but not {', '.join(missing)}", f"Install them: {machine.install_line(extra)}"
    newer = [new for new, _ in PACKAGES.values() if machine.version(new)]
    if extra == "cuda12" and newer:
        limit = f"the driver supports CUDA {version}" if cuda < (13, 0) else f"{name} needs CUDA 12"
        cure = f"Replace them: pip uninstall -y {' '.join(newer)} && {machine.install_line(extra)}"
        return f"the installed GPU packages are for CUDA 13, and {limit}", cure
    names = ", ".join(sorted({gpu.name for gpu in gpus}))
    return names if has_video(machine.load) else f"{names}; {NO_VIDEO}", ""
