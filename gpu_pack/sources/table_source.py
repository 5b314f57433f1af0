"""The images that a table of paths and labels names, in its order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpu_pack.errors import SourceError
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.found import Facts, Found
from gpu_pack.sources.listed_paths import ListedPaths, open_root, shown_path
from gpu_pack.sources.open_source import OpenSource, SourceFiles
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool
from gpu_pack.sources.table import Cell, Table, open_table_file
from gpu_pack.sources.table_cells import RowLabels, cell_text, read_split
from gpu_pack.sources.table_columns import Columns, find_columns
from gpu_pack.stores.store import Store

#: More splits are a column of something else.
_MOST_SPLITS = 100


def open_table(files: SourceFiles, options: SourceOptions, classes: tuple[str, ...] | None, spool: Spool) -> OpenSource:
    """The images of a table. Labels that are words are names of classes; numbers stay as they are.

    Args:
        files: one table: CSV or the like, JSON lines, Parquet.
        options: root and columns.
        classes: names by label, which the listing checks.
        spool: not needed; a table is read where it lies.

    Raises:
        SourceError: no such root, or no such columns.
        UsageError: a column that is told is not there.
    """
    table = open_table_file(files.store, files.paths[0])
    columns = find_columns(table, options)
    folder = table.name[: len(table.name) - len(files.paths[0].rpartition("/")[2])]
    store = open_root(options.root if options.root is not None else folder, table.name, options.store)
    facts = Facts(files.source, ordered=True)
    if columns.guessed:
        facts.notices.append(Notice("table-columns", 1, str(columns)))
    return OpenSource(store, _find(table, columns, store, options, facts), facts)


def _find(table: Table, columns: Columns, store: Store, options: SourceOptions, facts: Facts) -> Iterator[Found]:
    paths = ListedPaths(store, allow_outside=options.allow_outside, suffixes=True)
    labels = RowLabels(columns.labels)
    missing = ""
    there = False
    for number, cells in table.rows(columns.all):
        where = table.where(number)
        path, stat = paths.find(_path(cells[0], columns.path, where), where)
        there, missing = there or stat.size >= 0, missing or path
        split = _split(cells, columns, where, facts)
        label = labels.read(cells[-len(columns.labels) :], where)
        refused = (f"{where} has no label for it", "no-label") if label is None else None
        yield Found(path, stat, label or (), split=split, refused=refused)
    if not missing:
        raise SourceError(f"{table.name}: the table has no rows")
    if not there:
        raise SourceError(
            f"{table.name}: none of its files is there, such as {shown_path(missing)} below {store.root or '.'}: root "
            "(--root) names the folder that its paths start from"
        )
    facts.notices += paths.notices()


def _path(cell: Cell, column: str, where: str) -> str:
    text = cell_text(cell)
    if not text:
        raise SourceError(f"{where}: no path in column {column!r}")
    return text


def _split(cells: Sequence[Cell], columns: Columns, where: str, facts: Facts) -> str | None:
    if columns.split is None:
        return None
    name = read_split(cells[1], columns.split, where)
    if name not in facts.splits:
        facts.splits.append(name)
        if len(facts.splits) > _MOST_SPLITS:
            raise SourceError(
                f"{where}: column {columns.split!r} names over {_MOST_SPLITS} splits: leave it alone with "
                "split_column='none' (--split-column none)"
            )
    return name
