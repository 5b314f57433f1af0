"""What a channel's .rec file holds, record by record: the job reads these bytes, not the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gpu_pack.formats.image_headers import ImageError, read_header, sniff
from gpu_pack.formats.notices import Notice
from gpu_pack.formats.salvage_scan import Damage, FoundRecord, salvage_scan
from gpu_pack.tools.faults import Faults
from gpu_pack.tools.keys_beside import keys_beside
from gpu_pack.tools.locate import Target
from gpu_pack.tools.rec_file import RecFile

_PROGRESS_BYTES = 16 << 20


@dataclass
class Survey:
    """What was found.

    Attributes:
        images: whole records with pictures.
        metadata: whole records without; ``metadata_key`` is the first one's key.
        bytes, sha256: of the file.
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
    sha256: str = ""
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


def survey(rec: Path, height: int, width: int, on_bytes: Callable[[int], None]) -> Survey:
    """Read a whole .rec file.

    Args:
        height, width: in pixels; images below either are ``small``.
        on_bytes: called now and then with the number of bytes read since the last call.

    Raises:
        SourceError: the file cannot be read.
    """
    found = Survey()
    reported = 0
    wrong = Faults()
    keys = keys_beside(Target(rec), wrong)
    found.bad_index = list(map(str, wrong.sorted()))
    found.notices += [keys.repeated] if keys.repeated is not None else []
    with RecFile(rec, whole=True, hashed=True) as file:
        for item in salvage_scan(file, payloads=True):
            if isinstance(item, Damage):
                found.damage.append(item.reason if item.at is None else f"at byte {item.at}: {item.reason}")
                continue
            _count(found, item, keys.of(item.offset, item.info.key), height, width)
            if item.offset - reported >= _PROGRESS_BYTES:
                on_bytes(item.offset - reported)
                reported = item.offset
        found.bytes, found.sha256 = file.size, file.sha256()
    on_bytes(found.bytes - reported)
    return found


def _count(found: Survey, item: FoundRecord, key: int, height: int, width: int) -> None:
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
    try:
        header = read_header(item.image)
    except ImageError:
        name = sniff(item.image) or "unknown"
    else:
        name, size = header.format, header.upright_size
        if size[0] < width or size[1] < height:
            found.small += 1
            if found.smallest is None or min(size) < min(found.smallest[1:]):
                found.smallest = (key, *size)
    found.formats[name] += 1
    found.first_keys.setdefault(name, key)
