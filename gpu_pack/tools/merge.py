"""Merge: several datasets or .rec files as one dataset; pictures stay byte for byte.

Splits of the same name become one; their files follow one another in the order of the inputs. Classes are matched by
name: the first input's numbers stay, and names that only others have get the next ones.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from gpu_pack.errors import UsageError, told
from gpu_pack.output.destination import find_destination
from gpu_pack.sources.splits import split_name_fault
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.data_path import PathLike
from gpu_pack.tools.copy_report import Copied
from gpu_pack.tools.copy_run import CopyPlan, OutputShard, run_copy
from gpu_pack.tools.faults import choose_options
from gpu_pack.tools.input_records import find_inputs, known_keys
from gpu_pack.tools.join_classes import join_classes
from gpu_pack.tools.locate import as_paths
from gpu_pack.tools.new_keys import unique_keys
from gpu_pack.tools.refuse_places import refuse_places
from gpu_pack.types import OnProgress


@dataclass(frozen=True)
class MergeOptions:
    """How to merge.

    Attributes:
        split: the split of all records. None: that of their manifest, or of their file's name, as in ``birds_val.rec``;
            other files that are named one by one are all of ``train``.
        rekey: number all records from 0; otherwise they keep their keys, except where an earlier record has the same.
        overwrite: replace what lies in the output folder.
    """

    split: str | None = None
    rekey: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.split is not None and (fault := split_name_fault(self.split)):
            raise UsageError(f"{told('split', self.split)}: {fault}")


def merge(
    paths: PathLike | Iterable[PathLike],
    out: str | Path,
    *,
    split: str | None = None,
    rekey: bool = False,
    overwrite: bool = False,
    options: MergeOptions | None = None,
    endpoint_url: str | None = None,
    anonymous: bool = False,
    staging: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> Copied:
    """Join datasets and .rec files into one dataset, with .idx, .lst, classes.txt and manifest of its own.

    Records without a picture and rejects are not copied. Files of a dataset whose keys and labels stay are copied as
    they are: from S3 to S3 by the store itself, of which the manifest tells the hashes of the parts.

    Args:
        paths: folders, .rec files, or patterns such as ``train-*.rec``, or their addresses, in the order of the result.
        out: a folder, or an address, that does not lie in an input, nor an input in it.
        split, rekey, overwrite: see `MergeOptions`; or give ``options``.
        endpoint_url, anonymous: see `gpu_pack.stores.address.StoreOptions`.
        staging: folder of this machine for what is small of an output that is an address [the user's cache].
        on_progress: called a few times a second, with bytes.

    Raises:
        SourceError, FormatError: an input is missing, damaged, or has numbers for labels where another one has names.
        OutputExistsError: something lies in ``out``, and ``overwrite`` is not set.
        OutputError: it cannot be written. Nothing is published then.
    """
    options = choose_options(options, MergeOptions(split, rekey, overwrite))
    store = StoreOptions(endpoint_url, anonymous)
    given = as_paths(paths, store)
    place = find_destination(os.fspath(out), store, Path(staging) if staging is not None else None)
    if not given:
        raise UsageError("merge: name the inputs, then the output: gpu-pack merge A B OUT")
    inputs = find_inputs(given, options.split)
    refuse_places([*(path for path in given if not glob.has_magic(path.name)), *(each.rec for each in inputs)], place)
    classes, relabel = join_classes(inputs)
    keys = [known_keys(each) for each in inputs]
    plan = CopyPlan(
        command={"name": "merge", **asdict(options)},
        out=place,
        inputs=inputs,
        keys=keys,
        new_keys=None if options.rekey else unique_keys([each.keys for each in keys]),
        classes=classes,
        relabel=relabel,
        shards=[
            OutputShard(name, name, [number for number, each in enumerate(inputs) if each.split == name])
            for name in dict.fromkeys(each.split for each in inputs)
        ],
        size=sum(each.size for each in inputs),
        overwrite=options.overwrite,
    )
    return run_copy(plan, on_progress or (lambda _: None))
