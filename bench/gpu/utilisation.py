"""How busy the first GPU and its JPEG engines are while something is measured, as NVML says; nvml.h's functions."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from contextlib import suppress
from ctypes import byref, c_uint, c_void_p
from types import TracebackType
from typing import Any

from gpu_pack.gpu.driver import MANAGEMENT, Driver, Load, load_library

#: NVML averages over a sixth of a second to a second, so a sample tells of the time before it.
_AVERAGED_SECONDS, _SECONDS = 1.0, 0.2


class _Rates(ctypes.Structure):
    """nvmlUtilization_t, percent."""

    _fields_ = (("gpu", c_uint), ("memory", c_uint))


class _MemoryInfo(ctypes.Structure):
    """nvmlMemory_t, bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class Nvml:
    """The first GPU that CUDA shows to this process.

    Raises:
        OSError: NVML is missing, or does not know the device.
        DriverError: there is no device.
    """

    def __init__(self, load: Load = load_library) -> None:
        self._library, self._device = load(MANAGEMENT), c_void_p()
        if self._library is None or self._library.nvmlInit_v2():
            raise OSError("NVML cannot be loaded")
        bus = ctypes.c_char_p(Driver(load).bus_id(0))
        if self._library.nvmlDeviceGetHandleByPciBusId_v2(bus, byref(self._device)):
            raise OSError("NVML does not know the device")

    def jpeg(self) -> int | None:
        """How busy the JPEG engines are, in percent; None if that is unknown."""
        percent, period = c_uint(), c_uint()
        failed = self._library.nvmlDeviceGetJpgUtilization(self._device, byref(percent), byref(period))
        return None if failed else percent.value

    def gpu(self) -> int | None:
        """The share of time in which a kernel ran, in percent; None if that is unknown."""
        rates = _Rates()
        failed = self._library.nvmlDeviceGetUtilizationRates(self._device, byref(rates))
        return None if failed else int(rates.gpu)

    def memory(self) -> float:
        """MB in use by all processes; 0 if that is unknown."""
        info = _MemoryInfo()
        failed = self._library.nvmlDeviceGetMemoryInfo(self._device, byref(info))
        return 0.0 if failed else info.used / 2**20


def nvml() -> Nvml | None:
    """None where NVML or a GPU is missing."""
    with suppress(Exception):
        return Nvml()
    return None


class Utilisation:
    """Samples from a thread of its own while it is entered.

    Args:
        device: None: there is nothing to sample.
        pause: seconds before the first sample.
    """

    def __init__(self, device: Any, pause: float = _AVERAGED_SECONDS) -> None:
        self._device, self._pause, self._ended = device, pause, threading.Event()
        self._samples: dict[str, list[int]] = {"engines": [], "gpu": []}
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Utilisation:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def figures(self) -> dict[str, Any]:
        """``engines`` and ``gpu``: min, mean and max in percent and the number of samples; None where unknown."""
        return {name: _summary(samples) for name, samples in self._samples.items()}

    def _watch(self) -> None:
        if self._device is None:
            return
        ended = self._ended.wait(self._pause)
        while not ended:
            for name, percent in (("engines", self._device.jpeg()), ("gpu", self._device.gpu())):
                self._samples[name] += [] if percent is None else [percent]
            ended = self._ended.wait(_SECONDS)


def _summary(samples: Sequence[int]) -> dict[str, float] | None:
    if not samples:
        return None
    mean = round(sum(samples) / len(samples), 1)
    return {"min": min(samples), "mean": mean, "max": max(samples), "samples": len(samples)}
