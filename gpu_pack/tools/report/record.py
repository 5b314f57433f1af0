"""One record, by its key."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gpu_pack.errors import SourceError
from gpu_pack.formats.salvage_scan import FoundRecord, salvage_scan
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.data_path import PathLike, data_path
from gpu_pack.tools.faults import Faults
from gpu_pack.tools.findings.paths import paths_of
from gpu_pack.tools.keys_beside import heads, keys_beside
from gpu_pack.tools.locate import Target, locate
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.report.samples import describe_image, read_found
from gpu_pack.tools.report.sheet import class_names


@dataclass(frozen=True)
class RecordView:
    """All that is known of one record.

    Attributes:
        file, split, key: where it lies. id: in its header, which others may leave 0.
        labels: None for one that is not finite. class_name: of a single label that classes.txt names.
        path: by the .lst, or None.
        format, width, height: of the picture; None or 0 where they are unknown.
        bytes: of the picture. offset: where the record begins in the file, in bytes.
        metadata: it holds no picture.
    """

    file: str
    split: str
    key: int
    id: int
    labels: list[float | None]
    class_name: str | None
    path: str | None
    format: str | None
    width: int
    height: int
    bytes: int
    offset: int
    metadata: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        values = asdict(self)
        return {"class" if name == "class_name" else name: value for name, value in values.items()}


def find_record(
    path: PathLike, key: int, *, endpoint_url: str | None = None, anonymous: bool = False
) -> list[RecordView]:
    """The records with a key, of a dataset or a .rec file: one, or one of each file where files have their own keys.

    Args:
        path: a folder or a .rec file, or its address.
        endpoint_url, anonymous: see `gpu_pack.stores.address.StoreOptions`.

    Raises:
        SourceError: nothing there, or no record has the key.
    """
    located = locate(data_path(path, StoreOptions(endpoint_url, anonymous)))
    classes = class_names(located.folder)
    found = [view for target in located.targets for view in _of_file(target, key, classes)]
    if not found:
        raise SourceError(f"{path}: no record has the key {key}; `gpu-pack inspect -n` shows some")
    return found


def _of_file(target: Target, key: int, classes: Sequence[str]) -> Iterator[RecordView]:
    keys = keys_beside(target)
    with RecFile(target.rec, whole=False) as file:
        if spans := heads(target, keys, file.size):
            file.expect(spans)
        rows = [
            found.offset
            for found in salvage_scan(file, payloads=False)
            if isinstance(found, FoundRecord) and keys.of(found.offset, found.info.key) == key
        ]
        paths = paths_of(target.lst, [key], Faults()) if rows and keys.repeated is None else {}
        for offset in rows:
            found = read_found(file, offset)
            if found is not None:
                yield _view(target, found, key, paths.get(key), classes)


def _view(target: Target, found: FoundRecord, key: int, path: str | None, classes: Sequence[str]) -> RecordView:
    labels = found.info.labels
    single = len(labels) == 1 and labels[0].is_integer() and 0 <= labels[0] < len(classes)
    return RecordView(
        target.rec.name,
        target.split_name,
        key,
        found.info.key,
        [label if math.isfinite(label) else None for label in labels],
        classes[int(labels[0])] if single else None,
        path,
        *describe_image(found.image),
        found.info.data_size,
        found.offset,
        found.is_metadata,
    )
