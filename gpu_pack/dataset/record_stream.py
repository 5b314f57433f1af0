"""`RecordStream`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from random import Random
from typing import Any

from gpu_pack.dataset.order import BLOCK, Share, blocks, cut, shuffled
from gpu_pack.dataset.read_blocks import Block, read_blocks
from gpu_pack.dataset.read_records import ImageRecord
from gpu_pack.dataset.record_files import Place
from gpu_pack.dataset.records import Records
from gpu_pack.errors import UsageError
from gpu_pack.stores.data_path import PathLike
from gpu_pack.types import Color

#: Of `RecordStream.state_dict`.
_VERSION = 1


class RecordStream(Records):
    """Image records as an iterable: each loop gives ``(image, label)`` of every record once, an epoch.

    The records are read in blocks of 64 that lie one after the other, shuffled as blocks and then by a buffer; from
    object stores, about 8 MiB are read ahead while as many are decoded. The ranks of a training, and a DataLoader's
    workers within each, divide an epoch: together they give each record once. Ranks differ by one record at most.
    PyTorch is imported where it is installed, and takes a stream for an ``IterableDataset``.

    A loop begins the epoch after that of the loop before it. Workers that a DataLoader starts anew for each
    epoch do not know of it: call `set_epoch` before each, as with DistributedSampler.

    Args:
        path, transform, decode, color, label_type, target_transform, fast_dct, endpoint_url, anonymous: see
            `gpu_pack.RecordDataset`.
        shuffle: encoded records that the buffer holds, in each worker; 0 keeps the order of the files.
        seed: of the order; the same in all ranks.
        rank, world: which of how many parts this process reads; by default those of torch.distributed where it is
            initialised when a loop begins (or when workers are started), otherwise 0 of 1.

    Attributes:
        files, notes, warnings: see `gpu_pack.RecordDataset`; so are `classes`, `keys` and `labels`, of all parts.

    Raises:
        UsageError: a value out of range.
        SourceError, FormatError, OSError: see `gpu_pack.RecordDataset`.
    """

    def __init__(
        self,
        path: PathLike | Sequence[PathLike],
        transform: Callable[[Any], Any] | None = None,
        decode: bool = True,
        color: Color = "rgb",
        *,
        shuffle: int = 0,
        seed: int = 0,
        rank: int | None = None,
        world: int | None = None,
        label_type: Callable[[float], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        fast_dct: bool = False,
        endpoint_url: str | None = None,
        anonymous: bool = False,
    ) -> None:
        if shuffle < 0:
            raise UsageError(f"shuffle={shuffle}: the records that the buffer holds, 0 or more")
        if (rank is None) != (world is None) or (rank is not None and world is not None and not 0 <= rank < world):
            raise UsageError(f"rank={rank}, world={world}: give both, with 0 <= rank < world, or neither")
        super().__init__(
            path, transform, decode, color, label_type=label_type, target_transform=target_transform,
            fast_dct=fast_dct, endpoint_url=endpoint_url, anonymous=anonymous,
        )  # fmt: skip
        self.shuffle, self.seed = shuffle, seed
        self._ranks = None if rank is None or world is None else (rank, world)
        self._epoch, self._given = 0, 0
        self._begun = False  # whether a loop has begun this epoch
        self._loaded: dict[str, Any] | None = None
        _tell_torch()

    def __len__(self) -> int:
        """Records of this process's rank, in all of its workers together."""
        rank, world = self._rank_and_world()
        return len(Share(rank, world).of(super().__len__()))

    def set_epoch(self, epoch: int) -> None:
        """The next loop gives this epoch; the position of `load_state_dict` stays if it is that one's."""
        if epoch != self._epoch or self._begun:
            self._epoch, self._given, self._loaded = epoch, 0, None
        self._begun = False

    def state_dict(self) -> dict[str, Any]:
        """Where the last loop stands, as plain values: also in the middle of an epoch, and in each worker."""
        if self._loaded is not None:
            return dict(self._loaded)
        return {**self._setting(), "epoch": self._epoch, "given": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next loop go on where ``state`` was taken: with what that epoch had left, or with the next one.

        Raises:
            UsageError: not a state of a stream; when the loop begins, one with other records, options or parts.
        """
        if state.get("version") != _VERSION or not {"epoch", "given"} <= state.keys():
            raise UsageError(f"load_state_dict: no state of a RecordStream: {str(state)[:80]}")
        self._loaded = dict(state)
        self._epoch, self._given, self._begun = state["epoch"], state["given"], False

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        self._begin()
        share, given, epoch = self._share(), self._given, self._epoch
        for place, record in self._from(share, given):
            item = self._item(place, record)
            given += 1
            if self._epoch == epoch:
                self._given = given
            yield item
        if self._epoch == epoch and _worker() is None:  # a worker that others outlast has nothing left in this epoch
            self._epoch, self._given, self._begun = epoch + 1, 0, False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ranks": self._rank_and_world()}  # spawned workers do not know torch.distributed's

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _tell_torch()

    def _begin(self) -> None:
        if self._loaded is not None:
            self._check(self._loaded)
            self._loaded = None
        elif self._begun:
            self._epoch, self._given = self._epoch + 1, 0
        else:
            self._given = 0
        self._begun = True

    def _from(self, share: Share, given: int) -> Iterator[tuple[Place, ImageRecord]]:
        """The records of this part from the one on that comes after ``given`` others."""
        random = Random(f"{self.seed} {self._epoch}") if self.shuffle else None
        counts = list(map(len, self._records.offsets))
        mine = list(cut(blocks(counts, random), share.of(sum(counts))))
        count = sum(map(len, mine))
        random = Random(f"{self.seed} {self._epoch} {share}")
        order = shuffled(count, self.shuffle, random) if self.shuffle else iter(range(count))
        gone = set(islice(order, given))
        held: dict[int, tuple[Place, ImageRecord]] = {}
        entered, coming = 0, read_blocks(self._records, self._wanted(mine, gone))
        for number, wanted in enumerate(order, given):
            while entered < min(number + max(self.shuffle, 1), count):
                length, records = next(coming)
                held.update(records)
                entered += length
            yield held.pop(wanted)

    def _wanted(self, blocks: list[range], gone: set[int]) -> Iterator[Block]:
        begun = 0
        for block in blocks:
            rows = [row for row in range(begun, begun + len(block)) if row not in gone]
            yield Block(len(block), rows, [self._place(block[row - begun]) for row in rows])
            begun += len(block)

    def _share(self) -> Share:
        rank, world = self._rank_and_world()
        info = _worker()
        return Share(rank, world) if info is None else Share(rank, world, info.id, info.num_workers)

    def _rank_and_world(self) -> tuple[int, int]:
        if self._ranks is not None:
            return self._ranks
        distributed = sys.modules.get("torch.distributed")
        if distributed is None or not distributed.is_available() or not distributed.is_initialized():
            return 0, 1
        return int(distributed.get_rank()), int(distributed.get_world_size())

    def _setting(self) -> dict[str, Any]:
        """What must be the same where a state is loaded."""
        fixed = {"version": _VERSION, "records": super().__len__(), "block": BLOCK}
        return {**fixed, "shuffle": self.shuffle, "seed": self.seed, **self._share()._asdict()}

    def _check(self, state: dict[str, Any]) -> None:
        for name, here in self._setting().items():
            if (there := state.get(name)) != here:
                raise UsageError(f"load_state_dict: the state is of {name}={there}, but here it is {here}")


def _worker() -> Any:
    """What PyTorch tells a DataLoader's worker of itself; None in other processes."""
    torch_data = sys.modules.get("torch.utils.data")
    return torch_data.get_worker_info() if torch_data is not None else None


def _tell_torch() -> None:
    """DataLoader iterates over nothing but an IterableDataset."""
    if "torch" not in sys.modules and find_spec("torch") is None:
        return
    try:
        from torch.utils.data import IterableDataset
    except (ImportError, OSError):  # a PyTorch that does not load has no DataLoader either
        return
    IterableDataset.register(RecordStream)
