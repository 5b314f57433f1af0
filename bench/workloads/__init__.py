"""What is measured, and who takes part in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.workloads.inputs import DAMAGED_AMONG, Inputs, Make
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
    """What is measured.

    Attributes:
        share: of the time, beside the other workloads' shares.
        probe, most: images of the first, short run, and the most of a round; growth has counts of its own.
        make: makes its source.
        cases: from the number of cores, who takes part; the first of gpu-pack's is what the others are compared with.
        checked: crops are compared with a reference.
        way: ``turns``, ``growth`` or ``damage``.
        served: what a server offers meanwhile, from the folder that ``make`` fills.
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


_TOOLS = (
    "im2rec.py", "im2rec.cc", "img2dataset", "streaming", "webdataset", "litdata", "datasets", "ffcv", "ray", "curator",
    "dali",
)  # fmt: skip
_CROPPING = (
    "gpu-pack", "gpu-pack-linear", "gpu-pack-processes", "gpu-pack-linear-processes", "gpu-pack-gpu", "gpu-pack-hybrid",
    "gpu-pack-im2rec", "opencv", "opencv-area", "turbo", *_TOOLS,
)  # fmt: skip
_LARGE = (
    "gpu-pack", "gpu-pack-linear", "gpu-pack-gpu", "gpu-pack-hybrid", "opencv", "turbo", "im2rec.py", "im2rec.cc",
    "img2dataset", "dali",
)  # fmt: skip
_TINY = (
    "gpu-pack", "gpu-pack-gpu", "opencv", "turbo", "im2rec.py", "im2rec.cc", "webdataset", "streaming", "litdata",
    "datasets",
)  # fmt: skip
_COPYING = (
    "gpu-pack", "gpu-pack-im2rec", "im2rec.py", "im2rec.cc", "img2dataset", "webdataset", "streaming", "litdata",
    "datasets",
)  # fmt: skip

#: By name. To add one: a function of `bench.workloads.inputs.Inputs`, an entry here, and its name in `bench.chart`.
WORKLOADS: Mapping[str, Workload] = {
    "imagenet": Workload(
        "ImageNet-like photos to 224 x 224", share=9, probe=96, most=20_000, make=Inputs.shards,
        cases=_each(*_CROPPING),
    ),
    "damaged": Workload(
        f"Three damaged files among {DAMAGED_AMONG}", share=2, probe=DAMAGED_AMONG, most=DAMAGED_AMONG,
        make=Inputs.damaged, cases=_each("gpu-pack", "opencv", "turbo", *_TOOLS), way="damage",
    ),
    "large": Workload(
        "Photos of 12 megapixels to 224 x 224", share=2, probe=8, most=600, make=Inputs.large, cases=_each(*_LARGE)
    ),
    "tiny": Workload(
        "Pictures of 64 x 64, decoded and encoded again", share=1.5, probe=400, most=100_000, make=Inputs.tiny,
        cases=_each(*_TINY), size=64,
    ),
    "pass-through": Workload(
        "Pass-through of ImageNet-like photos", share=1.5, probe=200, most=20_000, make=Inputs.photos,
        cases=_each(*_COPYING), pass_through=True,
    ),
    "tar": Workload(
        "A tar of tars, and other containers", share=1.5, probe=96, most=10_000, make=Inputs.containers,
        cases=_each("gpu-pack", "gpu-pack-tar", "gpu-pack-zip", "gpu-pack-parquet", "im2rec.py-tar"), checked=False,
    ),
    "bucket": Workload(
        "A bucket on the same machine", share=1.5, probe=96, most=10_000, make=Inputs.flat,
        cases=_each("gpu-pack", "gpu-pack-bucket", "im2rec.py-bucket", "img2dataset"), checked=False, served=bucket,
    ),
    "listing": Workload(
        "Listing 100,000 files", share=0.8, probe=100_000, most=100_000, make=Inputs.names,
        cases=_each("gpu-pack-dry-run", "gpu-pack-list", "im2rec.py-list"), checked=False, things="files",
    ),
    "growth": Workload(
        "Growth: records of 600 bytes, passed through", share=2.5, probe=10_000, most=10_000_000, make=Inputs.records,
        cases=_growing((10_000, 100_000, 1_000_000, 10_000_000), "gpu-pack", "im2rec.py"), pass_through=True,
        way="growth", things="records",
    ),
    "cores": Workload(
        "From one core to all", share=1.5, probe=96, most=10_000, make=Inputs.photos,
        cases=_on_cores("gpu-pack-linear", "opencv", "im2rec.py"), checked=False,
    ),
}  # fmt: skip
