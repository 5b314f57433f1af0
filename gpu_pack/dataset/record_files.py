"""The .rec files of a dataset: where their records lie, and the files that are open in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from gpu_pack.dataset.read_records import ImageRecord, LocalRecords, RemoteRecords, read_remote
from gpu_pack.formats.notices import Notice, merge_notices
from gpu_pack.formats.pictures import Pictures, find_pictures
from gpu_pack.stores.data_path import DataPath

#: .idx files of an object store that are read at once.
_INDEXES = 16
#: The number of a file, and of a record in it.
Place = tuple[int, int]


class RecordFiles:
    """Reads records by place. It can be pickled; forked processes share the open files, which have no position.

    Attributes:
        paths: of the .rec files.
        offsets, keys: of the records of each, as of `gpu_pack.formats.pictures.Pictures`.
        notices: what a reader should know of them.

    Raises:
        FormatError, SourceError, OSError: see `find_pictures`; also on reading.
    """

    def __init__(self, paths: list[DataPath]) -> None:
        self.paths = paths
        looked = _look_into_all(paths)
        found = [pictures for pictures, _ in looked]
        self.offsets = [pictures.offsets for pictures in found]
        self.keys = [pictures.keys for pictures in found]
        self.notices: list[Notice] = merge_notices(notice for pictures in found for notice in pictures.notices)
        self.remote = {number: records for number, (_, records) in enumerate(looked) if records is not None}
        self._reset()

    def one(self, place: Place) -> ImageRecord:
        """One record."""
        file, row = place
        opened = self._opened.get(file)
        if opened is not None:
            return opened.image(row)
        return self._open(file).image(row) if file not in self.remote else read_remote([self._at(place)])[0]

    def reader(self, places: Sequence[Place]) -> Callable[[int], ImageRecord]:
        """Gives the record at the place of a number; those in object stores are read now, at once, others then."""
        if not self.remote:
            return lambda number: self.one(places[number])
        far = [number for number, place in enumerate(places) if place[0] in self.remote]
        found = dict(zip(far, read_remote([self._at(places[number]) for number in far]), strict=True))
        return lambda number: found[number] if number in found else self.one(places[number])

    def run(self, places: Sequence[Place]) -> list[ImageRecord]:
        """Records that mostly lie one after the other."""
        if self.remote:
            return list(map(self.reader(places), range(len(places))))
        runs = ((file, [row for _, row in run]) for file, run in groupby(places, lambda place: place[0]))
        return [record for file, rows in runs for record in self._open(file).run(rows)]

    def size(self, places: Sequence[Place]) -> int:
        """About how many bytes `run` reads."""
        spans = (self.remote[file].part(self.offsets[file][row]) for file, row in places if file in self.remote)
        return sum(part.end - part.offset for part in spans)

    def close(self) -> None:
        """Close the files; reading opens them again."""
        for opened in self.__dict__.get("_opened", {}).values():
            opened.close()
        self._reset()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def __del__(self) -> None:
        self.close()

    def _at(self, place: Place) -> tuple[RemoteRecords, int]:
        """The file in an object store, and the record's offset in it."""
        file, row = place
        return self.remote[file], self.offsets[file][row]

    def _open(self, file: int) -> LocalRecords:
        opened = self._opened.get(file)
        if opened is None:
            fresh = LocalRecords(Path(self.paths[file]), self.offsets[file])  # type: ignore[arg-type]
            opened = self._opened.setdefault(file, fresh)
            if opened is not fresh:  # another thread was faster
                fresh.close()
        return opened

    def _reset(self) -> None:
        self._opened: dict[int, LocalRecords] = {}


def _look_into(path: DataPath) -> tuple[Pictures, RemoteRecords | None]:
    found = find_pictures(path)
    return found, None if isinstance(path, Path) else RemoteRecords(path, found.offsets, found.size)


def _look_into_all(paths: list[DataPath]) -> list[tuple[Pictures, RemoteRecords | None]]:
    if all(isinstance(path, Path) for path in paths):
        return list(map(_look_into, paths))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_INDEXES) as pool:
        return list(pool.map(_look_into, paths))
