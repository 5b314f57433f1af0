"""Checks one .rec file record by record: framing, header, labels, image."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gpu_pack.formats.boxes import is_detection, object_classes
from gpu_pack.formats.record_keys import NO_KEYS, RecordKeys
from gpu_pack.formats.salvage_scan import OVERLONG, Damage, FoundRecord, salvage_scan
from gpu_pack.tools.bounded_pool import BoundedPool
from gpu_pack.tools.faults import Faults
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.record_table import RecordTable
from gpu_pack.types import TransformSpec

_BATCH_BYTES = 1 << 20
#: What a waiting record and each of its labels cost in memory besides the payload.
_RECORD_BYTES, _LABEL_BYTES = 512, 32


@dataclass(frozen=True)
class Checks:
    """What records are compared with.

    Attributes:
        spec: the options of the images, by the manifest; None without one.
        classes: labels are whole numbers from 0 to below this; None if any finite number is right.
        decode: decode every image.
        keys: the records' keys.
        hashed: compute the file's hashes.
        metadata: records may hold no picture.
    """

    spec: TransformSpec | None = None
    classes: int | None = None
    decode: bool = True
    keys: RecordKeys = NO_KEYS
    hashed: bool = False
    metadata: bool = True


def read_records(
    file: RecFile, checks: Checks, pool: BoundedPool, faults: Faults, on_read: Callable[[int, int], None]
) -> RecordTable:
    """Read a .rec and check every record. ``pool`` checks the images, and may still do so when this returns.

    Args:
        on_read: called with the number of records with pictures and of bytes since the last call.

    Raises:
        SourceError: the file cannot be read.
        PoolStoppedError: the pool was stopped.
    """
    path, table = file.path, RecordTable()
    batch: list[tuple[int, FoundRecord]] = []
    cost = counted = 0
    for found in salvage_scan(file, payloads=True):
        if isinstance(found, Damage):
            faults.add(path, found.reason + _what_follows(found, file.size), found.at)
            continue
        key = checks.keys.of(found.offset, found.info.key)
        table.add(found, key)
        _check_header(file, found, key, checks, faults)
        if found.is_metadata and checks.metadata:
            continue
        batch.append((key, found))
        cost += found.info.length + _RECORD_BYTES + _LABEL_BYTES * len(found.info.labels)
        if cost >= _BATCH_BYTES:
            pool.submit(partial(_check_batch, file, batch, checks, faults), cost)
            on_read(len(batch), max(0, found.info.end - counted))
            counted = max(counted, found.info.end)
            batch, cost = [], 0
    if batch:
        pool.submit(partial(_check_batch, file, batch, checks, faults), cost)
    table.hashes = file.published() if checks.hashed else None
    on_read(len(batch), file.size - counted)
    return table


def _what_follows(damage: Damage, size: int) -> str:
    if damage.kind == "foreign":
        return ""
    whole = damage.end < size
    return f"; the next whole record begins at byte {damage.end}" if whole else "; nothing whole follows"


def _check_header(file: RecFile, found: FoundRecord, key: int, checks: Checks, faults: Faults) -> None:
    info = found.info
    add = partial(faults.add, file.path, offset=info.offset, key=key)
    if found.overlong:
        add(OVERLONG)
    classes = None if found.is_metadata and checks.metadata else checks.classes
    if wrong := _label_fault(info.labels, classes):
        add(wrong)
    padding = -len(found.payload) % 4
    if padding and any(file.read_at(info.end - padding, padding)):
        add("the padding after the record is not zero")
    if checks.spec is not None and info.id2:
        add(f"its id2 is {info.id2}, and create writes 0")


def _label_fault(labels: tuple[float, ...], classes: int | None) -> str | None:
    for label in labels:
        if not math.isfinite(label):
            return f"its label {label} is not finite"
    for label in object_classes(labels) if is_detection(labels) else labels:
        if classes is not None and not (label.is_integer() and 0 <= label < classes):
            return f"its label {label:g} is none of the {classes} classes"
    return None


def _check_batch(file: RecFile, batch: list[tuple[int, FoundRecord]], checks: Checks, faults: Faults) -> None:
    from gpu_pack.tools.check_images import check_image

    for key, found in batch:
        if wrong := check_image(found.image, checks.spec, checks.decode):
            faults.add(file.path, wrong, found.offset, key)
