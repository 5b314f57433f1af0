"""Run by test_torch.py in a process of its own: loops of PyTorch's DataLoader over the .rec files of a folder."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

import gpu_pack


def labels(batches: Any) -> list[int]:
    return [label for _, batch in batches for label in batch.tolist()]


def check_dataset(path: str, **workers: Any) -> None:
    dataset = gpu_pack.RecordDataset(path)
    wanted = [image for image, _ in dataset]
    layouts = {"NCHW": (3, 30, 40)} if workers else {"NCHW": (3, 30, 40), "NHWC": (30, 40, 3)}
    for layout, shape in layouts.items():
        collate = partial(gpu_pack.collate, layout=layout, tensors=True)
        loader = DataLoader(dataset, batch_size=16, shuffle=True, collate_fn=collate, **workers)
        found = list(loader)
        assert sorted(labels(found)) == list(range(len(dataset)))
        for images, numbers in found:
            assert images.dtype == torch.uint8 and images.shape[1:] == shape and numbers.dtype == torch.int64
            upright = images if layout == "NHWC" else images.permute(0, 2, 3, 1)
            for image, number in zip(upright, numbers.tolist(), strict=True):
                assert (image.numpy() == wanted[number]).all()
    assert labels(DataLoader(dataset, batch_size=7)) == list(range(len(dataset)))


def check_stream(path: str, **workers: Any) -> None:
    stream = gpu_pack.RecordStream(path, shuffle=20)
    assert isinstance(stream, IterableDataset)
    loader = DataLoader(stream, batch_size=8, **workers)
    epochs = []
    for epoch in range(2):
        stream.set_epoch(epoch)
        epochs.append(labels(loader))
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(len(stream))) and epochs[0] != epochs[1]
    ranks = [gpu_pack.RecordStream(path, shuffle=20, rank=rank, world=2) for rank in range(2)]
    found = [label for rank in ranks for label in labels(DataLoader(rank, batch_size=8, **workers))]
    assert sorted(found) == list(range(len(stream)))


def check_distributed(path: str, **workers: Any) -> None:
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    stream = gpu_pack.RecordStream(path, shuffle=20)
    assert len(labels(DataLoader(stream, batch_size=8, **workers))) == len(stream) == len(gpu_pack.RecordDataset(path))
    torch.distributed.destroy_process_group()


def check_stateful(path: str, **workers: Any) -> None:
    from torchdata.stateful_dataloader import StatefulDataLoader

    def loader() -> Any:
        return StatefulDataLoader(gpu_pack.RecordStream(path, shuffle=20), batch_size=8, **workers)

    whole = labels(loader())
    for given in (5, -(-len(whole) // 8)):
        first = loader()
        going = iter(first)
        before = labels(next(going) for _ in range(given))
        state = first.state_dict()
        assert before + labels(going) == whole
        second = loader()
        second.load_state_dict(state)
        assert before + labels(second) == whole
    third = loader()
    third.load_state_dict(first.state_dict())
    assert sorted(labels(third)) == sorted(whole), "after a whole epoch comes a whole one"


if __name__ == "__main__":
    check, method, path = sys.argv[1:]
    workers = {} if method == "none" else {"num_workers": 2, "multiprocessing_context": method}
    globals()[f"check_{check}"](path, **workers)
