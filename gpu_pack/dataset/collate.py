"""`collate`: the items of a batch as two arrays."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Any, Literal, get_args

import numpy as np

from gpu_pack.errors import UsageError

Layout = Literal["NHWC", "NCHW"]


def collate(items: Sequence[tuple[Any, Any]], *, layout: Layout = "NHWC", tensors: bool = False) -> tuple[Any, Any]:
    """``(images, labels)`` of a batch of `gpu_pack.RecordDataset`'s or `gpu_pack.RecordStream`'s items.

    A ``collate_fn`` for PyTorch's DataLoader; nothing is copied where the items lie in one array already, as those of
    `RecordDataset.__getitems__` do.

    Args:
        items: image and label of each; images of one shape and dtype, HxWxC or HxW (as HxWx1).
        layout: ``NCHW`` gives a view of that shape; the bytes stay in the order N, H, W, C, which PyTorch calls
            channels_last.
        tensors: give PyTorch tensors over the same memory instead of NumPy arrays.

    Returns:
        The images, uint8 unless a transform made them something else, N x H x W x C or N x C x H x W; and the labels:
        int64 (N), float32 (N) if one is not whole, or float32 (N x M).

    Raises:
        UsageError: an unknown ``layout``, no items, images that are no arrays, or of several shapes; labels likewise.
    """
    if layout not in get_args(Layout):
        raise UsageError(f"layout={layout!r}: choose {' or '.join(get_args(Layout))}")
    whole = items.whole() if isinstance(items, Batch) else None
    images = _joined([image for image, _ in items]) if whole is None else whole
    images = images[..., None] if images.ndim == 3 else images
    if layout == "NCHW":
        images = images.transpose(0, 3, 1, 2)
    try:
        labels = np.array([label for _, label in items])
    except ValueError:
        raise UsageError("collate: its labels have different lengths, so that they make no array") from None
    if labels.dtype.kind not in "iuf":
        raise UsageError(f"collate: labels are numbers or arrays of them, but one of these is {items[0][1]!r}")
    labels = labels.astype(np.int64 if labels.dtype.kind in "iu" else np.float32)
    if not tensors:
        return images, labels
    import torch

    return torch.from_numpy(images), torch.from_numpy(labels)


def _joined(images: list[Any]) -> Any:
    """The images in one array, which is theirs if they are its rows in order."""
    if not images:
        raise UsageError("collate: there are no items")
    first = images[0]
    for image in images:
        if not isinstance(image, np.ndarray) or image.ndim not in (2, 3):
            raise UsageError(f"collate: images are arrays, H x W x C or H x W, but one of these is a {type(image)}")
        if image.shape != first.shape or image.dtype != first.dtype:
            sizes = " and ".join("x".join(map(str, shape)) for shape in (first.shape, image.shape))
            raise UsageError(f"collate: images of {sizes} make no batch: pass a transform that gives them one size")
    return np.stack(images)


class Batch(list[tuple[Any, Any]]):
    """Items whose images may be the rows of one array, in order: what `RecordDataset.__getitems__` gives.

    A list like any other; pickled, it is one.

    Args:
        items: image and label of each.
        whole: the array; None if there is none.
    """

    def __init__(self, items: Sequence[tuple[Any, Any]], whole: Any) -> None:
        super().__init__(items)
        self._whole, self._made = whole, tuple(items)

    def whole(self) -> Any:
        """The array, unless the list has been changed since."""
        same = len(self) == len(self._made) and all(map(is_, self, self._made))
        return self._whole if same else None

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        return list, (list(self),)
