"""Looks up the entries of a .lst by key, in 16 bytes a line: the lines themselves stay in the file."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import BinaryIO

from gpu_pack.errors import ListError
from gpu_pack.stores.data_path import DataPath
from gpu_pack.tools.faults import unreadable
from gpu_pack.tools.record_table import KeyLookup
from gpu_pack.tools.text_lines import list_entry
from gpu_pack.types import Entry

_MAX_LINE = 1 << 20


class ListRows:
    """A .lst, for one thread; None, or a file that is not there, has no entries. Lines that do not parse are skipped.

    Raises:
        SourceError: the file cannot be read.
    """

    def __init__(self, path: DataPath | None) -> None:
        self._path = path or Path()
        self._keys, self._begins = array("Q"), array("Q")
        self._next = 0  # lists are mostly in the records' order
        self._file: BinaryIO | None = None
        self._lookup: KeyLookup | None = None
        if path is not None and path.is_file():
            self._scan(self._open())

    def close(self) -> None:
        """Close the file; `find` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def find(self, key: int) -> Entry | None:
        """The entry with this key; None if there is none."""
        row = self._row(key)
        if row < 0:
            return None
        try:
            file = self._file or self._open()
            file.seek(self._begins[row])
            return list_entry(self._path, file.readline(_MAX_LINE), 1 if self._begins[row] == 0 else 2)
        except ListError:
            return None
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _row(self, key: int) -> int:
        row = self._next
        if row >= len(self._keys) or self._keys[row] != key:
            if self._lookup is None:
                self._lookup = KeyLookup(self._keys)
            row = self._lookup.find(key)
        self._next = row + 1
        return row

    def _open(self) -> BinaryIO:
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            raise unreadable(self._path, error) from error
        return self._file

    def _scan(self, file: BinaryIO) -> None:
        begin = 0
        try:
            while line := file.readline(_MAX_LINE):
                key = line.split(b"\t", 1)[0].removeprefix(b"\xef\xbb\xbf").strip()
                if key.isdigit() and len(key) <= 20 and int(key) < 1 << 64:
                    self._keys.append(int(key))
                    self._begins.append(begin)
                begin += len(line)
        except OSError as error:
            raise unreadable(self._path, error) from error
