"""DALI's readers.mxnet with its decoder on the CPU: pixels to host memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from nvidia.dali import fn, pipeline_def, types

from bench.readers.contenders import BATCH
from bench.readers.crops import IDX, REC, SIZE, Crops, link

_AHEAD = 2


def write(crops: Crops, source: Path, folder: Path) -> None:
    link(source, folder)


def reader(folder: Path, workers: int, shuffled: bool) -> Callable[[], tuple[int, int]]:
    @pipeline_def(batch_size=BATCH, num_threads=max(workers, 1), device_id=None, prefetch_queue_depth=_AHEAD)  # type: ignore[untyped-decorator, unused-ignore]
    def pipeline() -> object:
        data, label = fn.readers.mxnet(
            path=[str(folder / REC)], index_path=[str(folder / IDX)], random_shuffle=shuffled, name="reader"
        )
        return fn.decoders.image(data, device="cpu", output_type=types.RGB), label

    pipe = pipeline()
    pipe.build()
    runs = len(Crops(folder)) // BATCH

    def one() -> tuple[int, int]:
        """As many runs as a pass has batches: `run` would decode some of the next pass after the clock stops."""
        for _ in range(_AHEAD):
            pipe.schedule_run()
        images = 0
        for done in range(runs):
            pixels, _ = pipe.share_outputs()
            array = np.asarray(pixels.as_tensor())
            assert array.shape == (BATCH, SIZE, SIZE, 3), array.shape
            int(array[-1, -1, -1, -1])
            images += len(array)
            pipe.release_outputs()
            if done < runs - _AHEAD:
                pipe.schedule_run()
        return images, -1  # its shuffling does not end with a pass

    return one
