"""What a channel's .rec file holds, record by record: the job reads these bytes, not the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gpu_pack.formats.image_headers import ImageError, read_header, sniff
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.salvage_scan import Damage, FoundRecord, salvage_scan

_PROGRESS_BYTES = 16 << 20


@dataclass
class Survey:
    """What was found.

    Attributes:
        images: whole records.
        bytes, sha256: of the file.
        labels: how often each first label occurs.
        several: records with more than one label; ``several_key`` is the first one's key.
        formats: images by format; ``first_keys`` has the key of the first of each.
        small: images of which an edge is too short; ``smallest`` is ``(key, width, height)`` of the one with the
            shortest edge, in pixels, upright.
        damage: places that are no whole record.
    """

    images: int = 0
    bytes: int = 0
    sha256: str = ""
    labels: Counter[float] = field(default_factory=Counter)
    several: int = 0
    several_key: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    first_keys: dict[str, int] = field(default_factory=dict)
    small: int = 0
    smallest: tuple[int, int, int] | None = None
    damage: list[str] = field(default_factory=list)


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
    with RecFile(rec, whole=True, hashed=True) as file:
        for item in salvage_scan(file, payloads=True):
            if isinstance(item, Damage):
                found.damage.append(f"at byte {item.offset}: {item.reason}")
                continue
            _count(found, item, height, width)
            if item.offset - reported >= _PROGRESS_BYTES:
                on_bytes(item.offset - reported)
                reported = item.offset
        found.bytes, found.sha256 = file.size, file.sha256()
    on_bytes(found.bytes - reported)
    return found


def _count(found: Survey, item: FoundRecord, height: int, width: int) -> None:
    info, payload = item.info, item.payload
    assert info is not None and payload is not None
    found.images += 1
    found.labels[info.labels[0]] += 1
    if len(info.labels) > 1:
        found.several_key = info.key if not found.several else found.several_key
        found.several += 1
    data = payload[len(payload) - info.data_size :] if info.data_size else b""
    try:
        header = read_header(data)
    except ImageError:
        name = sniff(data) or "unknown"
    else:
        name, size = header.format, header.upright_size
        if size[0] < width or size[1] < height:
            found.small += 1
            if found.smallest is None or min(size) < min(found.smallest[1:]):
                found.smallest = (info.key, *size)
    found.formats[name] += 1
    found.first_keys.setdefault(name, info.key)
