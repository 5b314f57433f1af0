"""What is measured, and who takes part in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.workloads.inputs import Inputs, Make
from bench.workloads.servers import bucket


@dataclass(frozen=True)
class Case:
    """A contender's part in a workload.

    Attributes:
        title: of its row, where the contender's does not do.
        count: of images, where the workload's does not do.
        cores: how many it may use; None for all.
    """

    contender: str
    title: str = ""
    count: int | None = None
    cores: int | None = None

    @property
    def row(self) -> str:
        """Its name in the state file."""
        return f"{self.contender}{f' x{self.count}' if self.count else ''}{f' on {self.cores}' if self.cores else ''}"


def _nothing_served(_: Path) -> AbstractContextManager[Mapping[str, str]]:
    return contextlib.nullcontext({})


@dataclass(frozen=True)
class Workload:
    """Attributes: ``share`` of the time; ``probe`` and ``most``, the fewest and most images; ``make``, its source.

    ``cases`` takes the number of cores; the first one is what the others are compared with. ``checked``: the crops are
    compared with a reference. ``way``: ``turns``, ``growth`` or ``damage``. ``served`` is what a server offers
    meanwhile, from the folder that ``make`` fills.
    """

    title: str
    share: float
    probe: int
    most: int
    make: Make
    cases: Callable[[int], list[Case]]
    size: int = 224
    pass_through: bool = False
    checked: bool = True
    way: str = "turns"
    things: str = "images"
    served: Callable[[Path], AbstractContextManager[Mapping[str, str]]] = _nothing_served


def _each(*contenders: str) -> Callable[[int], list[Case]]:
    return lambda _: [Case(contender) for contender in contenders]


def _on_cores(*contenders: str) -> Callable[[int], list[Case]]:
    """Each on 1, 2, 4 ... and all cores."""

    def cases(cores: int) -> list[Case]:
        numbers = sorted({*(1 << power for power in range(cores.bit_length())), cores})
        return [
            Case(contender, f"{{}}, {number} core{'s' if number > 1 else ''}", cores=number)
            for contender in contenders
            for number in reversed(numbers)
        ]

    return cases


def _growing(counts: tuple[int, ...], *contenders: str) -> Callable[[int], list[Case]]:
    return lambda _: [Case(name, f"{{}}, {count:,} records", count=count) for count in counts for name in contenders]


_CROPPING = (
    "gpu-pack", "gpu-pack-linear", "gpu-pack-processes", "gpu-pack-linear-processes", "gpu-pack-gpu", "gpu-pack-hybrid",
    "gpu-pack-im2rec", "opencv", "opencv-area", "turbo", "im2rec.py", "im2rec.cc", "img2dataset", "streaming",
    "webdataset", "litdata", "datasets", "ffcv", "ray", "curator", "dali",
)  # fmt: skip
_TOOLS = (
    "gpu-pack", "opencv", "turbo", "im2rec.py", "im2rec.cc", "img2dataset", "streaming", "webdataset", "litdata",
    "datasets", "ffcv", "ray", "curator", "dali",
)  # fmt: skip
_LARGE = (
    "gpu-pack", "gpu-pack-linear", "gpu-pack-gpu", "gpu-pack-hybrid", "opencv", "turbo", "im2rec.py", "im2rec.cc",
    "img2dataset", "dali",
)  # fmt: skip
_TINY = (
    "gpu-pack",
    "gpu-pack-gpu",
    "opencv",
    "turbo",
    "im2rec.py",
    "im2rec.cc",
    "webdataset",
    "streaming",
    "litdata",
    "datasets",
)
_COPYING = (
    "gpu-pack", "gpu-pack-im2rec", "im2rec.py", "im2rec.cc", "img2dataset", "webdataset", "streaming", "litdata",
    "datasets",
)  # fmt: skip

WORKLOADS: Mapping[str, Workload] = {
    "imagenet": Workload("ImageNet-like photos to 224 x 224", 9, 96, 20_000, Inputs.shards, _each(*_CROPPING)),
    "damaged": Workload("Three damaged files among 61", 2, 61, 61, Inputs.damaged, _each(*_TOOLS), way="damage"),
    "large": Workload("Photos of 12 megapixels to 224 x 224", 2, 8, 600, Inputs.large, _each(*_LARGE)),
    "tiny": Workload(
        "Pictures of 64 x 64, decoded and encoded again", 1.5, 400, 100_000, Inputs.tiny, _each(*_TINY), size=64
    ),
    "pass-through": Workload(
        "Pass-through of ImageNet-like photos", 1.5, 200, 20_000, Inputs.photos, _each(*_COPYING), pass_through=True
    ),
    "tar": Workload(
        "A tar of tars, and other containers", 1.5, 96, 10_000, Inputs.containers,
        _each("gpu-pack", "gpu-pack-tar", "gpu-pack-zip", "gpu-pack-parquet", "im2rec.py-tar"), checked=False,
    ),
    "bucket": Workload(
        "A bucket on the same machine", 1.5, 96, 10_000, Inputs.flat,
        _each("gpu-pack", "gpu-pack-bucket", "im2rec.py-bucket", "img2dataset"), checked=False, served=bucket,
    ),
    "listing": Workload(
        "Listing 100,000 files", 0.8, 100_000, 100_000, Inputs.names,
        _each("gpu-pack-dry-run", "gpu-pack-list", "im2rec.py-list"), checked=False, things="files",
    ),
    "growth": Workload(
        "Growth: records of 600 bytes, passed through", 2.5, 10_000, 10_000_000, Inputs.records,
        _growing((10_000, 100_000, 1_000_000, 10_000_000), "gpu-pack", "im2rec.py"),
        pass_through=True, way="growth", things="records",
    ),
    "cores": Workload(
        "From one core to all", 1.5, 96, 10_000, Inputs.photos,
        _on_cores("gpu-pack-linear", "opencv", "im2rec.py"), checked=False,
    ),
}  # fmt: skip
