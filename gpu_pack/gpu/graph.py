"""The DALI graph: encoded bytes in, finished crops out, still on the device.

The graph takes crop box and size per image from `gpu_pack.geometry`, computed from the files' headers, so that they
are the CPU's to the pixel. ``fn.slice`` cuts the box out before ``fn.resize``: the resize then cannot read across its
border, which OpenCV cannot either. ``fn.decoders.image`` applies the EXIF orientation first, as OpenCV does; where it
read another orientation than we did and the picture is not square, the box lies outside and the slice raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from nvidia import nvimgcodec
from nvidia.dali import backend, fn, pipeline_def, tensors, types

from gpu_pack.gpu.probe_images import known_good
from gpu_pack.gpu.protocols import Crops, Request
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import TransformSpec

_MID_GREY = 128


class Graph:
    """One pipeline with memory of its own; several in one process run side by side.

    Args:
        gpu: the CUDA device's number; ignored in the CPU mode.
        threads: CPU threads for decoding.
    """

    def __init__(self, spec: TransformSpec, settings: GpuSettings, gpu: int, threads: int) -> None:
        self._spec, self._settings, self._gpu, self._threads = spec, settings, gpu, threads
        self._channels = 1 if spec.color == "gray" else 3
        # With both of these every result is size x size, and the graph says so once instead of for each image.
        self._fixed = spec.size is not None and spec.crop and spec.upscale
        self._open()

    def accepts(self, data: bytes) -> bool:
        """Whether nvImageCodec's parser takes the file, which is the one that DALI's decoder uses.

        Where that parser fails inside the decoder (DALI 2.4.0), the work already handed to its threads stays there with
        pointers to what is gone: the process crashes some batches later, whether the pipeline is reset or not. A
        failure in decoding itself leaves nothing behind. Takes 3 us.
        """
        try:
            return bool(nvimgcodec.CodeStream(data).width)
        except RuntimeError:
            return False

    def run(self, batch: Sequence[Request]) -> Crops:
        """Decode, crop and resize 1 to ``batch_size`` images.

        Raises:
            Exception: whatever DALI raises; the graph is then useless until `reset` or `rebuild`.
        """
        plans = [request.plan for request in batch]
        start = np.array([(plan.y, plan.x) for plan in plans], np.int32)
        extent = np.array([(plan.box_height, plan.box_width) for plan in plans], np.int32)
        corner = np.array([request.corner for request in batch], np.int32)
        inputs: dict[str, Any] = {
            # Wrapped here because DALI's own way from arrays to tensors takes four times as long.
            "data": [tensors.TensorCPU(np.frombuffer(request.data, np.uint8)) for request in batch],
            "start": start,
            "end": start + extent,
            "corner": corner,
            "corner_end": corner + 1,
        }
        if self._spec.size is not None and not self._fixed:
            inputs["size"] = np.array([(plan.height, plan.width) for plan in plans], np.float32)
        # Without a stream argument the outputs are complete when `run` returns, so any stream may read them.
        result, corners = self._pipe.run(**inputs)
        grey = (np.asarray(corners.as_cpu().as_array()) == _MID_GREY).reshape(len(batch), -1).all(1)
        return Crops(
            result, [(plan.width, plan.height) for plan in plans], self._channels, np.flatnonzero(grey).tolist()
        )

    def reset(self) -> None:
        """After an exception: forget the failed batch, keep the memory.

        DALI's executor forgets it by itself, and its own reset only rewinds inputs that have ended, which ours never do
        (2.4.0): whether the pipeline works again, the worker finds out with a picture, and rebuilds it if not.
        """
        self._pipe.reset()

    def rebuild(self) -> None:
        """A new pipeline. Gives the old one's memory back first: DALI's pools never shrink on their own."""
        del self._pipe
        backend.ReleaseUnusedMemory()  # type: ignore[attr-defined, unused-ignore]  # not in its type stub
        self._open()

    def close(self) -> None:
        """Free the pipeline. The graph cannot be used again."""
        del self._pipe

    def _open(self) -> None:
        """A pipeline that has decoded one whole batch.

        nvImageCodec settles with the first batch that a decoder sees how many of a batch go to the engines, and keeps
        to it (0.8, image_generic_codec.h, adjustBatchSizes): after a first batch of one, nearly all would stay outside.
        """
        self._pipe = self._build()
        self.run([known_good(self._spec)] * self._settings.batch_size)

    def _build(self) -> Any:
        on_gpu = self._settings.device == "gpu"
        pipe = pipeline_def(self._define)(
            batch_size=self._settings.batch_size,
            num_threads=self._threads,
            device_id=self._gpu if on_gpu else None,
            prefetch_queue_depth=1,  # what run(name=batch) needs; workers overlap instead of batches
        )
        pipe.build()
        return pipe

    def _define(self) -> Any:
        image = self._decoded(fn.external_source(name="data", dtype=types.UINT8, ndim=1, no_copy=True))
        corner = fn.slice(image, start=_places("corner"), end=_places("corner_end"), axes=[0, 1])
        box = fn.slice(image, start=_places("start"), end=_places("end"), axes=[0, 1])
        if self._spec.size is None:
            return box, corner
        fixed = (self._spec.size, self._spec.size)
        result = fn.resize(
            box,
            size=fixed if self._fixed else fn.external_source(name="size", dtype=types.FLOAT, ndim=1),
            interp_type=types.INTERP_LINEAR,
            antialias=self._spec.interp == "antialias",
            subpixel_scale=False,  # the box as it is, not one widened to keep the aspect exact
        )
        return result, corner

    def _decoded(self, data: Any) -> Any:
        settings = self._settings
        return fn.decoders.image(
            data,
            device="mixed" if settings.device == "gpu" else "cpu",
            output_type=types.GRAY if self._channels == 1 else types.RGB,
            jpeg_fancy_upsampling=settings.fancy_upsampling,
            hw_decoder_load=settings.hw_decoder_load,
            hybrid_huffman_threshold=settings.hybrid_huffman_threshold,
            affine=False,  # else every pipeline of the process ties its threads to the same first cores
            # Most photographs fit, so that the engine's buffers are allocated once; larger ones make them grow.
            preallocate_width_hint=1024,
            preallocate_height_hint=1024,
        )


def _places(name: str) -> Any:
    return fn.external_source(name=name, dtype=types.INT32, ndim=1)
