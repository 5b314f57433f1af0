"""Is there a GPU, and can we use it? Asked before anything of CUDA, DALI or CuPy is imported."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from gpu_pack.gpu.driver import Driver, DriverError, Gpu

__all__ = ["Gpu", "Probe", "probe"]

#: What the GPU path imports, and the packages that bring it, for CUDA 13 and for CUDA 12.
PACKAGES = {
    "nvidia.dali": ("nvidia-dali-cuda130", "nvidia-dali-cuda120"),
    "nvidia.nvimgcodec": ("nvidia-nvimgcodec-cu13", "nvidia-nvimgcodec-cu12"),
    "cupy": ("cupy-cuda13x", "cupy-cuda12x"),
}
#: CUDA 13 supports no GPU older than Turing.
_CUDA13_COMPUTE = (7, 5)
_USE_CPU = "--device cpu runs without one."


@dataclass(frozen=True)
class Probe:
    """What was found.

    Attributes:
        usable: whether ``--device gpu`` can work.
        reason: why, or why not; half a sentence without a full stop.
        cure: what to do where it cannot, as full sentences; empty where it can.
        gpus: the devices that the driver shows, also where they cannot be used.
        cuda: the newest CUDA version that the driver supports; None without a driver.
    """

    usable: bool
    reason: str
    cure: str = ""
    gpus: tuple[Gpu, ...] = ()
    cuda: tuple[int, int] | None = None


def probe() -> Probe:
    """Look for driver, devices and packages. Never raises; imports no GPU package."""
    try:
        return _probe()
    except Exception as error:  # whatever a broken installation makes of our questions
        return Probe(False, f"the GPU could not be looked at: {error}", "`gpu-pack doctor` tells more. " + _USE_CPU)


def installed() -> tuple[tuple[str, str], ...]:
    """(distribution, version) of each GPU package that is installed."""
    found = []
    for names in PACKAGES.values():
        for name in names:
            try:
                found.append((name, version(name)))
            except PackageNotFoundError:
                continue
    return tuple(found)


def _probe() -> Probe:
    if sys.platform != "linux":
        system = {"darwin": "macOS", "win32": "Windows"}.get(sys.platform, sys.platform)
        cure = "On Windows, WSL 2 is Linux. " if sys.platform == "win32" else ""
        return Probe(False, f"NVIDIA DALI runs on Linux only, and this is {system}", cure + _USE_CPU)
    try:
        driver = Driver()
        gpus = driver.gpus()
    except DriverError as error:
        then = "" if not _missing("cuda13") else f" Then: {install_line('cuda13')}."
        return Probe(False, str(error), f"{error.cure}{then} {_USE_CPU}")
    if not gpus:
        cure = "Is CUDA_VISIBLE_DEVICES set, or the container started without --gpus? " + _USE_CPU
        return Probe(False, "the NVIDIA driver shows no GPU", cure, (), driver.cuda)
    reason, cure = _judge(gpus, driver.cuda)
    return Probe(not cure, reason, cure, gpus, driver.cuda)


def _judge(gpus: tuple[Gpu, ...], cuda: tuple[int, int]) -> tuple[str, str]:
    """(reason, cure) for a machine with GPUs; the cure is empty where nothing is missing."""
    extra = _extra(gpus, cuda)
    if extra is None:
        return (
            f"the NVIDIA driver is too old: it supports CUDA {cuda[0]}.{cuda[1]}, and CUDA 12 is the oldest that works",
            "Update the driver. " + _USE_CPU,
        )
    install = install_line(extra)
    missing = _missing(extra)
    if missing:
        return f"{gpus[0].name} is there, but not {', '.join(missing)}", f"Install what is missing: {install}"
    names = [name for name, _ in installed()]
    if extra == "cuda12" and any(newer in names for newer, _ in PACKAGES.values()):
        limit = f"the driver supports CUDA {cuda[0]}.{cuda[1]}" if cuda < (13, 0) else f"{gpus[0].name} needs CUDA 12"
        remove = "pip uninstall -y " + " ".join(name for name in names if name in {new for new, _ in PACKAGES.values()})
        return f"the installed GPU packages are for CUDA 13, and {limit}", f"Exchange them: {remove} && {install}"
    return ", ".join(sorted({gpu.name for gpu in gpus})), ""


def install_line(extra: str) -> str:
    """The command that installs ``cuda13`` or ``cuda12``: the pinned packages, wherever gpu-pack itself came from."""
    try:
        needs = requires("gpu-pack") or []
    except PackageNotFoundError:  # run from its source tree
        needs = []
    pins = [need.partition(";")[0].strip() for need in needs if f'extra == "{extra}"' in need.replace("'", '"')]
    return "pip install " + " ".join(f"'{pin}'" for pin in pins) if pins else f"pip install '.[{extra}]'"


def _extra(gpus: tuple[Gpu, ...], cuda: tuple[int, int]) -> str | None:
    """``cuda13`` or ``cuda12``, whichever driver and GPUs can take; None where neither."""
    if cuda >= (13, 0) and all(gpu.compute >= _CUDA13_COMPUTE for gpu in gpus):
        return "cuda13"
    return "cuda12" if cuda >= (12, 0) else None


def _missing(extra: str) -> list[str]:
    """The packages of ``extra`` whose modules are not there."""
    return [names[extra == "cuda12"] for module, names in PACKAGES.items() if not _found(module)]


def _found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a parent package that is missing or broken
        return False
