"""The paths that a .lst gives to some keys."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from gpu_pack.stores.data_path import DataPath
from gpu_pack.tools.faults import Faults
from gpu_pack.tools.text_lines import list_entry, parsed_lines


def paths_of(lst: DataPath, keys: Collection[int], faults: Faults) -> dict[int, str]:
    """The path of each key that the list beside a .rec has; empty where there is no list.

    Args:
        faults: gets lines that are damaged, and a list that cannot be read.
    """
    wanted, found = set(keys), dict[int, str]()
    if not wanted or not lst.is_file():
        return found
    with faults.collect(lst):
        for _, entry in parsed_lines(lst, partial(list_entry, lst), faults):
            if entry.key in wanted:
                found[entry.key] = entry.path
                if len(found) == len(wanted):
                    break
    return found
