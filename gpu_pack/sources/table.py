"""Tables row by row: CSV and its kin, JSON lines, Parquet. No more than some rows are in memory."""

from __future__ import annotations

import csv
import functools
import io
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Protocol

from gpu_pack.errors import ListError, SourceError
from gpu_pack.formats.bounded_json import bounded_json
from gpu_pack.formats.lst import MAX_LINE
from gpu_pack.sources.list_dialect import is_number
from gpu_pack.sources.text_encoding import text_encoding
from gpu_pack.sources.tree import IMAGE_SUFFIXES, suffix
from gpu_pack.stores.file_reader import FileReader
from gpu_pack.stores.store import Store

#: Rows that are looked at before a table is read.
SAMPLE = 1000
_SEPARATORS = ",\t;|"
_BUFFER_BYTES = 1 << 20
_PARQUET = b"PAR1"
_SPACE = b" \t\r\n\0\xef\xbb\xbf\xff\xfe"

#: Text of a text file; None, numbers, text, bytes or lists of others.
Cell = Any
#: The number of a line or row, and its cells.
Row = tuple[int, Sequence[Cell]]


class Table(Protocol):
    """A table.

    Attributes:
        name: in messages.
        columns: their names, in order.
    """

    name: str
    columns: list[str]

    def rows(self, columns: Sequence[str]) -> Generator[Row, None, None]:
        """The cells of some columns, row by row, each with its number.

        Raises:
            SourceError: a row cannot be read.
        """
        ...

    def where(self, number: int) -> str:
        """A row in messages."""
        ...


def open_table_file(store: Store, path: str) -> Table:
    """A table, of whatever format its first bytes are.

    Raises:
        SourceError: no table, or one without names of columns.
    """
    with store.open(path) as file:
        head = file.read_at(0, 64)
    if head.startswith(_PARQUET):
        from gpu_pack.sources.parquet_file import ParquetTable  # which needs pyarrow

        return ParquetTable(store, path)
    first = head.strip(_SPACE)[:1]
    if first == b"{":
        return JsonTable(store, path)
    if first == b"[":
        raise SourceError(
            f"{full_name(store, path)}: JSON, and of JSON only lines are read: an object a line for each row"
        )
    return TextTable(store, path)


def full_name(store: Store, path: str) -> str:
    """A file in messages."""
    return os.path.join(store.root, path)


def sample(table: Table) -> list[dict[str, Cell]]:
    """The first rows, with the names of the columns."""
    with closing(table.rows(table.columns)) as rows:
        return [dict(zip(table.columns, cells, strict=True)) for _, cells in islice(rows, SAMPLE)]


class TextTable:
    """A `Table` of text: a header line, and fields separated by commas, tabs, semicolons or bars."""

    def __init__(self, store: Store, path: str) -> None:
        self.name = full_name(store, path)
        self._lines = functools.partial(text_lines, store, path)
        with closing(self._lines()) as lines:
            first = list(islice((line for line in lines if line.strip()), 100))
        if not first:
            raise SourceError(f"{self.name}: the table is empty")
        self._separator = _separator(first)
        self.columns = [field.strip() for field in next(self._reader(first))]
        self._refuse_headless(first[0])

    def where(self, number: int) -> str:
        """See `Table.where`."""
        return f"{self.name}:{number}"

    def rows(self, columns: Sequence[str]) -> Generator[Row, None, None]:
        """See `Table.rows`."""
        places = [self.columns.index(name) for name in columns]
        with closing(self._lines()) as lines:
            reader = self._reader(lines)
            header = True
            try:
                for fields in reader:
                    if not fields:
                        continue
                    if not header:
                        self._check_width(reader.line_num, fields)
                        yield reader.line_num, [fields[place] for place in places]
                    header = False
            except csv.Error as error:
                raise SourceError(f"{self.where(reader.line_num)}: {error}") from None

    def _check_width(self, number: int, fields: Sequence[str]) -> None:
        if len(fields) != len(self.columns):
            raise SourceError(
                f"{self.where(number)}: {len(fields)} field{'s' * (len(fields) != 1)}, and the header names "
                f"{len(self.columns)} columns"
            )

    def _reader(self, lines: Iterable[str]) -> Any:
        return csv.reader(lines, delimiter=self._separator, strict=True, skipinitialspace=True)

    def _refuse_headless(self, line: str) -> None:
        """Refuse a first line that is a row: all numbers, or with the name of an image in it."""
        if any(suffix(field) in IMAGE_SUFFIXES and "." in field for field in self.columns) or all(
            is_number(field) for field in self.columns
        ):
            raise SourceError(
                f"{self.name}: its first line, {line.strip()[:80]!r}, names no columns: put a header line above it, "
                "such as path,label; or read lines of key, label, path with list_format='csv' (--list-format csv)"
            )


def text_lines(store: Store, path: str) -> Generator[str, None, None]:
    """Lines with their ends; bytes that are not UTF-8 become surrogates.

    Raises:
        ListError: a line is too long, or the file is not text of that encoding.
        SourceError: the file cannot be read.
    """
    name = full_name(store, path)
    with FileReader(store.open(path)) as raw:
        encoding = text_encoding(raw.read(4))
        raw.seek(0)
        buffered = io.BufferedReader(raw, _BUFFER_BYTES)
        with io.TextIOWrapper(buffered, encoding, errors="surrogateescape", newline="") as file:
            try:
                while line := file.readline(MAX_LINE):
                    if len(line) == MAX_LINE:
                        raise ListError(f"{name}: a line has over {MAX_LINE} characters; this is no table or list")
                    yield line
            except UnicodeDecodeError as error:
                raise ListError(
                    f"{name}: this is no {encoding} text from byte {error.start} on: {error.reason}"
                ) from None


def _separator(lines: Sequence[str]) -> str:
    """The one by which most lines have as many fields as the first; of those, the one that gives most fields."""

    def fit(separator: str) -> tuple[int, int]:
        try:
            widths = [len(fields) for fields in csv.reader(lines, delimiter=separator, skipinitialspace=True)]
        except csv.Error:
            return 0, 0
        return (sum(width == widths[0] for width in widths) if widths[0] > 1 else 0), widths[0]

    return max(_SEPARATORS, key=fit)


class JsonTable:
    """A `Table` of JSON lines: an object for each row. A row without a column has None there."""

    def __init__(self, store: Store, path: str) -> None:
        self.name = full_name(store, path)
        self._lines = functools.partial(text_lines, store, path)
        self.columns = list(dict.fromkeys(name for _, row in islice(self._objects(), SAMPLE) for name in row))

    def where(self, number: int) -> str:
        """See `Table.where`."""
        return f"{self.name}:{number}"

    def rows(self, columns: Sequence[str]) -> Generator[Row, None, None]:
        """See `Table.rows`."""
        for number, row in self._objects():
            yield number, [row.get(name) for name in columns]

    def _objects(self) -> Iterator[tuple[int, dict[str, Cell]]]:
        for number, line in enumerate(self._lines(), 1):
            if line.isspace():
                continue
            try:
                row = bounded_json(line.encode("utf-8", "surrogateescape"))
            except (ValueError, RecursionError):
                raise SourceError(f"{self.where(number)}: the line is not JSON") from None
            if not isinstance(row, dict):
                raise SourceError(f"{self.where(number)}: the line is not a JSON object with a value for each column")
            yield number, row
