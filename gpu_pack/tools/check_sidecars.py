"""The .idx and the .lst beside a .rec, compared with the records."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_pack.errors import GpuPackError, ListError
from gpu_pack.formats import lst
from gpu_pack.tools.check_records import Table, label_code
from gpu_pack.tools.faults import Fault, Faults, unreadable
from gpu_pack.types import Entry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: After so many lines that do not parse, a file is no list, and the rest of it tells nothing.
MAX_BAD_LINES = 1000
_MAX_INDEX_LINE = 256
_MAX_LIST_LINE = 1 << 20


class Places:
    """Where keys are in a table: a binary search, for 16 bytes a record."""

    def __init__(self, table: Table) -> None:
        import numpy as np

        self._keys = np.frombuffer(table.keys, np.uint64) if table.keys else np.empty(0, np.uint64)
        self._order: npt.NDArray[np.intp] = np.argsort(self._keys, kind="stable")
        self._sorted = self._keys[self._order]

    def find(self, key: int) -> int:
        """The row of the first record with this key, or -1."""
        import numpy as np

        if not 0 <= key < 1 << 64:
            return -1
        place = int(np.searchsorted(self._sorted, np.uint64(key)))
        return int(self._order[place]) if place < len(self._sorted) and self._sorted[place] == key else -1

    def repeated(self) -> list[int]:
        """Rows whose key an earlier row has."""
        again = self._order[1:][self._sorted[1:] == self._sorted[:-1]]
        return sorted(int(row) for row in again)


def check_keys(rec: Path, table: Table, places: Places, faults: Faults) -> None:
    """No two records of a file have the same key."""
    for row in places.repeated():
        what = "an earlier record has the same key"
        faults.add(Fault(str(rec), what, table.offsets[row], table.keys[row]))


# ---- .idx


def check_index(path: Path, table: Table, places: Places, faults: Faults) -> None:
    """Every line leads to a record with its key, and every record has a line.

    An index that numbers the records 0, 1, 2, ... whatever their ids, as rec2idx does, is right too.
    """
    import numpy as np

    covered = np.zeros(len(table.keys), np.bool_)
    offsets = np.frombuffer(table.offsets, np.uint64) if table.offsets else np.empty(0, np.uint64)
    renumbered = True
    wrong: list[Fault] = []
    expected = 0
    for number, key, offset in _index_lines(path, faults):
        row = expected
        if row >= len(offsets) or table.offsets[row] != offset:
            row = int(np.searchsorted(offsets, np.uint64(offset)))
        if row >= len(offsets) or table.offsets[row] != offset:
            faults.add(Fault(str(path), f"no whole record begins at byte {offset}", key=key, line=number))
            renumbered = False
            continue
        if covered[row]:
            faults.add(Fault(str(path), f"an earlier line leads to byte {offset} already", key=key, line=number))
        covered[row] = True
        expected = row + 1
        renumbered = renumbered and key == row
        if key != table.keys[row] and len(wrong) <= MAX_BAD_LINES:
            what = f"the record at byte {offset} has the key {table.keys[row]}"
            wrong.append(Fault(str(path), what, key=key, line=number))
    for fault in wrong if not renumbered else ():
        faults.add(fault)
    for row in np.flatnonzero(~covered).tolist():
        what = f"no line leads to the record at byte {offsets[row]}; `gpu-pack index` rebuilds the file"
        faults.add(Fault(str(path), what, key=table.keys[row]))


def _index_lines(path: Path, faults: Faults) -> Iterator[tuple[int, int, int]]:
    """(line, key, offset) of each line that is one."""
    bad = 0
    for number, line in text_lines(path, _MAX_INDEX_LINE):
        fields = line.strip().split(b"\t")
        if len(fields) == 2 and all(field.isdigit() and len(field) <= 20 for field in fields):
            key, offset = int(fields[0]), int(fields[1])
            if key < 1 << 64 and offset < 1 << 63:
                yield number, key, offset
                continue
        bad += 1
        if bad >= MAX_BAD_LINES:
            faults.add(Fault(str(path), "so many lines are not key<TAB>offset that the rest was not read", line=number))
            return
        faults.add(Fault(str(path), "the line is not key<TAB>offset; `gpu-pack index` rebuilds the file", line=number))


# ---- .lst


def check_list(
    path: Path, table: Table, places: Places, rejects: Collection[int] | None, faults: Faults
) -> tuple[int, int]:
    """Every entry is a record or a reject, in the records' order and with their labels; every record is an entry.

    Args:
        rejects: keys that need not be records; None where nobody knows which.

    Returns:
        How many entries there are, and how many of them are rejects.
    """
    import numpy as np

    covered = np.zeros(len(table.keys), np.bool_)
    expected = entries = refused = 0
    for number, entry in _list_lines(path, faults):
        entries += 1
        row = expected
        if row >= len(table.keys) or table.keys[row] != entry.key:
            if rejects is not None and entry.key in rejects:
                refused += 1
                continue
            row = places.find(entry.key)
        wrong = _entry_fault(entry, row, expected, table, rejects is not None)
        if row >= 0:
            wrong = "an earlier line has the same key" if covered[row] else wrong
            covered[row] = True
            expected = max(expected, row + 1)
        if wrong:
            faults.add(Fault(str(path), wrong, key=entry.key, line=number))
    for row in np.flatnonzero(~covered).tolist():
        faults.add(Fault(str(path), f"the record at byte {table.offsets[row]} is not listed", key=table.keys[row]))
    return entries, refused


def _entry_fault(entry: Entry, row: int, expected: int, table: Table, strict: bool) -> str | None:
    if row < 0:
        # Without an account of rejects, as from im2rec, an entry without a record is one that was left out.
        return "the entry is neither a record nor among the rejects" if strict else None
    if row < expected:
        return "its record comes before the one of an earlier line"
    labels = entry.labels if strict or table.codes[row] >> 63 else entry.labels[:1]  # im2rec without --pack-label
    if table.codes[row] != label_code(labels):
        return f"its record's label is another one ({table.firsts[row]:g} first)"
    return None


def _list_lines(path: Path, faults: Faults) -> Iterator[tuple[int, Entry]]:
    bad = 0
    for number, line in text_lines(path, _MAX_LIST_LINE):
        text = line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")
        if not text.strip():
            continue
        try:
            yield number, lst.parse_line(text, str(path), number)
        except ListError as error:
            bad += 1
            if bad >= MAX_BAD_LINES:
                faults.add(Fault(str(path), "so many lines are none of a list that the rest was not read", line=number))
                return
            faults.add(Fault(str(path), str(error).removeprefix(f"{path}:{number}: "), line=number))


def text_lines(path: Path, longest: int) -> Iterator[tuple[int, bytes]]:
    """(number, line) of each line of a plain file, blank ones apart; longer ones come in pieces.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise unreadable(path, OSError("not a plain file"))
        with path.open("rb") as file:
            number = 0
            while line := file.readline(longest):
                number += 1
                if not line.isspace():
                    yield number, line
    except OSError as error:
        raise unreadable(path, error) from error


def present(path: Path, faults: Faults, missing: str | None) -> bool:
    """Whether a file is there; it is a fault where it is not and ``missing`` says why it should be."""
    try:
        path.stat()
    except FileNotFoundError:
        if missing:
            faults.add(Fault(str(path), missing))
        return False
    except OSError as error:
        raise GpuPackError(str(unreadable(path, error))) from error
    return True
