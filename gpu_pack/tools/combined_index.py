"""One .idx for several .rec files, as DALI's readers.mxnet takes them.

That reader has a single ``index_path`` for all of its ``path``. It ignores the keys, sorts the offsets, and counts them
through the files in the order of ``path``, as if these were joined; every line is a picture to it. So the index leads
to pictures alone, and a file without any would make it lose its place. Source: DALI 2.4's recordio_loader.h.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from gpu_pack.errors import OutputExistsError, SourceError, UsageError
from gpu_pack.formats.notices import Notice
from gpu_pack.recordio.index import format_index
from gpu_pack.stores.atomic_file import write_atomically
from gpu_pack.tools.index import Indexed
from gpu_pack.tools.input_records import Input, TableRead, find_inputs, read_table
from gpu_pack.tools.locate import local_paths
from gpu_pack.tools.new_keys import unique_keys


def combined_index(
    paths: str | Path | Sequence[str | Path], combined: str | Path, *, rekey: bool = False, overwrite: bool = False
) -> list[Indexed]:
    """Write one index of all pictures in several .rec files.

    Args:
        paths: .rec files or patterns in the order in which DALI gets them, or a folder with one set of shards.
        combined: the .idx.
        rekey: number the records from 0; otherwise they keep their keys where these are unique.
        overwrite: replace ``combined``.

    Returns:
        One for each .rec, in DALI's order; all have the same ``idx``.

    Raises:
        UsageError: a folder of several splits, or ``combined`` is the index that belongs to one of the files.
        SourceError, FormatError: a file without pictures, or a damaged one.
        OutputExistsError: ``combined`` is there, and ``overwrite`` is not set.
        OutputError: it cannot be written.
    """
    given, path = local_paths(paths, "index --combined"), Path(combined)
    inputs = find_inputs(given)
    _refuse(given, inputs, path, overwrite)
    read = [read_table(each) for each in inputs]
    for each, found in zip(inputs, read, strict=True):
        if len(found.table.keys) == len(found.table.metadata):
            raise SourceError(f"{each.rec}: it holds no picture, which DALI's reader does not expect: leave it out")
    old = [_pictures(each)[0] for each in read]
    new = unique_keys(old)
    if rekey:
        starts = accumulate(map(len, old), initial=0)
        new = [array("Q", range(start, start + len(keys))) for start, keys in zip(starts, old, strict=False)]
    write_atomically(path, format_index(*_joined(inputs, read, new)))
    results = []
    for each, found, before, after in zip(inputs, read, old, new, strict=True):
        metadata = len(found.table.metadata)
        result = Indexed(str(each.rec), str(path), True, len(found.table.keys), metadata)
        result.set_notices([*found.table.notices(each.rec), *_renumbered(each, before, after)])
        results.append(result)
    return results


def _refuse(given: Sequence[Path], inputs: Sequence[Input], path: Path, overwrite: bool) -> None:
    for folder in filter(Path.is_dir, given):
        splits = sorted({each.split for each in inputs if each.rec.parent == folder})
        if len(splits) > 1:
            names = ", ".join(splits)
            raise UsageError(f"{folder}: it has the splits {names}: name the files of one, as in '{folder}/train*.rec'")
    if len(inputs) > 1 and any(path == each.target.idx for each in inputs):
        raise UsageError(f"combined={path} (--combined): that is the index of {path.with_suffix('.rec')} alone")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} is there already: replace it with --overwrite")


def _pictures(read: TableRead) -> tuple[array[int], array[int]]:
    """Keys and offsets of the records with a picture."""
    import numpy as np

    table = read.table
    rows = np.asarray(table.metadata, dtype=np.int64)
    keys, offsets = (np.delete(np.asarray(column), rows) for column in (table.keys, table.offsets))
    return array("Q", keys.tobytes()), array("Q", offsets.tobytes())


def _joined(
    inputs: Sequence[Input], read: Sequence[TableRead], keys: Sequence[array[int]]
) -> tuple[array[int], array[int]]:
    """All keys, and offsets as if the files were one."""
    together, places = array("Q"), array("Q")
    start = 0
    for each, found, own in zip(inputs, read, keys, strict=True):
        together.extend(own)
        places.extend(start + offset for offset in _pictures(found)[1])
        start += each.rec.stat().st_size
    return together, places


def _renumbered(each: Input, before: array[int], after: array[int]) -> list[Notice]:
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    if not changed:
        return []
    old, new = changed[0]
    return [Notice("keys-changed", len(changed), f"key {old} of {each.rec}, now {new}")]
