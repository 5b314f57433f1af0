"""Two graphs as one: the JPEG engines decode some pictures of a batch, and CUDA the others, at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

from gpu_pack.gpu.graph import Graph
from gpu_pack.gpu.protocols import Crops, Decoder, DecodeRequest, WorkerContext


def open_graph(context: WorkerContext) -> Decoder:
    """What decodes at ``context.settings.hw_decoder_load``: one graph at 0 and 1, and two between these."""
    return SplitGraph(context) if context.settings.graphs > 1 else Graph(context)


class SplitGraph:
    """A `Decoder` that sends each picture where `DecodeRequest.on_engines` says.

    Instead nvImageCodec could divide each batch, but then the rest of the batch decides which decoder a picture gets.

    Both graphs hold a whole batch, since all of its pictures may go the same way. Each runs in its own thread, as the
    graphs of two workers do, so the invariant of `gpu_pack.gpu.graph` holds for each: the waits are in its `run`.
    """

    def __init__(self, context: WorkerContext, make: Callable[[WorkerContext], Decoder] = Graph) -> None:
        settings = context.settings
        self._engines = make(context._replace(settings=replace(settings, hw_decoder_load=1.0)))
        self._cuda = make(context._replace(settings=replace(settings, hw_decoder_load=0.0, check_corners=False)))
        self._thread = ThreadPoolExecutor(1, "jpeg-engines", context.memory.activate)

    def accepts(self, data: bytes) -> bool:
        """See `Decoder.accepts`."""
        return self._cuda.accepts(data)

    def run(self, batch: Sequence[DecodeRequest]) -> Crops:
        """See `Decoder.run`. Neither graph is running when this returns or raises."""
        theirs = [place for place, request in enumerate(batch) if request.on_engines]
        others = [place for place, request in enumerate(batch) if not request.on_engines]
        if not others:
            return self._engines.run(batch)
        if not theirs:
            return self._cuda.run(batch)
        by_engines = self._thread.submit(self._engines.run, [batch[place] for place in theirs])
        try:
            by_cuda = self._cuda.run([batch[place] for place in others])
        finally:
            wait([by_engines])
        return _joined((theirs, by_engines.result()), (others, by_cuda))

    def reset(self) -> None:
        """See `Decoder.reset`."""
        self._engines.reset()
        self._cuda.reset()

    def rebuild(self) -> None:
        """See `Decoder.rebuild`."""
        self._engines.rebuild()
        self._cuda.rebuild()

    def rebuild_without_engines(self) -> None:
        """See `Decoder.rebuild_without_engines`."""
        self._engines.rebuild_without_engines()

    def close(self) -> None:
        """See `Decoder.close`."""
        self._thread.shutdown()
        self._engines.close()
        self._cuda.close()


class _Tensors:
    """Tensors of two of DALI's TensorLists, ``(list, index)`` each, as one: as far as it is read of `Crops.tensors`."""

    def __init__(self, places: list[tuple[Any, int]]) -> None:
        self._places = places

    def is_dense_tensor(self) -> bool:
        return False

    def __getitem__(self, place: int) -> Any:
        tensors, index = self._places[place]
        return tensors[index]


def _joined(*parts: tuple[list[int], Crops]) -> Crops:
    """One batch of parts with their places in it; the first part's corners are its corners."""
    found = {place: (crops, index) for places, crops in parts for index, place in enumerate(places)}
    inorder = [found[place] for place in range(len(found))]
    return Crops(
        _Tensors([(crops.tensors, index) for crops, index in inorder]),
        [crops.sizes[index] for crops, index in inorder],
        parts[0][1].channels,
        [places[index] for places, crops in parts for index in crops.maybe_truncated],
        parts[0][1].corners,
    )
