"""Some pictures of a dataset, spread over its classes and files, with what is known of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpu_pack.errors import FormatError, SourceError
from gpu_pack.formats.image_headers import ImageError, read_header, sniff
from gpu_pack.formats.salvage_scan import FoundRecord
from gpu_pack.recordio.scanning import read_record, read_record_header
from gpu_pack.tools.faults import Faults
from gpu_pack.tools.findings.paths import paths_of
from gpu_pack.tools.findings.pictures import Pictures
from gpu_pack.tools.rec_file import RecFile

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


#: What a record is larger than its picture, labels and padding included, unless it has many.
_HEAD_BYTES = 512


@dataclass(frozen=True)
class Sample:
    """One picture.

    Attributes:
        row: in `Pictures`.
        file, split, key: where it lies; ``path`` by the .lst, or None.
        labels: of the record.
        format: or None where it is unknown; ``width`` and ``height`` in pixels, 0 where they are.
        data: the encoded picture.
    """

    row: int
    file: str
    split: str
    key: int
    path: str | None
    labels: tuple[float, ...]
    format: str | None
    width: int
    height: int
    data: bytes


def choose_rows(pictures: Pictures, most: int, each: int) -> list[int]:
    """At most ``most`` rows, at most ``each`` of a label, spread evenly; by label, then in the files' order.

    Of more labels than ``most``, the most frequent have one each. Where labels are no classes, all are one.
    """
    import numpy as np

    labels = np.array(pictures.labels, np.float32)
    values, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if not np.all(values == np.floor(values)) or 2 * len(values) > max(len(labels), 40):
        inverse, counts, each = np.zeros(len(labels), np.int64), np.array([len(labels)]), most
    wanted = np.sort(np.argsort(-counts, kind="stable")[:most])
    each = max(1, min(each, most // max(1, len(wanted))))
    order = np.argsort(inverse, kind="stable")
    starts = np.cumsum(counts) - counts
    rows: list[int] = []
    for number in wanted.tolist():
        count = int(counts[number])
        picked = np.linspace(0, count - 1, min(count, each)).astype(np.int64)
        rows += order[starts[number] + picked].tolist()
    return rows


def read_samples(pictures: Pictures, rows: Iterable[int]) -> dict[int, Sample]:
    """The pictures of these rows; those that cannot be read any more are left out."""
    import numpy as np

    wanted = np.unique(np.fromiter(rows, np.int64))
    files = np.searchsorted(pictures.starts, wanted, side="right") - 1
    found: dict[int, Sample] = {}
    for number in np.unique(files).tolist():
        found |= {each.row: each for each in _read_file(pictures, number, wanted[files == number].tolist())}
    return found


def _read_file(pictures: Pictures, number: int, rows: Sequence[int]) -> Iterator[Sample]:
    target = pictures.targets[number]
    keys = [pictures.keys[row] for row in rows]
    paths = {} if number in pictures.positions else paths_of(target.lst, keys, Faults())
    with RecFile(target.rec, whole=True) as file:
        file.expect((pictures.offsets[row], pictures.sizes[row] + _HEAD_BYTES) for row in rows)
        for row, key in zip(rows, keys, strict=True):
            found = read_found(file, pictures.offsets[row])
            if found is not None:
                kind, width, height = describe_image(found.image)
                yield Sample(
                    row, target.rec.name, target.split_name, key, paths.get(key), tuple(found.info.labels), kind,
                    width, height, found.image,
                )  # fmt: skip


def read_found(file: RecFile, offset: int) -> FoundRecord | None:
    """The record at an offset; None if there is none any more."""
    try:
        file.begin_record(offset)
        info = read_record_header(file.read_at, offset, file.size)
        return FoundRecord(info, read_record(file.read_at, offset, file.size).payload)
    except (FormatError, SourceError):
        return None


def describe_image(data: bytes) -> tuple[str | None, int, int]:
    """Format, width and height as stored; None or 0 where they are unknown."""
    try:
        header = read_header(data)
    except ImageError:
        return sniff(data), 0, 0
    return header.format, header.width, header.height
