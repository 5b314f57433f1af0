"""A map-style dataset over .rec files, for PyTorch's DataLoader or a plain loop; it imports no framework."""

from __future__ import annotations

import bisect
import glob
import logging
import operator
import os
import re
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args

from gpu_pack.errors import FormatError, SourceError, UsageError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import read_classes
from gpu_pack.formats.notices import merge_notices, select
from gpu_pack.formats.pictures import find_pictures
from gpu_pack.recordio import HeaderInfo, unpack
from gpu_pack.recordio.scanning import read_record, read_record_header, reader
from gpu_pack.types import Color

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_log = logging.getLogger("gpu_pack")
StrPath = str | os.PathLike[str]

_SHARD = re.compile(r"-(\d+)-of-(\d+)$")


class RecordDataset:
    """Image records by position: ``dataset[i]`` is ``(image, label)``.

    The image is uint8: HxWx3 RGB; HxW for ``gray``; for ``unchanged`` as stored, colour in RGB or RGBA order. The label
    is an int if it is whole, else a float; several labels are a 1-D float32 array. The order is that of the .idx beside
    each .rec; without one, the records' headers are read once, and the order is the file's. Records without a picture
    are left out.

    It can be pickled and forked: each process opens the files when it first reads. Threads may share it.

    Args:
        path: a .rec; a pattern such as ``train-*.rec``; a folder that holds one set of shards; or a sequence of these.
        transform: called with the image (with the encoded bytes, unless ``decode``); returns what takes its place.
        decode: False gives the encoded bytes instead of pixels.
        color: ``rgb``, ``gray`` or ``unchanged``; EXIF orientation is applied except for ``unchanged``.
        label_type: called with each single label, a float; ``float`` keeps whole labels floats, for regression.
        target_transform: called with the label, after ``label_type``; returns what takes its place.

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
        path: StrPath | Sequence[StrPath],
        transform: Callable[[Any], Any] | None = None,
        decode: bool = True,
        color: Color = "rgb",
        *,
        label_type: Callable[[float], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if color not in get_args(Color):
            raise UsageError(f"color={color!r}: choose {' or '.join(get_args(Color))}")
        paths = [path] if isinstance(path, (str, os.PathLike)) else list(path)
        self.files = [file for item in paths for file in _rec_files(item)]
        self.transform = transform
        self.decode = decode
        self.color: Color = color
        self.label_type = label_type
        self.target_transform = target_transform
        found = [find_pictures(file) for file in self.files]
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
        path = Path(self.files[0]).with_name(CLASSES) if self.files else None
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
        payload = self._open(file).record(offset)
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
        return (self[index] for index in range(len(self)))

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

    def _open(self, file: int) -> _RecFile:
        if self._pid != os.getpid():  # forked: without pread, parent and child would share one position
            self.close()
        opened = self._opened.get(file)
        if opened is None:
            fresh = _RecFile(self.files[file])
            opened = self._opened.setdefault(file, fresh)
            if opened is not fresh:  # another thread was faster
                fresh.close()
        return opened

    def _reset(self) -> None:
        self._opened: dict[int, _RecFile] = {}
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
        for path, offsets, keys in zip(self.files, self._offsets, self._keys, strict=True):
            with Path(path).open("rb") as file:
                size, read_at = file.seek(0, os.SEEK_END), reader(file)
                for row, offset in enumerate(offsets):
                    info = read_record_header(read_at, offset, size, path)
                    yield info, info.key if keys is None else keys[row]

    def _label(self, label: Any) -> Any:
        if not isinstance(label, float):
            return label.copy()  # the record's bytes are read-only, which PyTorch warns about
        if self.label_type is not None:
            return self.label_type(label)
        return int(label) if label.is_integer() else label


class _RecFile:
    """One open .rec that several threads may read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO = Path(path).open("rb", buffering=0)  # noqa: SIM115
        self._size = os.fstat(self._file.fileno()).st_size
        self._lock = threading.Lock()

    def record(self, offset: int) -> bytes:
        return read_record(self._read_at, offset, self._size, self._path).payload

    def _read_at(self, offset: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), count, offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.read(count)

    def close(self) -> None:
        self._file.close()


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


def _rec_files(path: StrPath) -> list[str]:
    """The .rec files that a path, pattern or folder means, sorted."""
    name = os.fspath(path)
    if Path(name).is_dir():
        return _shards(Path(name))
    if not Path(name).exists() and glob.has_magic(name):
        found = sorted(glob.glob(name))
        if not found:
            raise SourceError(f"{name}: no file matches")
        return found
    return [name]


def _shards(folder: Path) -> list[str]:
    """The only set in a folder. Several are refused: nobody would notice that train and validation are mixed."""
    found = sorted(folder.glob("*.rec"))
    sets = sorted({_SHARD.sub("", file.stem) for file in found})
    if not found:
        raise SourceError(f"{folder}: no .rec file in it")
    if len(sets) > 1:
        names = ", ".join(sets[:5])
        raise SourceError(f"{folder}: {len(sets)} sets ({names}) are in it: name one, as in {sets[0]}*.rec")
    numbered = _SHARD.search(found[0].stem)
    if numbered and int(numbered[2]) != len(found):
        raise SourceError(f"{folder}: only {len(found)} of {int(numbered[2])} shards of {sets[0]} are in it")
    return [str(file) for file in found]
