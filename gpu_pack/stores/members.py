"""The bytes of an image inside of another file, as the stores have read them."""

from __future__ import annotations

import struct
import zlib

from gpu_pack.recordio.framing import MAX_RECORD
from gpu_pack.types import Container, Entry, Image, Rejected

#: The largest image that is read: a RecordIO record is smaller than 2**29 bytes, and its header needs a few.
MAX_FILE_BYTES = MAX_RECORD - (1 << 16)
#: APPNOTE.TXT 4.3.7, as far as it is needed: signature, flags, method, lengths of name and extra field.
_ZIP_HEADER = struct.Struct("<4s2xHH16xHH")
_ENCRYPTED = 1
_STORED, _DEFLATED = 0, 8


def too_large(size: int) -> tuple[str, str]:
    """Reason and code of a reject for an image above `MAX_FILE_BYTES`."""
    return f"{size} bytes; a RecordIO record ends below {MAX_RECORD}", "too-large"


def refuse_span(entry: Entry) -> Rejected | None:
    """A reject for an image that is too large to be read, or that does not lie inside of its container."""
    place = entry.place
    assert place is not None
    if max(place.length, entry.size or 0) > MAX_FILE_BYTES:
        most = max(place.length, entry.size or 0)
        return Rejected(entry, "read", *too_large(most))
    if place.offset + place.length > place.container.size:
        return Rejected(entry, "read", f"{place.container.path} ends before it", "truncated")
    return None


def changed(entry: Entry, container: Container) -> Rejected:
    """The reject for an image whose container is another one now."""
    return Rejected(entry, "read", f"{container.path} changed while packing", "changed")


def unpack(entry: Entry, data: bytes) -> Image | Rejected:
    """The image in the bytes at its `Place`."""
    place = entry.place
    assert place is not None
    if len(data) < place.length:
        return Rejected(entry, "read", f"{place.container.path} ends before it", "truncated")
    try:
        if place.kind == "zip":
            data = _unzip(data, entry.size)
        if entry.size is not None and len(data) != entry.size:
            raise ValueError(f"it has {len(data)} bytes where its archive says {entry.size}")
        if place.crc is not None and zlib.crc32(data) != place.crc:
            raise ValueError("its checksum (CRC-32) is not the one that its archive has")
    except (ValueError, zlib.error, struct.error) as error:
        return Rejected(entry, "read", f"damaged in its archive: {error}", "damaged")
    return Image(entry, data)


def _unzip(data: bytes, size: int | None) -> bytes:
    """A zip's member, from its local header on; never more than one byte above ``size``.

    Raises:
        ValueError, zlib.error, struct.error: damaged, encrypted, or compressed in another way.
    """
    signature, flags, method, name, extra = _ZIP_HEADER.unpack_from(data)
    if signature != b"PK\3\4":
        raise ValueError("there is no local header where the directory says")
    if flags & _ENCRYPTED:
        raise ValueError("it is encrypted")
    packed = memoryview(data)[_ZIP_HEADER.size + name + extra :]
    most = MAX_FILE_BYTES if size is None else size
    if method == _STORED:
        return bytes(packed[:most])
    if method != _DEFLATED:
        raise ValueError(f"it is compressed by method {method}, and only stored and deflated ones are read")
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most + 1)
