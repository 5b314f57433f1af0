"""gpu-pack: folders of images into MXNet RecordIO, on the GPU where there is one.

Names are resolved when they are first used, so that ``import gpu_pack`` loads neither NumPy, nor OpenCV, nor CUDA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu_pack.backends import DeviceOptions as DeviceOptions
    from gpu_pack.dataset import RecordDataset as RecordDataset
    from gpu_pack.errors import GpuPackError as GpuPackError
    from gpu_pack.pipeline.create import CreateOptions as CreateOptions
    from gpu_pack.pipeline.create import Progress as Progress
    from gpu_pack.pipeline.create import create as create
    from gpu_pack.pipeline.report import Report as Report
    from gpu_pack.sources.splits import Division as Division
    from gpu_pack.types import TransformSpec as TransformSpec

__version__ = "0.1.0"

_HOMES = {
    "CreateOptions": "pipeline.create",
    "DeviceOptions": "backends",
    "Division": "sources.splits",
    "GpuPackError": "errors",
    "Progress": "pipeline.create",
    "RecordDataset": "dataset",
    "Report": "pipeline.report",
    "TransformSpec": "types",
    "create": "pipeline.create",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gpu_pack' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"gpu_pack.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
