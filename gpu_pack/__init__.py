"""gpu-pack: folders of images into MXNet RecordIO, on the GPU where there is one.

Names are resolved when they are first used: ``import gpu_pack`` imports neither NumPy, nor OpenCV, nor CUDA.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu_pack import recordio
    from gpu_pack.api import create, transform
    from gpu_pack.backends import DeviceOptions
    from gpu_pack.dataset import RecordDataset, RecordStream, collate
    from gpu_pack.errors import (
        BackendError,
        FormatError,
        GpuPackError,
        ListError,
        OutputError,
        OutputExistsError,
        OutputLockedError,
        SourceError,
        StrictError,
        UsageError,
    )
    from gpu_pack.pipeline.options import CreateOptions
    from gpu_pack.pipeline.report import Report
    from gpu_pack.sources.splits import Division
    from gpu_pack.tools.divide import divide
    from gpu_pack.tools.extract import extract
    from gpu_pack.tools.index import index
    from gpu_pack.tools.inspect import inspect
    from gpu_pack.tools.merge import merge
    from gpu_pack.tools.report.build import report
    from gpu_pack.tools.verify import verify
    from gpu_pack.types import Encoded, Progress, Rejected, TransformSpec

__version__ = "0.1.0"
__all__ = [
    "BackendError", "CreateOptions", "DeviceOptions", "Division", "Encoded", "FormatError", "GpuPackError", "ListError",
    "OutputError", "OutputExistsError", "OutputLockedError", "Progress", "RecordDataset", "RecordStream",
    "Rejected", "Report", "SourceError", "StrictError", "TransformSpec", "UsageError", "__version__", "collate",
    "create", "divide", "extract", "index", "inspect", "merge", "recordio", "report", "transform", "verify",
]  # fmt: skip

#: The module of each name that is not an error.
_MODULES = {
    "CreateOptions": "pipeline.options", "DeviceOptions": "backends", "Division": "sources.splits", "Encoded": "types",
    "Progress": "types", "RecordDataset": "dataset", "RecordStream": "dataset", "Rejected": "types",
    "Report": "pipeline.report", "TransformSpec": "types", "collate": "dataset", "create": "api",
    "divide": "tools.divide", "extract": "tools.extract", "index": "tools.index", "inspect": "tools.inspect",
    "merge": "tools.merge", "recordio": "recordio", "report": "tools.report.build", "transform": "api",
    "verify": "tools.verify",
}  # fmt: skip

logging.getLogger("gpu_pack").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gpu_pack' has no attribute {name!r}")
    module = import_module(f"gpu_pack.{_MODULES.get(name, 'errors')}")
    value = globals()[name] = module if name == "recordio" else getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
