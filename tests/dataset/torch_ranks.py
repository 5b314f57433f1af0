"""Run by test_torch_ranks.py, once for each rank of a torch.distributed group (gloo, on loopback)."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from itertools import islice
from typing import Any

import torch.distributed
from torch.utils.data import DataLoader

import gpu_pack

SHUFFLE, BATCH = 20, 8


def labels(batches: Any) -> list[int]:
    return [label for _, batch in batches for label in batch.tolist()]


def gathered(mine: list[int]) -> list[list[int]]:
    """What each rank has."""
    found: list[Any] = [None, None]
    torch.distributed.all_gather_object(found, mine)
    return found


def check_once(parts: list[list[int]], count: int) -> None:
    """Together all records once, and shares that differ by one at most."""
    assert sorted(label for part in parts for label in part) == list(range(count)), parts
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def stream(path: str) -> gpu_pack.RecordStream:
    return gpu_pack.RecordStream(path, shuffle=SHUFFLE)


def check_epochs(path: str, count: int, workers: dict[str, Any]) -> None:
    ours = stream(path)
    epochs = []
    for epoch in range(2):
        ours.set_epoch(epoch)
        mine = labels(DataLoader(ours, batch_size=BATCH, **workers))
        assert len(mine) == len(ours)
        check_once(gathered(mine), count)
        epochs.append(mine)
    assert epochs[0] != epochs[1]


def check_resume(path: str, count: int) -> None:
    """Each rank stops in the middle of an epoch, at another place, and another process of its rank goes on."""
    first = stream(path)
    before = [label for _, label in islice(first, 13 + torch.distributed.get_rank())]
    second = stream(path)
    second.load_state_dict(first.state_dict())
    after = [label for _, label in second]
    check_once(gathered(before + after), count)


def check_stateful(path: str, count: int, workers: dict[str, Any]) -> None:
    from torchdata.stateful_dataloader import StatefulDataLoader

    first = StatefulDataLoader(stream(path), batch_size=BATCH, **workers)
    before = labels(islice(first, 3 + torch.distributed.get_rank()))
    second = StatefulDataLoader(stream(path), batch_size=BATCH, **workers)
    second.load_state_dict(first.state_dict())
    check_once(gathered(before + labels(second)), count)


if __name__ == "__main__":
    path, store, rank, method = sys.argv[1:]
    workers = {} if method == "none" else {"num_workers": 2, "multiprocessing_context": method}
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=int(rank), world_size=2)
    count = len(gpu_pack.RecordDataset(path))
    check_epochs(path, count, workers)
    check_resume(path, count)
    if find_spec("torchdata") is not None:
        check_stateful(path, count, workers)
    torch.distributed.destroy_process_group()
