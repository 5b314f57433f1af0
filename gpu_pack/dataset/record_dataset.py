"""`RecordDataset`."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

from gpu_pack.dataset.record_files import Place
from gpu_pack.dataset.records import Records

#: Records of an object store that a loop over the dataset reads at once.
_IN_A_ROW = 32


class RecordDataset(Records):
    """Image records by position: ``dataset[i]`` is ``(image, label)``.

    The image is uint8: HxWx3 RGB; HxW for ``gray``; for ``unchanged`` as stored, colour in RGB or RGBA order. The label
    is an int if it is whole, else a float; several labels are a 1-D float32 array. The order is that of the .idx beside
    each .rec; without one, the records' headers are read once, and the order is the file's. Records without a picture
    are left out.

    It can be pickled and forked: each process opens the files when it first reads. Threads may share it.

    Args:
        path: a .rec; a pattern such as ``train-*.rec``; a folder that holds one set of shards; an address of one of
            these, such as ``s3://bucket/out/train.rec``, of which records are read one by one; or a sequence of these.
        transform: called with the image (with the encoded bytes, unless ``decode``); returns what takes its place.
        decode: False gives the encoded bytes instead of pixels.
        color: ``rgb``, ``gray`` or ``unchanged``; EXIF orientation is applied except for ``unchanged``.
        label_type: called with each single label, a float; ``float`` keeps whole labels floats, for regression.
        target_transform: called with the label, after ``label_type``; returns what takes its place.
        fast_dct: decode JPEGs with libjpeg-turbo's less exact inverse DCT, as ffcv does: 3 % faster, and 42 dB from
            the exact pixels of crops of quality 95.
        threads: that share a batch of `__getitems__`, and call the transforms. With as many as there are cores, a
            DataLoader without worker processes uses all of them, and nothing is copied between processes.
        endpoint_url, anonymous: see `gpu_pack.stores.address.StoreOptions`.

    Attributes:
        files: the .rec files, in order.
        notes, warnings: what a reader should know of them: code, message, count, example. Warnings are logged too.

    Raises:
        UsageError: an unknown ``color``, or ``threads`` below 1.
        SourceError: nothing matches, a folder with several sets, or an incomplete set of shards.
        FormatError: a malformed .rec or .idx, an empty .idx beside records; also on reading a record or decoding it.
        OSError: a file cannot be read.
    """

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        place = self._find(index)
        return self._item(place, self._records.one(place))

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, Any]]:
        """The items of a batch, which PyTorch asks for so; from object stores, its records are read at once.

        Without a transform, images of one size are views of one array, which `gpu_pack.collate` gives as it is. Its
        memory is used again for a later batch once nobody has a view of it; up to 128 MiB are kept for that.
        """
        return self._items(list(map(self._find, indices)))

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        if not self._records.remote:
            return (self[index] for index in range(len(self)))
        batches = (range(start, min(start + _IN_A_ROW, len(self))) for start in range(0, len(self), _IN_A_ROW))
        return (item for batch in batches for item in self.__getitems__(batch))

    def _find(self, index: int) -> Place:
        position = operator.index(index)
        if position < 0:
            position += len(self)
        if not 0 <= position < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return self._place(position)
