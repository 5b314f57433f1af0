"""`RecordDataset`."""

from __future__ import annotations

import bisect
import logging
import operator
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from gpu_pack.dataset.read_records import LocalRecords, RemoteRecords, read_remote
from gpu_pack.dataset.rec_files import rec_files
from gpu_pack.errors import FormatError, UsageError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import read_classes
from gpu_pack.formats.notices import merge_notices, select
from gpu_pack.formats.pictures import Pictures, find_pictures
from gpu_pack.recordio import HeaderInfo, unpack
from gpu_pack.recordio.scanning import read_record_header
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.data_path import DataPath, PathLike, data_path, read_places
from gpu_pack.types import Color

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_log = logging.getLogger("gpu_pack")
#: Records of an object store that a loop over the dataset reads at once.
_IN_A_ROW = 32
#: .idx files of an object store that are read at once.
_INDEXES = 16
#: Of records whose headers alone are read.
_HEAD_BYTES = 512


class RecordDataset:
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
        endpoint_url, anonymous: see `gpu_pack.stores.address.StoreOptions`.

    Attributes:
        files: the .rec files, in order.
        notes, warnings: what a reader should know of them: code, message, count, example. Warnings are logged too.

    Raises:
        UsageError: an unknown ``color``.
        SourceError: nothing matches, a folder with several sets, or an incomplete set of shards.
        FormatError: a malformed .rec or .idx, an empty .idx beside records; also on reading a record or decoding it.
        OSError: a file cannot be read.
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
        endpoint_url: str | None = None,
        anonymous: bool = False,
    ) -> None:
        if color not in get_args(Color):
            raise UsageError(f"color={color!r}: choose {' or '.join(get_args(Color))}")
        paths = list(path) if isinstance(path, Sequence) and not isinstance(path, str) else [path]
        store = StoreOptions(endpoint_url, anonymous)
        self._paths = [file for item in paths for file in rec_files(data_path(item, store))]
        self.files = list(map(str, self._paths))
        self.transform = transform
        self.decode = decode
        self.color: Color = color
        self.label_type = label_type
        self.target_transform = target_transform
        looked = _look_into_all(self._paths)
        found = [pictures for pictures, _ in looked]
        self._remote = {place: records for place, (_, records) in enumerate(looked) if records is not None}
        self._offsets = [pictures.offsets for pictures in found]
        self._keys = [pictures.keys for pictures in found]
        notices = merge_notices(notice for pictures in found for notice in pictures.notices)
        self.notes, self.warnings = select(notices, "note"), select(notices, "warning")
        for warning in self.warnings:
            _log.warning("%s", warning["message"])
        self._ends = list(accumulate(map(len, self._offsets)))
        self._columns: tuple[Array, Array] | None = None
        self._reset()

    @property
    def classes(self) -> list[str] | None:
        """The names in the classes.txt beside the first file, by label; None if there is none."""
        path = self._paths[0].with_name(CLASSES) if self._paths else None
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

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        file, offset = self._find(index)
        remote = self._remote.get(file)
        payload = self._open(file).record(offset) if remote is None else read_remote([(remote, offset)])[0]
        return self._item(file, offset, payload)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, Any]]:
        """The items of a batch, which PyTorch asks for so; from object stores, its records are read at once."""
        places = list(map(self._find, indices))
        asked = [(self._remote[file], offset) for file, offset in places if file in self._remote]
        payloads = iter(read_remote(asked) if asked else ())
        return [
            self._item(file, offset, next(payloads) if file in self._remote else self._open(file).record(offset))
            for file, offset in places
        ]

    def _item(self, file: int, offset: int, payload: bytes) -> tuple[Any, Any]:
        try:
            header, data = unpack(payload)
        except FormatError as error:
            raise FormatError(error.reason, self.files[file], offset) from None
        image: Any = data
        if self.decode:
            image = decode_image(data, self.color)
            if image is None:
                raise FormatError(f"record {header.id}: OpenCV cannot decode its image", self.files[file], offset)
        if self.transform is not None:
            image = self.transform(image)
        label = self._label(header.label)
        return image, label if self.target_transform is None else self.target_transform(label)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        if not self._remote:
            return (self[index] for index in range(len(self)))
        batches = (range(start, min(start + _IN_A_ROW, len(self))) for start in range(0, len(self), _IN_A_ROW))
        return (item for batch in batches for item in self.__getitems__(batch))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_opened", "_pid")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; reading opens them again."""
        for opened in self.__dict__.get("_opened", {}).values():
            opened.close()
        self._reset()

    def _find(self, index: int) -> tuple[int, int]:
        """The number of the file, and the record's offset in it."""
        position = operator.index(index)
        if position < 0:
            position += len(self)
        if not 0 <= position < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        file = bisect.bisect_right(self._ends, position)
        start = self._ends[file - 1] if file else 0
        return file, self._offsets[file][position - start]

    def _open(self, file: int) -> LocalRecords:
        if self._pid != os.getpid():  # forked: without pread, parent and child would share one position
            self.close()
        opened = self._opened.get(file)
        if opened is None:
            fresh = LocalRecords(Path(self.files[file]))
            opened = self._opened.setdefault(file, fresh)
            if opened is not fresh:  # another thread was faster
                fresh.close()
        return opened

    def _reset(self) -> None:
        self._opened: dict[int, LocalRecords] = {}
        self._pid = os.getpid()

    def _read_columns(self) -> tuple[Array, Array]:
        if self._columns is None:
            import numpy as np

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
        for path, offsets, keys in zip(self._paths, self._offsets, self._keys, strict=True):
            with read_places(path, ((offset, _HEAD_BYTES) for offset in offsets)) as (read_at, size):
                for row, offset in enumerate(offsets):
                    info = read_record_header(read_at, offset, size, str(path))
                    yield info, info.key if keys is None else keys[row]

    def _label(self, label: Any) -> Any:
        if not isinstance(label, float):
            return label.copy()  # the record's bytes are read-only, which PyTorch warns about
        if self.label_type is not None:
            return self.label_type(label)
        return int(label) if label.is_integer() else label


def _look_into(path: DataPath) -> tuple[Pictures, RemoteRecords | None]:
    found = find_pictures(path)
    return found, None if isinstance(path, Path) else RemoteRecords(path, found.offsets, found.size)


def _look_into_all(paths: list[DataPath]) -> list[tuple[Pictures, RemoteRecords | None]]:
    if all(isinstance(path, Path) for path in paths):
        return list(map(_look_into, paths))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_INDEXES) as pool:
        return list(pool.map(_look_into, paths))


def decode_image(data: bytes, color: Color) -> Any:
    """The pixels of an encoded image as `RecordDataset` gives them; None if OpenCV cannot decode it."""
    import cv2
    import numpy as np

    flags = {"rgb": cv2.IMREAD_COLOR, "gray": cv2.IMREAD_GRAYSCALE, "unchanged": cv2.IMREAD_UNCHANGED}
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags[color])
    except cv2.error:
        return None
    if image is None or image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)
