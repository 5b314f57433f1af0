"""Whether the JPEG engines worked in a run: how busy they were, as NVML says."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from contextlib import suppress
from ctypes import byref, c_uint, c_void_p
from types import TracebackType
from typing import Any

from gpu_pack.gpu.driver import MANAGEMENT, NO_VIDEO, Driver, Load, has_video, load_library

#: NVML averages over a sixth of a second to a second.
_SECONDS = 0.5


class EngineUse:
    """Samples, from a thread of its own while it is entered, how busy the GPUs' JPEG engines are.

    Args:
        gpus: CUDA ordinals.

    Attributes:
        result: half a sentence about all GPUs together, once it is left; empty without GPUs.
    """

    def __init__(self, gpus: Sequence[int], load: Load = load_library) -> None:
        self.result = ""
        self._gpus, self._load = gpus, load
        self._samples: list[int] = []  # percent
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> EngineUse:
        if self._gpus:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._gpus:
            return
        self._ended.set()
        self._thread.join()
        busiest = max(self._samples, default=None)
        if busiest is None:
            self.result = "unknown, since the driver does not say how busy they were"
        elif busiest:
            self.result = f"busy up to {busiest} %"
        else:
            reason = "`gpu-pack doctor` shows whether there are any" if has_video(self._load) else NO_VIDEO
            self.result = f"never busy (samples: {len(self._samples)}): {reason}"

    def _watch(self) -> None:
        with suppress(Exception):  # no NVML, or one without this function: the result says so
            library = self._load(MANAGEMENT)
            if library is None or library.nvmlInit_v2():
                return
            try:
                devices = [_device(library, bus) for bus in map(Driver(self._load).bus_id, self._gpus)]
                running = True
                while running:
                    running = not self._ended.wait(_SECONDS)
                    percents = [_percent(library, device) for device in devices]
                    self._samples += [percent for percent in percents if percent is not None]
            finally:
                library.nvmlShutdown()


def _device(library: Any, bus_id: bytes) -> c_void_p:
    device = c_void_p()
    if library.nvmlDeviceGetHandleByPciBusId_v2(ctypes.c_char_p(bus_id), byref(device)):
        raise OSError("NVML does not know the device")
    return device


def _percent(library: Any, device: c_void_p) -> int | None:
    percent, period = c_uint(), c_uint()
    failed = library.nvmlDeviceGetJpgUtilization(device, byref(percent), byref(period))
    return None if failed else percent.value
