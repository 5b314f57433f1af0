"""NVIDIA NeMo Curator's image pipeline: its reader decodes tars by DALI; crop and JPEG are our stage.

Its reader takes tars: the workload's ``shards``, whose members follow the list.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import framing
import nvidia.dali as dali
from job import Job, run
from nemo_curator.backends.xenna import XennaExecutor
from nemo_curator.core.client import RayClient
from nemo_curator.pipeline import Pipeline
from nemo_curator.stages.base import ProcessingStage
from nemo_curator.stages.file_partitioning import FilePartitioningStage
from nemo_curator.stages.image.io.image_reader import ImageReaderStage
from nemo_curator.stages.resources import Resources
from nemo_curator.tasks import ImageBatch
from picture import crop


@dataclass
class WriteCrops(ProcessingStage[ImageBatch, ImageBatch]):
    """Its own writer knows no crop and has one JPEG quality only, 92."""

    out: str
    size: int
    quality: int
    name: str = "write_crops"
    resources: Resources = field(default_factory=lambda: Resources(cpus=1.0))

    def inputs(self) -> tuple[list[str], list[str]]:
        return ["data"], []

    def outputs(self) -> tuple[list[str], list[str]]:
        return ["data"], []

    def process(self, batch: ImageBatch) -> ImageBatch:
        with open(f"{self.out}/{batch.data[0].image_id}.part", "wb") as out:
            for image in batch.data:
                bgr = cv2.cvtColor(crop(image.image_data, self.size), cv2.COLOR_RGB2BGR)
                data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, self.quality))[1]
                out.write(framing.frame(key_of(image.image_id), bytes(data)))
                image.image_data = None
        return batch


def key_of(name: str) -> int:
    """Shards are named after the number of their first member, and members are counted within."""
    first, _, number = name.partition("_")
    return int(first) + int(number)


def install(job: Job) -> None:
    """Nothing but a look whether its reader starts here: it opens DALI on GPU 0, whatever decodes."""
    try:
        dali.Pipeline(batch_size=1, num_threads=1, device_id=0).build()
    except RuntimeError:
        sys.exit("its image reader opens DALI on GPU 0, and there is none")


def pack(job: Job) -> None:
    os.mkdir(job.out)
    reader: Any = ImageReaderStage(num_threads=job.cores)
    stages = [
        FilePartitioningStage(file_paths=job.source["shards"], files_per_partition=1, file_extensions=[".tar"]),
        reader,
        WriteCrops(job.out, job.size, job.quality),
    ]
    os.environ["PYTHONPATH"] = os.path.dirname(__file__)  # its workers import this folder's modules
    # Its streaming mode wants more than two cores for three stages.
    executor = XennaExecutor(config={"execution_mode": "batch", "cpu_allocation_percentage": 1.0})
    with RayClient(num_cpus=job.cores, num_gpus=0, ray_temp_dir=os.environ["TMPDIR"], include_dashboard=False):
        Pipeline(name="crops", stages=stages).run(executor)


def read(job: Job) -> Iterator[tuple[int, bytes]]:
    for path in Path(job.out).glob("*.part"):
        yield from framing.read_file(path)


if __name__ == "__main__":
    run(pack, read, install)
