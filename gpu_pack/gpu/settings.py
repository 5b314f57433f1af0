"""Settings of the GPU path and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gpu_pack.errors import UsageError
from gpu_pack.types import EncoderName, available_cores

_MAX_PROCESSES_PER_GPU, _CORES_PER_PROCESS = 4, 4
#: Estimated device memory, in bytes: of a process (CUDA, its libraries, encoders), and of a worker for each image of a
#: batch in each of its graphs (the decoded picture at `gpu_pack.gpu.graph`'s size hint, and the box cut out of it).
_PROCESS_BYTES, _IMAGE_BYTES = 1 << 30, 2 * 1024 * 1024 * 3
#: Share of a GPU's memory that is planned with.
_MEMORY_SHARE = 0.8
#: (least, greatest) of each setting that is a number.
_RANGES = {
    "processes": (1, 64),
    "workers": (1, 64),
    "batch_size": (1, 4096),
    "batch_pixels": (1, 1 << 40),
    "hw_decoder_load": (0, 1),
    "hybrid_huffman_threshold": (0, 1 << 40),
    "threads": (1, 1024),
    "cores": (1, 1 << 20),
}


@dataclass(frozen=True)
class GpuSettings:
    """How decoder, encoder and workers are set up; `UsageError` if a value is out of range.

    The defaults are estimates from published figures. ``bench/prove_gpu.py`` finds the best values on a machine.

    Attributes:
        processes: processes per GPU; None for one per four cores, at most four, and at most what its memory
            holds. One interpreter cannot keep up with the images of a large machine (see `gpu_pack.processes`).
        workers: DALI pipelines per process; one decodes while another encodes.
        batch_size: images per pipeline run. Memory per worker and the time to the first result grow with it.
        batch_pixels: a batch ends where its pictures together reach this many pixels (3 bytes each on the device), so
            that large photographs do not exhaust a small GPU.
        hw_decoder_load: share of the pictures that the NVJPG engines decode, 0 to 1; ignored by GPUs without them.
            Between these, each picture's key decides (`gpu_pack.gpu.route`), and a worker has two graphs. It stands in
            a run's identity, since the engines' pixels may differ from CUDA's.
        check_scans: search scans for foreign markers before decoding, 30 to 60 us per 100 KB. The engines report
            success before they have decoded (nvImageCodec 0.8, hw_decoder.cpp), so they may not report damage.
        hybrid_huffman_threshold: the Huffman codes of pictures with fewer pixels are decoded by CPU threads.
        check_corners: compare the first pixels of each picture for the engines with the CPU's
            (`gpu_pack.gpu.corners`), 13 us an image. None: only where there may be engines.
        fancy_upsampling: interpolate chroma as libjpeg-turbo does; else results differ more from the CPU's.
        threads: CPU threads per graph for decoding, and as many per worker for encoding and the CPU codec; None divides
            the cores among the workers.
        cores: that all processes of all GPUs share; None for all that this process may use.
        encoder: ``nvjpeg`` on the device; ``cpu`` for OpenCV on the host; ``cuda`` for gpu_pack's kernels, which encode
            a batch at once (RGB crops of one size; otherwise ``cpu`` is used), and must first make OpenCV's files of
            known pictures; ``auto`` for the fastest of these.
        device: ``cpu`` runs decoder and encoders in DALI's and nvImageCodec's CPU mode, for tests.
    """

    processes: int | None = None
    workers: int = 2
    batch_size: int = 128
    batch_pixels: int = 256_000_000
    hw_decoder_load: float = 1.0
    hybrid_huffman_threshold: int = 1_000_000
    fancy_upsampling: bool = True
    check_scans: bool = True
    check_corners: bool | None = None
    threads: int | None = None
    cores: int | None = None
    encoder: EncoderName = "auto"
    device: Literal["gpu", "cpu"] = "gpu"

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name}={value}: it must lie between {low} and {high}")
        for name, allowed in (("encoder", get_args(EncoderName)), ("device", ("gpu", "cpu"))):
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name}={getattr(self, name)}: choose {' or '.join(allowed)}")

    def processes_per_gpu(self, gpus: int, memory: int | None = None) -> int:
        """Processes for each of ``gpus`` GPUs, the smallest of which has ``memory`` bytes."""
        shared = (self.cores or available_cores()) // (_CORES_PER_PROCESS * gpus)
        room = _MAX_PROCESSES_PER_GPU if memory is None else int(memory * _MEMORY_SHARE / self.process_bytes)
        return self.processes or max(1, min(_MAX_PROCESSES_PER_GPU, shared, room))

    @property
    def graphs(self) -> int:
        """Graphs of a worker."""
        return 2 if 0 < self.hw_decoder_load < 1 else 1

    @property
    def process_bytes(self) -> int:
        """Device memory that a process is estimated to take."""
        return _PROCESS_BYTES + self.workers * self.graphs * self.batch_size * _IMAGE_BYTES

    def threads_per_worker(self, workers: int) -> int:
        """CPU threads for each of ``workers`` workers."""
        return self.threads or max(1, (self.cores or available_cores()) // workers)


def default_settings() -> GpuSettings:
    """What a run starts from. Benchmarks and tests replace this function."""
    return GpuSettings()
