"""Inputs of merge that are copied as they are: files of a dataset whose keys and labels stay.

The .rec need not be read for that: the manifest tells its hash, and .idx and .lst (read, and compared with the
manifest) tell the rest. Everything else is read and written record by record.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from gpu_pack.errors import GpuPackError
from gpu_pack.formats.manifest import Manifest
from gpu_pack.formats.published_file import PublishedFile, read_published
from gpu_pack.formats.record_keys import RecordKeys
from gpu_pack.stores.data_path import DataPath
from gpu_pack.tools.faults import Faults
from gpu_pack.tools.input_records import Input
from gpu_pack.tools.text_lines import list_entry, parsed_lines
from gpu_pack.types import Entry


@dataclass(frozen=True)
class WholeFile:
    """A .rec that is copied as it is.

    Attributes:
        rec: the file.
        published: its size and hashes, by its manifest.
        keys: of its records.
        lst: the list beside it, which names every record.
        firsts: the first label of each record.
    """

    rec: DataPath
    published: PublishedFile
    keys: RecordKeys
    lst: DataPath
    firsts: array[float]

    def entries(self) -> Iterator[Entry]:
        """The list's entries of the records, in their order; a dataset's list has those of rejects too."""
        return _packed_entries(self.lst, self.keys, Faults())


def whole_file(each: Input, keys: RecordKeys) -> WholeFile | None:
    """An input as a file that can be copied as it is; None where its records have to be read."""
    manifest = each.target.manifest
    if manifest is None or manifest.target is not None:  # records without a picture stay behind
        return None
    published, faults = manifest.files.get(each.rec.name), Faults()
    if published is None or published.bytes != each.size or not keys.offsets or keys.repeated is not None:
        return None
    if not all(_is_published(path, manifest) for path in (each.target.idx, each.target.lst)):
        return None
    firsts = array("f", (entry.labels[0] for entry in _packed_entries(each.target.lst, keys, faults)))
    if faults.count or len(firsts) != len(keys.keys):
        return None
    return WholeFile(each.rec, published, keys, each.target.lst, firsts)


def _is_published(path: DataPath, manifest: Manifest) -> bool:
    """Whether a small file is what its manifest says."""
    published = manifest.files.get(path.name)
    try:
        return published is not None and read_published(path, published.lengths) == published
    except (OSError, GpuPackError):
        return False


def _packed_entries(lst: DataPath, keys: RecordKeys, faults: Faults) -> Iterator[Entry]:
    wanted = iter(keys.keys)
    key = next(wanted, None)
    for _, entry in parsed_lines(lst, partial(list_entry, lst), faults):
        if entry.key == key:
            yield entry
            key = next(wanted, None)
