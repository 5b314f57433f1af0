"""Queries of the NVIDIA driver and nvJPEG through their C libraries, without Python packages or a CUDA toolkit.

Functions and constants are those of cuda.h (CUDA Driver API), nvml.h and nvjpeg.h. Every library may be missing.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint, c_void_p
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

#: By name, and where WSL has them, in case the loader's search path lacks that.
_DRIVERS = ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1")
MANAGEMENT = ("libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1")
#: nvJPEG reaches the JPEG engines by it. It is part of the driver; containers need the capability ``video`` for it.
_VIDEO = ("libnvcuvid.so.1", "/usr/lib/wsl/lib/libnvcuvid.so.1")
NO_VIDEO = (
    "libnvcuvid.so.1 cannot be loaded, so the JPEG engines are not used; it is part of the driver, and a container "
    "needs NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"
)
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
#: Gives the first library that can be loaded of those named, or None.
Load = Callable[[Sequence[str]], Any]


class JpegEngines(NamedTuple):
    """A device's hardware JPEG decoders (NVJPG engines).

    Attributes:
        engines: how many, as nvJPEG says; None if that is unknown.
        reason: why they are unknown, or cannot be used; empty if they can.
    """

    engines: int | None
    reason: str = ""


class DriverError(Exception):
    """There is no driver, or it fails. ``cure`` says what the user can do."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.cure = cure


class Gpu(NamedTuple):
    """A CUDA device: its ordinal, as in ``--gpus``, its memory in bytes, its compute capability, e.g. (9, 0)."""

    number: int
    name: str
    memory: int
    compute: tuple[int, int]


def load_library(names: Sequence[str]) -> ctypes.CDLL | None:
    """A `Load`."""
    for name in names:
        with suppress(OSError):
            return ctypes.CDLL(name)
    return None


class Driver:
    """The CUDA driver's library, initialised.

    Attributes:
        cuda: the newest CUDA version that it supports, e.g. (13, 0).

    Raises:
        DriverError: it is not installed, or finds no usable device.
    """

    def __init__(self, load: Load = load_library) -> None:
        self._load, self._library = load, load(_DRIVERS)
        if self._library is None:
            cure = "If this machine has an NVIDIA GPU, install its driver (580 or newer for CUDA 13, 525 for CUDA 12)."
            raise DriverError("no NVIDIA driver is installed", cure)
        version = self._get("cuDriverGetVersion", c_int()).value
        self.cuda = version // 1000, version % 1000 // 10
        self._call("cuInit", c_uint(0))

    def gpus(self) -> tuple[Gpu, ...]:
        """The devices that CUDA shows to this process; CUDA_VISIBLE_DEVICES applies."""
        return tuple(map(self._gpu, range(self._get("cuDeviceGetCount", c_int()).value)))

    def bus_id(self, number: int) -> bytes:
        """The device's PCI address, by which NVML knows it."""
        device, found = self._get("cuDeviceGet", c_int(), c_int(number)), ctypes.create_string_buffer(64)
        self._call("cuDeviceGetPCIBusId", found, c_int(len(found)), device)
        return found.value

    def jpeg_engines(self, number: int) -> int | None:
        """How many hardware JPEG decoders (NVJPG engines) the device has; None if nvJPEG is missing or fails."""
        library = self._load(_nvjpeg_libraries())
        if library is None:
            return None
        handle, engines, cores = c_void_p(), c_uint(), c_uint()
        with self._context(number):
            if library.nvjpegCreateSimple(byref(handle)):
                return None
            failed = library.nvjpegGetHardwareDecoderInfo(handle, byref(engines), byref(cores))
            library.nvjpegDestroy(handle)
        return None if failed else engines.value

    @contextmanager
    def _context(self, number: int) -> Iterator[None]:
        """Makes the device's primary context current, which takes device memory and up to half a second."""
        device = self._get("cuDeviceGet", c_int(), c_int(number))
        before = self._get("cuCtxGetCurrent", c_void_p())
        context = self._get("cuDevicePrimaryCtxRetain", c_void_p(), device)
        try:
            self._call("cuCtxSetCurrent", context)
            yield
        finally:
            self._call("cuCtxSetCurrent", before)
            self._call("cuDevicePrimaryCtxRelease_v2", device)

    def _gpu(self, number: int) -> Gpu:
        device, name = self._get("cuDeviceGet", c_int(), c_int(number)), ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", name, c_int(len(name)), device)
        memory = self._get("cuDeviceTotalMem_v2", c_size_t(), device).value
        major, minor = (
            self._get("cuDeviceGetAttribute", c_int(), c_int(attribute), device).value
            for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR)
        )
        return Gpu(number, name.value.decode(errors="replace"), memory, (major, minor))

    def _get(self, function: str, value: Any, *arguments: object) -> Any:
        """The value that the function stores where its first argument points."""
        self._call(function, byref(value), *arguments)
        return value

    def _call(self, function: str, *arguments: object) -> None:
        if status := getattr(self._library, function)(*arguments):
            text = c_char_p()
            self._library.cuGetErrorString(c_int(status), byref(text))
            reason = (text.value or b"an unknown error").decode(errors="replace")
            raise DriverError(
                f"the NVIDIA driver reports: {reason} ({function}, error {status})",
                "Check that nvidia-smi works, and that a container was started with its GPUs (--gpus all).",
            )


def has_video(load: Load = load_library) -> bool:
    """Whether the driver's library for the JPEG engines can be loaded."""
    return load(_VIDEO) is not None


def jpeg_engines(number: int, load: Load = load_library) -> JpegEngines:
    """Examine a device's JPEG engines. Never raises."""
    try:
        count = Driver(load).jpeg_engines(number)
    except Exception as error:  # the device has no free memory, or is broken
        return JpegEngines(None, f"the device cannot be asked: {error}")
    if count is None:
        return JpegEngines(None, "nvJPEG is not installed, or fails")
    if not has_video(load):
        return JpegEngines(count, NO_VIDEO)
    return JpegEngines(count, "" if count else "this GPU has none, or none in its MIG slice")


def driver_version(load: Load = load_library) -> str | None:
    """The driver's version, e.g. ``580.65.06``; None if NVML is missing or fails."""
    library = load(MANAGEMENT)
    if library is None or library.nvmlInit_v2():
        return None
    version = ctypes.create_string_buffer(96)
    failed = library.nvmlSystemGetDriverVersion(version, c_uint(len(version)))
    library.nvmlShutdown()
    return None if failed else version.value.decode(errors="replace")


def _nvjpeg_libraries() -> list[str]:
    """Where nvJPEG's wheels install it: nvidia/cu13/lib for CUDA 13, nvidia/nvjpeg/lib for CUDA 12."""
    spec = find_spec("nvidia")
    folders = spec.submodule_search_locations or () if spec else ()
    return [str(path) for folder in folders for path in sorted(Path(folder).glob("*/lib/libnvjpeg.so.*"))]
