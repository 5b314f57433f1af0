"""The NVIDIA driver and nvJPEG, asked through their C libraries: no Python package and no CUDA toolkit needed.

Calls and constants are those of cuda.h (CUDA Driver API), nvml.h and nvjpeg.h. Every library may be missing.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import byref, c_int, c_size_t, c_uint, c_void_p
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

#: Where Windows keeps its driver's libraries for Linux under WSL, should the loader's search path not name it.
_WSL = "/usr/lib/wsl/lib/"
_DRIVERS = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", _WSL + "libcuda.so.1")
_MANAGEMENT = ("nvml.dll",) if sys.platform == "win32" else ("libnvidia-ml.so.1", _WSL + "libnvidia-ml.so.1")
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76


class DriverError(Exception):
    """There is no driver, or it cannot be used; the message is for a person, and so is ``cure``."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.cure = cure


class Gpu(NamedTuple):
    """One CUDA device.

    Attributes:
        number: its CUDA ordinal, what ``--gpus`` takes.
        memory: in bytes.
        compute: its compute capability, e.g. (9, 0).
    """

    number: int
    name: str
    memory: int
    compute: tuple[int, int]


class Driver:
    """The CUDA driver's library, initialised.

    Attributes:
        cuda: the newest CUDA version that it supports, e.g. (13, 0).

    Raises:
        DriverError: it is not installed, or finds no usable device.
    """

    def __init__(self) -> None:
        library = _load(_DRIVERS)
        if library is None:
            raise DriverError(
                "no NVIDIA driver is installed",
                "If this machine has an NVIDIA GPU, install its driver (580 or newer for CUDA 13, 525 for CUDA 12).",
            )
        self._library = library
        version = c_int()
        self._check("cuDriverGetVersion", byref(version))
        self.cuda = version.value // 1000, version.value % 1000 // 10
        self._check("cuInit", c_uint(0))

    def gpus(self) -> tuple[Gpu, ...]:
        """The devices that CUDA shows to this process (CUDA_VISIBLE_DEVICES counts)."""
        count = c_int()
        self._check("cuDeviceGetCount", byref(count))
        return tuple(self._gpu(number) for number in range(count.value))

    @contextmanager
    def context(self, number: int) -> Iterator[None]:
        """Make the device's primary context current. It takes memory on the device and up to half a second."""
        device, context = self._device(number), c_void_p()
        self._check("cuDevicePrimaryCtxRetain", byref(context), device)
        try:
            self._check("cuCtxSetCurrent", context)
            yield
        finally:
            self._check("cuCtxSetCurrent", c_void_p())
            self._check("cuDevicePrimaryCtxRelease_v2", device)

    def _device(self, number: int) -> c_int:
        device = c_int()
        self._check("cuDeviceGet", byref(device), c_int(number))
        return device

    def _gpu(self, number: int) -> Gpu:
        device, name, memory = self._device(number), ctypes.create_string_buffer(256), c_size_t()
        self._check("cuDeviceGetName", name, c_int(len(name)), device)
        self._check("cuDeviceTotalMem_v2", byref(memory), device)
        compute = self._attribute(device, _CAPABILITY_MAJOR), self._attribute(device, _CAPABILITY_MINOR)
        return Gpu(number, name.value.decode(errors="replace"), memory.value, compute)

    def _attribute(self, device: c_int, attribute: int) -> int:
        value = c_int()
        self._check("cuDeviceGetAttribute", byref(value), c_int(attribute), device)
        return value.value

    def _check(self, function: str, *arguments: object) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            text = ctypes.c_char_p()
            known = self._library.cuGetErrorString(c_int(status), byref(text)) == 0 and text.value
            words = text.value.decode(errors="replace") if known and text.value else "an unknown error"
            raise DriverError(
                f"the NVIDIA driver says: {words} ({function}, error {status})",
                "See whether nvidia-smi works, and whether a container was started with its GPUs (--gpus all).",
            )


def driver_version() -> str | None:
    """The driver's own version, e.g. ``580.65.06``; None where NVML cannot tell."""
    library = _load(_MANAGEMENT)
    if library is None or library.nvmlInit_v2():
        return None
    version = ctypes.create_string_buffer(96)
    failed = library.nvmlSystemGetDriverVersion(version, c_uint(len(version)))
    library.nvmlShutdown()
    return None if failed else version.value.decode(errors="replace")


def jpeg_engines(driver: Driver, number: int) -> int | None:
    """How many NVJPG decoding engines the device has, 0 where it has none; None where nvJPEG cannot tell."""
    library = _load(_nvjpeg_libraries())
    if library is None:
        return None
    handle, engines, cores = c_void_p(), c_uint(), c_uint()
    with driver.context(number):
        if library.nvjpegCreateSimple(byref(handle)):
            return None
        failed = library.nvjpegGetHardwareDecoderInfo(handle, byref(engines), byref(cores))
        library.nvjpegDestroy(handle)
    return None if failed else engines.value


def _nvjpeg_libraries() -> tuple[str, ...]:
    """nvJPEG as its wheels install it: nvidia/cu13/lib for CUDA 13, nvidia/nvjpeg/lib for CUDA 12."""
    spec = find_spec("nvidia")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return tuple(str(path) for place in places for path in sorted(Path(place).glob("*/lib/libnvjpeg.so.*")))


def _load(names: tuple[str, ...]) -> ctypes.CDLL | None:
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None
