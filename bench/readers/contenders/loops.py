"""What several contenders have in common: PyTorch's DataLoader, and the sum of a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bench.readers.contenders import BATCH
from bench.readers.crops import SIZE


def loader(dataset: Any, workers: int, **options: Any) -> Any:
    """A DataLoader whose workers stay from pass to pass."""
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    return DataLoader(dataset, num_workers=workers, persistent_workers=workers > 0, **{"batch_size": BATCH, **options})


def batches(coming: Iterable[Any]) -> tuple[int, int]:
    """Images and sum of labels of all batches; each is looked at, so that its pixels must be there."""
    images = labels = 0
    for pixels, numbers in coming:
        assert tuple(pixels.shape[1:]) in ((SIZE, SIZE, 3), (3, SIZE, SIZE)), pixels.shape
        assert str(pixels.dtype).endswith("uint8"), pixels.dtype
        int(pixels[-1, -1, -1, -1])
        images += len(pixels)
        labels += int(numbers.sum())
    return images, labels


def over(loader: Any) -> Callable[[], tuple[int, int]]:
    return lambda: batches(loader)
