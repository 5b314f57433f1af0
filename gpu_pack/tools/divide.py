"""Divide: one dataset as several files or splits; pictures stay byte for byte."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path

from gpu_pack.errors import SourceError, UsageError
from gpu_pack.formats.record_keys import RecordKeys
from gpu_pack.output.destination import Destination, find_destination
from gpu_pack.sources.splits import Division
from gpu_pack.stores.address import StoreOptions
from gpu_pack.tools.copy_report import Copied
from gpu_pack.tools.copy_run import CopyPlan, Numbered, OutputShard, run_copy
from gpu_pack.tools.division import Columns, DivideBy, NamedRows, Rows, divide_rows, fractions, parse_by
from gpu_pack.tools.input_records import Input, find_inputs, read_table, read_whole
from gpu_pack.tools.join_classes import join_classes
from gpu_pack.tools.locate import local_paths
from gpu_pack.tools.new_keys import unique_keys
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.refuse_places import refuse_places
from gpu_pack.types import OnProgress

#: Files that are open at once.
_OPEN_FILES = 64
#: Rows of an input that are read in one go, if at least one in so many is wanted, in ascending order.
_DENSE = 8


@dataclass(frozen=True)
class DivideOptions:
    """How to divide.

    Attributes:
        by: what decides the file of a record.
        split: divide this split only, and leave out the others.
        shuffle: mix the records of each split first; otherwise they keep their order.
        seed: of the shuffle, 0 to 2^32 - 1.
        stratify: for fractions, give every split its share of each label.
        rekey: number all records from 0; otherwise they keep their keys, where those are unique.
        overwrite: replace what lies in the output folder.

    Raises:
        UsageError: a value that cannot be right.
    """

    by: DivideBy
    split: str | None = None
    shuffle: bool = False
    seed: int = 100
    stratify: bool = True
    rekey: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.by.kind != "fraction" and not self.stratify:
            raise UsageError("stratify=False (--no-stratify) is about fractions (--by fraction=...)")
        self.division  # noqa: B018 (which checks them)

    @property
    def division(self) -> Division:
        """What `gpu_pack.sources.splits.divide` takes."""
        try:
            pairs = fractions(self.by)
            return Division(pairs, self.seed, self.shuffle, self.stratify)  # type: ignore[arg-type]  # text, as it reads
        except UsageError as error:
            told = str(error).replace(" (--split)", " (--by fraction)").replace(", or NAME=SOURCE", "")
            raise UsageError(told) from None


def divide(
    path: str | Path,
    out: str | Path,
    by: str | None = None,
    *,
    split: str | None = None,
    shuffle: bool = False,
    seed: int = 100,
    stratify: bool = True,
    rekey: bool = False,
    overwrite: bool = False,
    options: DivideOptions | None = None,
    endpoint_url: str | None = None,
    anonymous: bool = False,
    staging: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> Copied:
    """Divide a dataset into files of a label, a count or a size each, or into splits by fractions.

    The output is a dataset with .idx, .lst, classes.txt and manifest of its own. Records without a picture and rejects
    are not copied.

    Args:
        path: a folder, a .rec file, or a pattern such as ``train-*.rec``, on this machine.
        out: a folder, or an address, that does not lie in the input, nor the input in it.
        by: ``label``, ``count=N``, ``size=256MiB`` or ``fraction=train=.9,val=.1``.
        split, shuffle, seed, stratify, rekey, overwrite: see `DivideOptions`; or give ``options``.
        endpoint_url, anonymous, staging: of an output that is an address, see `gpu_pack.merge`.
        on_progress: called a few times a second, with bytes.

    Raises:
        UsageError: an option that cannot be right.
        SourceError, FormatError: the input is missing or damaged.
        OutputExistsError: something lies in ``out``, and ``overwrite`` is not set.
        OutputError: it cannot be written. Nothing is published then.
    """
    if (by is None) == (options is None):
        raise UsageError("divide: give by (--by label, count=N, size=256MiB or fraction=NAME=F,...), or options")
    if options is None:
        options = DivideOptions(parse_by(by or ""), split, shuffle, seed, stratify, rekey, overwrite)
    (given,) = local_paths(path, "divide")
    store = StoreOptions(endpoint_url, anonymous)
    place = find_destination(os.fspath(out), store, Path(staging) if staging is not None else None)
    inputs = find_inputs([given], only=options.split)
    refuse_places([*([given] if given.exists() else []), *(each.rec for each in inputs)], place)
    return run_copy(_Divider(inputs, options).plan(place), on_progress or (lambda _: None))


class _Divider:
    """Numbers the records of all inputs, and reads them by these numbers."""

    def __init__(self, inputs: Sequence[Input], options: DivideOptions) -> None:
        self._inputs, self._options = inputs, options
        read = [read_table(each) for each in inputs]
        self._tables = [each.table for each in read]
        self._keys = [RecordKeys(each.table.offsets, each.table.keys, each.keys.repeated) for each in read]
        self._sizes = array("Q")
        for each in read:
            self._sizes.extend(each.sizes)
        self._starts = list(accumulate((len(table.keys) for table in self._tables), initial=0))
        boxes = next((number for number, each in enumerate(read) if each.detection), None)
        if options.by.kind == "label" and boxes is not None:
            raise UsageError(f"by=label (--by): {inputs[boxes].rec} holds detection lists, which have many labels each")

    def plan(self, out: Destination) -> CopyPlan:
        """What is copied where."""
        options, classes_of = self._options, join_classes(self._inputs)
        splits = self._splits()
        rows = divide_rows(options.by, splits, self._columns(), options.division, classes_of[0])
        if not rows:
            raise SourceError(f"{self._inputs[0].rec}: there is no record to divide")
        chosen = sum(len(each.rows) for each in rows)
        return CopyPlan(
            command={"name": "divide", **asdict(options)},
            out=out,
            inputs=self._inputs,
            keys=self._keys,
            new_keys=None if options.rekey else unique_keys([each.keys for each in self._keys]),
            classes=classes_of[0],
            relabel=classes_of[1],
            shards=[OutputShard(each.split, each.name, records=partial(self._records, each)) for each in rows],
            size=sum(self._sizes[row] for each in rows for row in each.rows),
            left_out=sum(len(each.rows) for each in splits) - chosen,
            metadata=self._metadata(),
            overwrite=options.overwrite,
        )

    def _columns(self) -> Columns:
        firsts = array("f")
        for table in self._tables:
            firsts.extend(table.firsts)
        return Columns(firsts, self._sizes)

    def _metadata(self) -> tuple[int, str]:
        count = sum(len(table.metadata) for table in self._tables)
        for each, table in zip(self._inputs, self._tables, strict=True):
            if table.metadata:
                return count, f"key {table.keys[table.metadata[0]]} of {each.rec}"
        return 0, ""

    def _splits(self) -> list[Rows]:
        """The rows with pictures of each split, shuffled where that is asked for and the fractions do not do it."""
        import numpy as np

        found: dict[str, array[int]] = {}
        for each, table, start in zip(self._inputs, self._tables, self._starts, strict=False):
            rows = np.delete(np.arange(start, start + len(table.keys), dtype=np.int64), np.asarray(table.metadata))
            found.setdefault(each.split, array("q")).frombytes(rows.tobytes())
        if self._options.shuffle and self._options.by.kind != "fraction":
            random = np.random.RandomState(self._options.seed)
            found = {name: array("q", random.permutation(np.asarray(rows)).tobytes()) for name, rows in found.items()}
        return [Rows(name, rows) for name, rows in found.items() if rows]

    def _records(self, shard: NamedRows) -> Iterator[Numbered]:
        with _OpenFiles(self._inputs, self._is_dense(shard.rows)) as files:
            for row in shard.rows:
                number = bisect_right(self._starts, row) - 1
                offset = self._tables[number].offsets[row - self._starts[number]]
                yield number, read_whole(files.get(number), offset)

    def _is_dense(self, rows: array[int]) -> bool:
        """Whether reading on from each of the rows soon comes to the next one."""
        import numpy as np

        steps = np.diff(np.asarray(rows))
        return bool(np.all(steps > 0)) and (rows[-1] - rows[0]) <= _DENSE * len(rows)


class _OpenFiles:
    """The inputs that were read last, open."""

    def __init__(self, inputs: Sequence[Input], whole: bool) -> None:
        self._inputs, self._whole = inputs, whole
        self._files: OrderedDict[int, RecFile] = OrderedDict()

    def __enter__(self) -> _OpenFiles:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.__exit__()

    def get(self, number: int) -> RecFile:
        """An input, opened if need be."""
        if number in self._files:
            self._files.move_to_end(number)
            return self._files[number]
        if len(self._files) == _OPEN_FILES:
            self._files.popitem(last=False)[1].__exit__()
        self._files[number] = RecFile(self._inputs[number].rec, whole=self._whole)
        return self._files[number]
