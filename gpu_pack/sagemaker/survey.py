"""What a channel's .rec file holds, record by record: the job reads these bytes, not the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_pack.formats.image_headers import Header, ImageError, read_header, sniff
from gpu_pack.formats.notices import Notice
from gpu_pack.formats.record_keys import RecordKeys
from gpu_pack.formats.salvage_scan import Damage, FoundRecord, salvage_scan
from gpu_pack.stores.data_path import DataPath
from gpu_pack.tools.faults import Faults, unreadable
from gpu_pack.tools.image_heads import read_image_header
from gpu_pack.tools.keys_beside import heads, index_beside, keys_beside
from gpu_pack.tools.locate import Target
from gpu_pack.tools.rec_file import RecFile

if TYPE_CHECKING:
    from gpu_pack.stores.remote_path import RemotePath

_PROGRESS_BYTES = 16 << 20
#: Of each record in a bucket: what `create` writes before a JPEG's first scan has 700.
_HEAD_BYTES = 1024


@dataclass
class Survey:
    """What was found.

    Attributes:
        images: whole records with pictures.
        metadata: whole records without; ``metadata_key`` is the first one's key.
        bytes: of the file.
        sha256: of a file on this machine; ``etag`` of one in a bucket, whose bytes are not all read.
        labels: how often each first label occurs.
        several: records with more than one label; ``several_key`` is the first one's key.
        formats: images by format; ``first_keys`` has the key of the first of each.
        small: images of which an edge is too short; ``smallest`` is ``(key, width, height)`` of the one with the
            shortest edge, in pixels, upright.
        notices: warnings about the file, such as that its ids repeat.
        damage: places that are no whole record.
        bad_index: what is wrong with the .idx, a sentence each.
    """

    images: int = 0
    metadata: int = 0
    metadata_key: int = 0
    bytes: int = 0
    sha256: str | None = None
    etag: str = ""
    labels: Counter[float] = field(default_factory=Counter)
    several: int = 0
    several_key: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    first_keys: dict[str, int] = field(default_factory=dict)
    small: int = 0
    smallest: tuple[int, int, int] | None = None
    notices: list[Notice] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    bad_index: list[str] = field(default_factory=list)


def survey(rec: DataPath, height: int, width: int, on_bytes: Callable[[int], None]) -> Survey:
    """Read a whole .rec file; of one in a bucket, the .idx beside it and the heads of its records.

    Args:
        height, width: in pixels; images below either are ``small``.
        on_bytes: called now and then with the number of bytes read since the last call.

    Raises:
        SourceError: the file cannot be read.
    """
    found = Survey()
    local = isinstance(rec, Path)
    keys = _keys(rec, found)
    if keys is None:
        return found
    found.notices += [keys.repeated] if keys.repeated is not None else []
    reported = 0
    with RecFile(rec, whole=local, hashed=() if local else None) as file:
        if spans := heads(Target(rec), keys, file.size, _HEAD_BYTES, 4 * _HEAD_BYTES):
            file.expect(spans)
        for item in salvage_scan(file, payloads=local):
            if isinstance(item, Damage):
                found.damage.append(item.reason if item.at is None else f"at byte {item.at}: {item.reason}")
                continue
            image = _header(item.image) if local else read_image_header(file, item.info, _HEAD_BYTES)
            _count(found, item, keys.of(item.offset, item.info.key), image, height, width)
            if item.offset - reported >= _PROGRESS_BYTES:
                on_bytes(item.offset - reported)
                reported = item.offset
        found.bytes, found.sha256 = file.size, file.published().sha256 if local else None
    on_bytes(found.bytes - reported)
    return found


def _keys(rec: DataPath, found: Survey) -> RecordKeys | None:
    """The records' keys; None where all bytes of a file in a bucket would have to be read."""
    wrong, target = Faults(), Target(rec)
    if isinstance(rec, Path):
        keys: RecordKeys | None = keys_beside(target, wrong)
    else:
        found.etag, found.bytes = _look(rec)
        keys = index_beside(target, wrong)
        if keys is None:
            what = "there is no index" if not target.idx.exists() else "the index is not right"
            found.damage.append(f"{what}, by which its records are checked where they are: see `gpu-pack index`")
    found.bad_index = list(map(str, wrong.sorted()))
    return keys


def _look(rec: RemotePath) -> tuple[str, int]:
    """Etag and size."""
    try:
        return rec.etag() or "", rec.stat().st_size
    except OSError as error:
        raise unreadable(rec, error) from error


def _header(image: bytes) -> Header | str | None:
    try:
        return read_header(image)
    except ImageError:
        return sniff(image)


def _count(found: Survey, item: FoundRecord, key: int, image: Header | str | None, height: int, width: int) -> None:
    info = item.info
    if item.is_metadata:
        found.metadata_key = found.metadata_key if found.metadata else key
        found.metadata += 1
        return
    found.images += 1
    found.labels[info.labels[0]] += 1
    if len(info.labels) > 1:
        found.several_key = key if not found.several else found.several_key
        found.several += 1
    name = image.format if isinstance(image, Header) else image or "unknown"
    if isinstance(image, Header):
        size = image.upright_size
        if size[0] < width or size[1] < height:
            found.small += 1
            if found.smallest is None or min(size) < min(found.smallest[1:]):
                found.smallest = (key, *size)
    found.formats[name] += 1
    found.first_keys.setdefault(name, key)
