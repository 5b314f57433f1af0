"""Who takes part, with which script, environment and options.

The scripts run as children, by their own environment's Python, with this folder as ``sys.path[0]``. To add one: a
script with `pack` and `read` (see job.py), ../requirements/NAME.txt with exact versions (==), a line here, and its name
in the workloads that it takes part in (`bench.workloads`). For reading, see `bench.readers.contenders`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent
#: How the names of bare loops begin, which do nothing that a tool needs beside the pictures.
FLOORS = ("opencv", "turbo")


@dataclass(frozen=True)
class Contender:
    """A row of the tables.

    Attributes:
        title: what the tables call it.
        script: of this folder.
        environment: which requirements file it runs with; None for the interpreter and checkout that run the bench.
        options: what the script's docstring names.
        installs: the script's `install` runs once after pip: it builds something, or tells why it cannot run here.
        gpu: of gpu-pack's own: it runs only where gpu-pack finds a usable GPU.
    """

    title: str
    script: str
    environment: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    installs: bool = False
    gpu: bool = False


def _ours(title: str, *flags: str, **options: Any) -> Contender:
    device = "--device" in flags
    return Contender(title, "gpu_pack_create", None, {"flags": flags, **options}, gpu=device)


_LINEAR = ("--interp", "linear")

CONTENDERS: Mapping[str, Contender] = {
    "gpu-pack": _ours("gpu-pack create"),
    "gpu-pack-linear": _ours("gpu-pack create, linear", *_LINEAR),
    "gpu-pack-processes": _ours("gpu-pack create, processes", processes=True),
    "gpu-pack-linear-processes": _ours("gpu-pack create, linear, processes", *_LINEAR, processes=True),
    "gpu-pack-gpu": _ours("gpu-pack create, GPU", "--device", "gpu"),
    "gpu-pack-hybrid": _ours("gpu-pack create, GPU and CPU", "--device", "hybrid"),
    "gpu-pack-im2rec": _ours("gpu-pack im2rec, the drop-in", command="im2rec"),
    "gpu-pack-tar": _ours("gpu-pack create, from the tar", source="tar"),
    "gpu-pack-zip": _ours("gpu-pack create, from a zip", source="zip"),
    "gpu-pack-parquet": _ours("gpu-pack create, from Parquet", source="parquet"),
    "gpu-pack-bucket": _ours("gpu-pack create, from the bucket", source="bucket"),
    "gpu-pack-dry-run": _ours("gpu-pack create --dry-run", "--dry-run", source="folder"),
    "gpu-pack-list": _ours("gpu-pack im2rec --list", command="im2rec", listing=True),
    "opencv": Contender("bare OpenCV loop", "bare_opencv", "opencv"),
    "opencv-area": Contender("bare OpenCV loop, INTER_AREA", "bare_opencv", "opencv", {"interp": "area"}),
    "turbo": Contender("bare libjpeg-turbo loop", "bare_turbo", "turbo"),
    "im2rec.py": Contender("im2rec.py", "im2rec_py", "mxnet"),
    "im2rec.py-tar": Contender("tar -x, then im2rec.py", "im2rec_py", "mxnet", {"source": "tar"}),
    "im2rec.py-bucket": Contender("boto3, then im2rec.py", "im2rec_py", "mxnet", {"source": "bucket"}),
    "im2rec.py-list": Contender("im2rec.py --list", "im2rec_py", "mxnet", {"listing": True}),
    "im2rec.cc": Contender("im2rec.cc", "im2rec_cc", "mxnet", installs=True),
    "img2dataset": Contender("img2dataset", "img2dataset_urls", "img2dataset"),
    "streaming": Contender("MosaicML streaming", "mds_writer", "streaming"),
    "webdataset": Contender("webdataset", "wds_shards", "webdataset"),
    "litdata": Contender("LitData", "litdata_optimize", "litdata"),
    "datasets": Contender("Hugging Face datasets", "hf_parquet", "datasets"),
    "ffcv": Contender("FFCV", "ffcv_beton", "ffcv"),
    "ray": Contender("Ray Data", "ray_data", "ray"),
    "curator": Contender("NeMo Curator", "curator_reader", "nemo_curator", installs=True),
    "dali": Contender("DALI, CPU operators", "dali_cpu", "dali"),
}
