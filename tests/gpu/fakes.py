"""Stand-ins for graph and encoder, so that nothing of CUDA is needed."""

from __future__ import annotations

from gpu_pack.gpu.protocols import Crops

FULL = "Can't allocate 123456 bytes on device 0."
LOST = "CUDA runtime API error cudaErrorIllegalAddress (700): an illegal memory access was encountered"


class FakeGraph:
    """Hands its input through as crops; fails as it is told.

    Args:
        room: how many images fit into the device's memory.
        poison: bytes that make a batch fail.
        dead_after: the number of runs after which nothing works any more.
    """

    def __init__(self, room: int = 99, poison: bytes | None = None, dead_after: int = 10**9) -> None:
        self.maybe_truncated: tuple[bytes, ...] = ()
        self.room, self.poison, self.dead_after = room, poison, dead_after
        self.sizes: list[int] = []
        self.resets = self.rebuilds = self.closes = 0
        self.valid, self.resettable = True, True

    def accepts(self, data):
        return True

    def run(self, batch):
        datas = [request.data for request in batch]
        self.sizes.append(len(datas))
        assert self.valid, "run after a failure without reset or rebuild"
        self.valid = False
        if len(self.sizes) > self.dead_after:
            raise RuntimeError(LOST)
        if len(datas) > self.room:
            raise RuntimeError(f"Critical error in pipeline:\n...\nencountered:\n\n{FULL}\nCurrent pipeline object ...")
        if self.poison in datas:
            raise RuntimeError(f"Failed to decode sample #{datas.index(self.poison)} :")
        self.valid = True
        sizes = [(request.geometry.width, request.geometry.height) for request in batch]
        return Crops(datas, sizes, 3, [place for place, data in enumerate(datas) if data in self.maybe_truncated])

    def reset(self):
        self.resets += 1
        self.valid = self.resettable

    def rebuild(self):
        self.rebuilds += 1
        self.valid = True

    def close(self):
        self.closes += 1


class FakeEncoder:
    name = "nvjpeg"

    def __init__(self, refuses: bytes | None = None, fails: Exception | None = None) -> None:
        self.refuses, self.fails, self.closes = refuses, fails, 0

    def encode(self, crops):
        if self.fails and len(crops.tensors) > 1:
            raise self.fails
        return [None if data == self.refuses else b"packed " + data for data in crops.tensors]

    def close(self):
        self.closes += 1
