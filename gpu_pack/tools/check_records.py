"""One .rec file, record by record: framing, header, labels, image."""

from __future__ import annotations

import hashlib
import math
import struct
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from gpu_pack.recordio.framing import HEADER_SIZE, frame
from gpu_pack.tools.bounded_pool import BoundedPool
from gpu_pack.tools.faults import Fault, Faults
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.salvage_scan import Damage, FoundRecord, salvage_scan
from gpu_pack.types import TransformSpec

_BATCH_RECORDS = 32
_BATCH_BYTES = 1 << 20


@dataclass
class Table:
    """What the whole records of a file say, a row each, in the file's order; 28 bytes a row.

    Attributes:
        keys: ids of the headers.
        offsets: where they begin, in bytes.
        codes: what `label_code` gives for their labels.
        firsts: the first label of each.
        damaged: whether there are bytes between or after them that are none.
        sha256: of the file, where it was asked for.
    """

    keys: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    codes: array[int] = field(default_factory=lambda: array("Q"))
    firsts: array[float] = field(default_factory=lambda: array("f"))
    damaged: bool = False
    sha256: str | None = None


@dataclass(frozen=True)
class Checks:
    """What records are measured by.

    Attributes:
        spec: what the manifest promises of each image; None without one.
        classes: labels are whole numbers from 0 to below this; None where any finite number may be one.
        decode: decode every image.
        hashed: take the file's sha256.
    """

    spec: TransformSpec | None = None
    classes: int | None = None
    decode: bool = True
    hashed: bool = False


class _Item(NamedTuple):
    offset: int
    length: int
    key: int
    labels: int
    payload: bytes


def label_code(labels: Sequence[float]) -> int:
    """64 bits that tell labels from others as float32; one label's are its own bits, and -0 is 0.

    Raises:
        OverflowError: a label that float32 does not hold.
    """
    packed = struct.pack(f"<{len(labels)}f", *(label + 0.0 for label in labels))
    if len(packed) == 4:
        return int.from_bytes(packed, "little")
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little") | 1 << 63


def read_records(
    file: RecFile, checks: Checks, pool: BoundedPool, faults: Faults, on_record: Callable[[int, int], None]
) -> Table:
    """Walk through a .rec and check every record; images are checked by ``pool``, and may still be when this returns.

    Args:
        on_record: called now and then with records and bytes since the last call.

    Raises:
        SourceError: the file cannot be read on.
        PoolStoppedError: the pool was called off.
    """
    table = Table()
    batch: list[_Item] = []
    pending = 0
    last = 0
    for found in salvage_scan(file, payloads=True):
        if isinstance(found, Damage):
            table.damaged = True
            faults.add(_damage(file, found))
        else:
            batch.append(_row(file, found, table, checks, faults))
            pending += found.length
        if len(batch) >= _BATCH_RECORDS or pending >= _BATCH_BYTES:
            pool.submit(pending, partial(_check_batch, str(file.path), batch, checks, faults))
            on_record(len(batch), pending)
            last += pending
            batch, pending = [], 0
    if batch:
        pool.submit(pending, partial(_check_batch, str(file.path), batch, checks, faults))
    table.sha256 = file.sha256() if checks.hashed else None
    on_record(len(batch), file.size - last)
    return table


def _damage(file: RecFile, found: Damage) -> Fault:
    after = "nothing whole follows" if found.end >= file.size else f"the next whole record begins at byte {found.end}"
    return Fault(str(file.path), f"{found.reason}; {after}", found.offset)


def _row(file: RecFile, found: FoundRecord, table: Table, checks: Checks, faults: Faults) -> _Item:
    """Note a record, and check what its header says."""
    info, payload = found.info, found.payload
    assert info is not None and payload is not None
    table.keys.append(info.key)
    table.offsets.append(info.offset)
    table.codes.append(label_code(info.labels))
    table.firsts.append(info.labels[0])
    if wrong := _bad_label(info.labels, checks.classes):
        faults.add(Fault(str(file.path), wrong, info.offset, info.key))
    if padding := -len(payload) % 4:
        end = info.offset + info.length
        if any(file.read_at(end - padding, padding)):
            faults.add(Fault(str(file.path), "the padding after the record is not zero", info.offset, info.key))
    if checks.spec is not None and info.id2:
        faults.add(Fault(str(file.path), f"its id2 is {info.id2}, and create writes 0", info.offset, info.key))
    return _Item(info.offset, info.length, info.key, len(payload) - HEADER_SIZE - info.data_size, payload)


def _bad_label(labels: Sequence[float], classes: int | None) -> str | None:
    for label in labels:
        if not math.isfinite(label):
            return f"its label {label} is not finite"
        if classes is not None and not (label.is_integer() and 0 <= label < classes):
            return f"its label {label:g} is none of the {classes} classes"
    return None


def _check_batch(path: str, batch: list[_Item], checks: Checks, faults: Faults) -> None:
    from gpu_pack.tools.check_images import check_image

    for item in batch:
        if len(frame(item.payload)) != item.length:
            what = "it holds a magic number that should have split it, so its length may be damaged"
            faults.add(Fault(path, what, item.offset, item.key))
        data = item.payload[HEADER_SIZE + item.labels :]
        if wrong := check_image(data, checks.spec, checks.decode):
            faults.add(Fault(path, wrong, item.offset, item.key))
