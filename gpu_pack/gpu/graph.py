"""The DALI pipeline: decodes files, crops and resizes.

The box and size of each image come from `gpu_pack.geometry`, so they equal the CPU's to the pixel. ``fn.slice`` cuts
the box before ``fn.resize``, which then reads nothing outside it, like OpenCV. ``fn.decoders.image`` applies the EXIF
orientation first, like OpenCV. Where it reads another orientation than `read_header` did and the picture is not
square, the box is outside the picture and the slice raises.

Invariant: a run ends, on the host, before anything reads its outputs and before the next run begins. So the pipeline
has ``prefetch_queue_depth=1`` and `Pipeline.run` no stream, which makes it wait for the device. The reason is Hopper:
its JPEG engines ignore the order of streams (torchcodec PR 1634, torchvision PR 9606: 134 of 200 iterations corrupt),
so with outputs that are only ordered by a stream, or a second batch in flight, pictures are overwritten unnoticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from nvidia import nvimgcodec
from nvidia.dali import backend, fn, pipeline_def, tensors, types

from gpu_pack.gpu.corners import EDGE
from gpu_pack.gpu.probe_images import device_check_request
from gpu_pack.gpu.protocols import Crops, DecodeRequest, WorkerContext

_MID_GREY = 128
_coordinates = partial(fn.external_source, dtype=types.INT32, ndim=1)


class Graph:
    """A `Decoder` with memory of its own. Several in one process run in parallel.

    Its ``hw_decoder_load`` is 0 or 1: between these, nvImageCodec divides each batch by itself. `SplitGraph` does not.
    """

    def __init__(self, context: WorkerContext) -> None:
        spec = context.spec
        self._spec, self._settings, self._gpu, self._memory = spec, context.settings, context.gpu, context.memory
        self._channels = 1 if spec.color == "gray" else 3
        # Every result is size x size: the pipeline is built with that size instead of one per image.
        self._fixed = spec.size is not None and spec.crop and spec.upscale
        self._open()

    def accepts(self, data: bytes) -> bool:
        """Whether `run` may be given the file: nvImageCodec's parser, which DALI uses, accepts it. Takes 3 us.

        Where it fails inside DALI 2.4.0, tasks keep pointers to freed memory: the process crashes some batches later,
        even after a reset. Errors in decoding itself have no such effect.
        """
        try:
            return bool(nvimgcodec.CodeStream(data).width)
        except RuntimeError:
            return False

    def run(self, batch: Sequence[DecodeRequest]) -> Crops:
        """See `Decoder.run`."""
        boxes = [request.geometry for request in batch]
        start = np.array([(box.y, box.x) for box in boxes], np.int32)
        end = np.array([(box.y + box.box_height, box.x + box.box_width) for box in boxes], np.int32)
        pixel = np.array([request.last_pixel for request in batch], np.int32)
        inputs: dict[str, Any] = {
            # DALI's own conversion from arrays to tensors takes four times as long.
            "data": [tensors.TensorCPU(np.frombuffer(request.data, np.uint8)) for request in batch],
        }
        inputs |= {"start": start, "end": end, "pixel": pixel, "pixel_end": pixel + 1}
        if self._settings.check_corners:
            inputs["corner"] = np.array([request.corner for request in batch], np.int32)
        if self._spec.size is not None and not self._fixed:
            inputs["size"] = np.array([(box.height, box.width) for box in boxes], np.float32)
        # No stream argument: see the invariant above.
        result, pixels, *corners = self._pipe.run(**inputs)
        grey = (np.asarray(pixels.as_cpu().as_array()) == _MID_GREY).reshape(len(batch), -1).all(1)
        return Crops(
            result,
            [(box.width, box.height) for box in boxes],
            self._channels,
            np.flatnonzero(grey).tolist(),
            np.asarray(corners[0].as_cpu().as_array()) if corners else None,
        )

    def reset(self) -> None:
        """See `Decoder.reset`."""
        self._memory.wait_device()  # the engines may still write into the batch's memory: see the invariant above
        # DALI 2.4.0 discards the batch by itself; its reset only rewinds inputs that have ended.
        self._pipe.reset()

    def rebuild(self) -> None:
        """See `Decoder.rebuild`."""
        self._memory.wait_device()
        del self._pipe
        # DALI's memory pools shrink only on request.
        backend.ReleaseUnusedMemory()  # type: ignore[attr-defined, unused-ignore]  # not in its type stub
        self._open()

    def rebuild_without_engines(self) -> None:
        """See `Decoder.rebuild_without_engines`."""
        self._settings = replace(self._settings, hw_decoder_load=0.0, check_corners=False)
        self.rebuild()

    def close(self) -> None:
        """See `Decoder.close`."""
        del self._pipe

    def _open(self) -> None:
        """Build the pipeline and decode a whole batch.

        nvImageCodec divides all batches between engines and CUDA as it divides the first (0.8, image_generic_codec.h,
        adjustBatchSizes): after a first batch of one image, nearly none would go to the engines.
        """
        on_gpu = self._settings.device == "gpu"
        self._pipe = pipeline_def(self._define)(
            batch_size=self._settings.batch_size,
            num_threads=self._settings.threads_per_worker(1),
            device_id=self._gpu if on_gpu else None,
            prefetch_queue_depth=1,  # see the invariant above; workers overlap instead of batches
        )
        self._pipe.build()
        self.run([device_check_request(self._spec)] * self._settings.batch_size)

    def _define(self) -> Any:
        image = self._decode(fn.external_source(name="data", dtype=types.UINT8, ndim=1, no_copy=True))
        pixel = fn.slice(image, start=_coordinates(name="pixel"), end=_coordinates(name="pixel_end"), axes=[0, 1])
        box = fn.slice(image, start=_coordinates(name="start"), end=_coordinates(name="end"), axes=[0, 1])
        checked = [self._square(image)] if self._settings.check_corners else []
        if self._spec.size is None:
            return box, pixel, *checked
        result = fn.resize(
            box,
            size=[self._spec.size] * 2 if self._fixed else fn.external_source(name="size", dtype=types.FLOAT, ndim=1),
            interp_type=types.INTERP_LINEAR,
            antialias=self._spec.interp == "antialias",
            subpixel_scale=False,  # else the box is widened to keep the aspect ratio exact
        )
        return result, pixel, *checked

    def _square(self, image: Any) -> Any:
        return fn.slice(
            image, start=_coordinates(name="corner"), shape=[EDGE] * 2, axes=[0, 1], out_of_bounds_policy="pad"
        )

    def _decode(self, data: Any) -> Any:
        settings = self._settings
        return fn.decoders.image(
            data,
            device="mixed" if settings.device == "gpu" else "cpu",
            output_type=types.GRAY if self._channels == 1 else types.RGB,
            jpeg_fancy_upsampling=settings.fancy_upsampling,
            hw_decoder_load=settings.hw_decoder_load,
            hybrid_huffman_threshold=settings.hybrid_huffman_threshold,
            affine=False,  # else every pipeline of the process binds its threads to the same first cores
            # Buffers for most photographs are allocated once; larger ones make them grow.
            preallocate_width_hint=1024,
            preallocate_height_hint=1024,
        )
