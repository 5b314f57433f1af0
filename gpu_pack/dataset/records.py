"""What `RecordDataset` and `RecordStream` have in common."""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any, get_args

import numpy as np

from gpu_pack.dataset.blocks import Array, Blocks
from gpu_pack.dataset.collate import Batch
from gpu_pack.dataset.decode import BatchDecoder, decode_image
from gpu_pack.dataset.read_records import ImageRecord
from gpu_pack.dataset.rec_files import rec_files
from gpu_pack.dataset.record_files import Place, RecordFiles
from gpu_pack.dataset.threads import Threads
from gpu_pack.errors import FormatError, UsageError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import read_classes
from gpu_pack.formats.notices import select
from gpu_pack.recordio import HeaderInfo
from gpu_pack.recordio.scanning import read_record_header
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.data_path import PathLike, data_path, read_places
from gpu_pack.types import Color

_log = logging.getLogger("gpu_pack")
#: Of records whose headers alone are read.
_HEAD_BYTES = 512
#: Records of a batch that are read before they are decoded: 100 KB of crops, which stay in the processor's cache.
_GROUP = 4


class Records:
    """Image records in their order: that of the .idx beside each .rec; without one, the file's.

    Arguments, attributes and errors are those of `gpu_pack.dataset.RecordDataset`.
    """

    def __init__(
        self,
        path: PathLike | Sequence[PathLike],
        transform: Callable[[Any], Any] | None = None,
        decode: bool = True,
        color: Color = "rgb",
        *,
        label_type: Callable[[float], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        fast_dct: bool = False,
        threads: int = 1,
        endpoint_url: str | None = None,
        anonymous: bool = False,
    ) -> None:
        if threads < 1:
            raise UsageError(f"threads={threads}: 1 or more")
        if color not in get_args(Color):
            raise UsageError(f"color={color!r}: choose {' or '.join(get_args(Color))}")
        paths = list(path) if isinstance(path, Sequence) and not isinstance(path, str) else [path]
        store = StoreOptions(endpoint_url, anonymous)
        self._records = RecordFiles([file for item in paths for file in rec_files(data_path(item, store))])
        self.files = list(map(str, self._records.paths))
        self.transform = transform
        self.decode = decode
        self.color: Color = color
        self.fast_dct = fast_dct
        self.label_type = label_type
        self.target_transform = target_transform
        notices = self._records.notices
        self.notes, self.warnings = select(notices, "note"), select(notices, "warning")
        for warning in self.warnings:
            _log.warning("%s", warning["message"])
        self._ends = list(accumulate(map(len, self._records.offsets)))
        self._columns: tuple[Array, Array] | None = None
        self._blocks = Blocks()
        self._threads = Threads(threads) if threads > 1 else None

    @property
    def classes(self) -> list[str] | None:
        """The names in the classes.txt beside the first file, by label; None if there is none."""
        path = self._records.paths[0].with_name(CLASSES) if self.files else None
        return list(read_classes(path)) if path is not None and path.is_file() else None

    @property
    def keys(self) -> Array:
        """The records' keys, 1-D uint64: of the .idx; without one the ids, or positions in a file where ids repeat."""
        return self._read_columns()[0]

    @property
    def labels(self) -> Array:
        """The records' labels without any transform: 1-D int64 if all are whole numbers below 2**31, else float32.

        All headers are read once for it and for `keys`. With M labels in each record it is 2-D float32, N x M.

        Raises:
            FormatError: records with different numbers of labels.
        """
        return self._read_columns()[1]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def close(self) -> None:
        """Close the files and end the threads; reading opens and starts them again."""
        self._records.close()
        if self._threads is not None:
            self._threads.close()

    def _place(self, position: int) -> Place:
        """Where the record at ``position`` lies, from 0."""
        if len(self._ends) == 1:
            return 0, position
        file = bisect_right(self._ends, position)
        return file, position - (self._ends[file - 1] if file else 0)

    def _item(self, place: Place, record: ImageRecord) -> tuple[Any, Any]:
        _, _, data, begin, end = record
        image = decode_image(data, begin, end, self.color, self.fast_dct) if self.decode else data[begin:end]
        return self._finish(place, record, image)

    def _items(self, places: Sequence[Place]) -> list[tuple[Any, Any]]:
        """Of a batch, in one thread or several."""
        read = self._records.reader(places)
        if not self.decode or self.transform is not None:  # each is used by itself
            return self._grouped(lambda rows: [self._item(places[row], read(row)) for row in rows], len(places))
        decoder = BatchDecoder(len(places), self.color, self.fast_dct, self._blocks)

        def items(rows: range) -> list[tuple[Any, Any]]:
            records = list(map(read, rows))
            images = [
                decoder.decode(row, data, begin, end)
                for row, (_, _, data, begin, end) in zip(rows, records, strict=True)
            ]
            return [
                self._finish(places[row], record, image)
                for row, record, image in zip(rows, records, images, strict=True)
            ]

        return Batch(self._grouped(items, len(places)), decoder.whole())

    def _grouped(self, function: Callable[[range], list[Any]], count: int) -> list[Any]:
        """What ``function`` gives for groups of rows.

        Reading some records and then decoding them takes 2 % less than one by one: the processor has the code of
        either at hand. Several threads take single rows at last, so that they end at about the same time.
        """
        threads = self._threads
        apart = 0 if threads is None else min(count, _GROUP * threads.count)
        starts = [*range(0, count - apart, _GROUP), *range(count - apart, count)]
        groups = [range(start, end) for start, end in pairwise([*starts, count])]
        found = map(function, groups) if threads is None else threads.map(function, groups)
        return list(chain.from_iterable(found))

    def _finish(self, place: Place, record: ImageRecord, image: Any) -> tuple[Any, Any]:
        if image is None:
            file, row = place
            offset = self._records.offsets[file][row]
            raise FormatError(f"record {record[0]}: OpenCV cannot decode its image", self.files[file], offset)
        if self.transform is not None:
            image = self.transform(image)
        label = self._label(record[1])
        return image, label if self.target_transform is None else self.target_transform(label)

    def _label(self, label: Any) -> Any:
        if not isinstance(label, float):
            return label.copy()  # the record's bytes are read-only, which PyTorch warns about
        if self.label_type is not None:
            return self.label_type(label)
        return int(label) if label.is_integer() else label

    def _read_columns(self) -> tuple[Array, Array]:
        if self._columns is None:
            keys, values, counts = array("Q"), array("f"), set[int]()
            for info, key in self._headers():
                keys.append(key)
                values.extend(info.labels)
                counts.add(len(info.labels))
            if len(counts) > 1:
                raise FormatError(f"{self.files[0]}: its records have different numbers of labels")
            labels = np.array(values, np.float32)
            if counts and counts != {1}:
                labels = labels.reshape(len(keys), -1)
            elif np.all(np.abs(labels) < 2**31) and np.all(labels == np.floor(labels)):
                labels = labels.astype(np.int64)
            self._columns = np.array(keys, np.uint64), labels
        return self._columns

    def _headers(self) -> Iterator[tuple[HeaderInfo, int]]:
        """Header and key of each record."""
        files = self._records
        for path, offsets, keys in zip(files.paths, files.offsets, files.keys, strict=True):
            with read_places(path, ((offset, _HEAD_BYTES) for offset in offsets)) as (read_at, size):
                for row, offset in enumerate(offsets):
                    info = read_record_header(read_at, offset, size, str(path))
                    yield info, info.key if keys is None else keys[row]
