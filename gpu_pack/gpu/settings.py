"""The knobs of the GPU path, and what they are set to where nobody turns them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from gpu_pack.errors import UsageError

#: Of each GPU, and how many cores there must be for each of them.
_MOST_PROCESSES, _PROCESS_CORES = 4, 4
EncoderChoice = Literal["auto", "nvjpeg", "cpu", "cuda"]


@dataclass(frozen=True)
class GpuSettings:
    """How the graph, the encoder and the workers are set up.

    The defaults are estimates from published figures: nothing here was measured on a GPU yet. ``bench/prove_gpu.py``
    sweeps each of them; whoever runs it puts its best values here, with the machine they were found on.

    Attributes:
        processes: processes per GPU; None for one for every four cores, but at most four. Each has an interpreter of
            its own: in one, the Python of a large machine's images would bound them (see `gpu_pack.processes`).
        workers: DALI pipelines per process; one decodes while another encodes.
        batch_size: images per pipeline run. Memory per worker grows with it, and so does the time to first result.
        batch_pixels: a batch is cut where its pictures together reach this many pixels (3 bytes each on the device),
            so that a folder of large photographs does not exhaust a small GPU.
        hw_decoder_load: share of each batch that goes to the NVJPG engines, 0 to 1; ignored by GPUs without them. Below
            1 the others of its batch decide which decoder an image meets, and whether engine and CUDA give the same
            bytes is unproven; at 1 (or 0) a run that was interrupted ends with the bytes of one that was not.
        check_scans: look through each file's picture data for foreign markers before it is decoded. The engines take
            their work in batches and report success before they have begun (nvImageCodec 0.8, hw_decoder.cpp), so
            whether they tell of damage at all is unproven. 30 to 60 us of a core for 100 KB.
        hybrid_huffman_threshold: pictures of fewer pixels have their Huffman decoding done by CPU threads.
        fancy_upsampling: chroma as libjpeg-turbo interpolates it; without it the pictures are further
            from the CPU's.
        threads: CPU threads per worker for decoding, and as many for encoding and for images that the GPU refuses;
            None shares the cores out among the workers.
        encoder: ``nvjpeg`` on the device, ``cpu`` for OpenCV on the copied crops, ``auto`` for the faster of these two;
            ``cuda`` for our own kernels, a whole batch at once (RGB crops of one size; else it means ``cpu``).
        device: ``cpu`` runs the same graph and encoders in DALI's and nvImageCodec's CPU mode, for tests.

    Raises:
        UsageError: a value out of range.
    """

    processes: int | None = None
    workers: int = 2
    batch_size: int = 128
    batch_pixels: int = 256_000_000
    hw_decoder_load: float = 1.0
    hybrid_huffman_threshold: int = 1_000_000
    fancy_upsampling: bool = True
    check_scans: bool = True
    threads: int | None = None
    encoder: EncoderChoice = "auto"
    device: Literal["gpu", "cpu"] = "gpu"

    def __post_init__(self) -> None:
        if self.processes is not None:
            _between("GPU processes", self.processes, 1, 64)
        _between("GPU workers", self.workers, 1, 64)
        _between("batch size", self.batch_size, 1, 4096)
        _between("batch pixels", self.batch_pixels, 1, 1 << 40)
        _between("decoder load", self.hw_decoder_load, 0, 1)
        _between("Huffman threshold", self.hybrid_huffman_threshold, 0, 1 << 40)
        if self.threads is not None:
            _between("GPU worker threads", self.threads, 1, 1024)
        if self.encoder not in ("auto", "nvjpeg", "cpu", "cuda"):
            raise UsageError(f"encoder {self.encoder!r}: choose auto, nvjpeg, cpu or cuda")
        if self.device not in ("gpu", "cpu"):
            raise UsageError(f"device {self.device!r}: choose gpu or cpu")

    def processes_each(self, gpus: int) -> int:
        """Processes for each of ``gpus`` GPUs."""
        return self.processes or max(1, min(_MOST_PROCESSES, available_cores() // (_PROCESS_CORES * gpus)))

    def threads_each(self, workers: int) -> int:
        """CPU threads for each of ``workers`` workers."""
        return self.threads or max(1, available_cores() // workers)


def default_settings() -> GpuSettings:
    """What a run begins with; whoever tries other settings puts another function in this one's place."""
    return GpuSettings()


def available_cores() -> int:
    """The cores that this process may run on (containers and taskset can leave fewer than the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _between(what: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{what} {value}: it lies between {low} and {high}")
