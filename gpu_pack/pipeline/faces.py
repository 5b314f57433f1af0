"""`create --for insightface`: the order of the pictures, and the files that InsightFace's loaders want.

The pictures are packed like any others, into a file that is not published. Keys must be 1 to N without gaps, and which
pictures are rejects is known at the end: then the records are copied, with these keys, into the file that is published,
and the records without pictures follow.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gpu_pack.errors import SourceError
from gpu_pack.formats.image_headers import ImageError, read_header
from gpu_pack.formats.insightface import MAX_KEY, PROPERTY, metadata_records, property_text
from gpu_pack.formats.lst import format_list
from gpu_pack.formats.rejects import Reject
from gpu_pack.output.checkpoint import RecordFileState
from gpu_pack.output.shard_writer import RecordWriter, write_index
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.plan import Plan
from gpu_pack.pipeline.results import PackResult
from gpu_pack.recordio import unpack
from gpu_pack.recordio.framing import frame_pieces
from gpu_pack.recordio.scanning import scan
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.splits import Shard
from gpu_pack.stores.atomic_file import write_atomically
from gpu_pack.types import Entry

TARGET = "insightface"
FACE_FILES = ("train.rec", "train.idx", "train.lst", PROPERTY)
SPLIT = "train"
#: Of the file that the pictures are packed into first.
_PACKED = "pictures"


class Faces(NamedTuple):
    """What `write_faces` did: the rejects with keys that no record has, and the sha256 of train.rec."""

    rejects: list[Reject]
    sha256: str


def faces_shard(source: str, listing: Listing) -> Shard:
    """All pictures, each identity's one after the other.

    Raises:
        SourceError: splits, labels that are no numbers of identities, or too many pictures for InsightFace's layout.
    """
    import numpy as np

    if listing.own_splits is not None:
        names = ", ".join(listing.own_splits.names)
        raise SourceError(
            f"{source} is divided already, into {names}, and InsightFace's sets are not: give one of these folders"
        )
    for labels, path in zip(listing.labels, listing.paths, strict=True):
        if len(labels) != 1 or not float(labels[0]).is_integer() or not 0 <= labels[0] < MAX_KEY:
            told = " ".join(f"{label:g}" for label in labels[:5])
            raise SourceError(f"{path}: its label {told} is no number of an identity, which InsightFace's records have")
    last = len(listing) + _identities(listing) + 1
    if last > MAX_KEY:
        raise SourceError(
            f"{source}: InsightFace's records hold keys as float32, which is exact up to {MAX_KEY:,}, and its pictures "
            f"and identities need {last:,}: pack several sets"
        )
    first = np.fromiter((labels[0] for labels in listing.labels), np.float64, len(listing))
    return Shard(SPLIT, _PACKED, array("q", np.argsort(first, kind="stable").tolist()))


def _identities(listing: Listing) -> int:
    if listing.classes is not None:
        return len(listing.classes)
    return int(max((labels[0] for labels in listing.labels), default=-1)) + 1


def write_faces(plan: Plan, staging: Staging, packed: PackResult, rejects: Sequence[Reject]) -> Faces:
    """Make `FACE_FILES` of the packed pictures, synced, in the staging folder.

    Raises:
        SourceError: pictures of different sizes.
        OutputError: they cannot be written.
    """
    (shard,) = plan.shards
    identities = _identities(plan.listing)
    records = sum(result.records for result in packed.shards)
    state = RecordFileState()
    writer = RecordWriter(staging.path("train.rec"), state, lambda _: None, plan.writing)
    try:
        counts, size = _copy_pictures(plan, staging.path(shard.name + ".rec"), writer)
        for key, labels in metadata_records([counts[number] for number in range(identities)]):
            writer.append_framed(key, frame_pieces(key, labels, b""))
        writer.finish()
    finally:
        writer.close()
    write_index(staging.path("train.idx"), state)
    # Their keys come after those of all records.
    renamed = [{**each, "key": records + identities + 1 + place} for place, each in enumerate(rejects)]
    keys = {(old["key"], old["path"]): new["key"] for old, new in zip(rejects, renamed, strict=True)}
    write_atomically(staging.path("train.lst"), format_list(_entries(plan.listing, shard, keys)))
    write_atomically(staging.path(PROPERTY), property_text(identities, *size))
    return Faces(renamed, state.checksum.hexdigest())


def _copy_pictures(plan: Plan, packed: Path, writer: RecordWriter) -> tuple[Counter[int], tuple[int, int]]:
    """Copy all records with the keys 1, 2, ...; gives the pictures of each identity, and their height and width."""
    counts: Counter[int] = Counter()
    edge = plan.spec.size if not plan.spec.pass_through else None
    size = (edge, edge) if edge is not None else None
    with packed.open("rb") as file:
        for key, record in enumerate(scan(file, str(packed)), 1):
            header, image = unpack(record.payload)
            if edge is None:
                size = _same_size(plan.source, header.id, image, size)
            writer.append_framed(key, frame_pieces(key, (header.label,), image))
            counts[int(header.label)] += 1
    assert size is not None  # there is a record
    return counts, size


def _same_size(source: str, key: int, image: bytes, size: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of a picture that was passed through, which must be those of all."""
    try:
        header = read_header(image)
    except ImageError as error:
        raise SourceError(f"{source}: the size of picture {key} is not known: {error.reason}") from None
    width, height = header.upright_size
    if size not in (None, (height, width)):
        raise SourceError(
            f"{source}: its pictures have different sizes, such as {size[1]} x {size[0]} and {width} x {height}, and "
            "InsightFace's sets have one: pack without pass_through (--pass-through), which scales them"
        )
    return height, width


def _entries(listing: Listing, shard: Shard, rejects: dict[tuple[int, str], int]) -> Iterator[Entry]:
    """The list, with the new keys of records and rejects."""
    key = 0
    for row in shard.rows:
        entry = listing.entry(row)
        rejected = rejects.get((entry.key, entry.path))
        if rejected is None:
            key += 1
        yield entry._replace(key=key if rejected is None else rejected)
