"""The RecordIO protocol without I/O: values to the bytes of a record; `recordio.scanning` reads them back.

A record on disk is one part or several. A part is the magic number 0xced7230a, a 32-bit ``cflag << 29 | length`` (both
little-endian), ``length`` bytes, and zeros up to a multiple of four. A magic number inside a payload, at a multiple of
four from the payload's start, is left out and splits the record there: the parts carry cflag 1 (first), 2 (middle) and
3 (last), a whole record carries 0, and a reader puts the magic number back between the parts. The payload of an image
record begins with a header of 24 bytes, struct ``<IfQQ``: flag, label, id, id2. One label: flag 0. Several: flag n,
label 0, and n float32 values before the image's bytes.

Source: dmlc-core's RecordIOWriter and RecordIOReader, MXNet 1.9.1's recordio.py.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence

from gpu_pack.errors import FormatError

MAGIC = 0xCED7230A
MAGIC_BYTES = MAGIC.to_bytes(4, "little")
#: Size in bytes of an image record's header, without further labels.
HEADER_SIZE = 24
#: A record's payload is smaller than this.
MAX_RECORD = 1 << 29

#: A part's head: the magic number, then cflag and length.
PART = struct.Struct("<II")
#: flag, label, id, id2.
IMAGE_HEADER = struct.Struct("<IfQQ")
WHOLE, FIRST, MIDDLE, LAST = range(4)

_IMAGE = struct.Struct("<IIIfQQ")  # a part's head and the image header
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")  # by length % 4


def frame(payload: bytes) -> bytes:
    """The bytes of a whole record, split where the payload holds aligned magic numbers.

    Raises:
        FormatError: the payload has 2^29 bytes or more.
    """
    size = len(payload)
    _check_size(size)
    cuts = _aligned_magics(payload)
    if not cuts:
        return b"".join((PART.pack(MAGIC, size), payload, _PADDING[size & 3]))
    pieces: list[bytes] = []
    begin = 0
    for cut in cuts:
        pieces += (PART.pack(MAGIC, (MIDDLE if begin else FIRST) << 29 | cut - begin), payload[begin:cut])
        begin = cut + 4
    pieces += (PART.pack(MAGIC, LAST << 29 | size - begin), payload[begin:], _PADDING[size & 3])
    return b"".join(pieces)


def framed_size(payload: bytes) -> int:
    """The size of what `frame` gives, in bytes."""
    return PART.size + len(payload) + 4 * len(_aligned_magics(payload)) + -len(payload) % 4


def frame_image(key: int, labels: Sequence[float], data: bytes) -> bytes:
    """A whole framed image record: what ``frame(pack(IRHeader(0, labels, key, 0), data))`` gives, faster.

    Raises:
        FormatError: see `frame_pieces`.
    """
    return b"".join(frame_pieces(key, labels, data))


def frame_pieces(key: int, labels: Sequence[float], data: bytes) -> Sequence[bytes]:
    """A whole framed image record in pieces to be joined. ``data`` is one of them, unless magic numbers split it.

    Raises:
        FormatError: no label, a key or label that the header cannot hold, a header that would contain a magic number
            (see `header_carries_magic`), or 2^29 bytes or more.
    """
    count = len(labels)
    size = HEADER_SIZE + (4 * count if count > 1 else 0) + len(data)
    _check_size(size)
    if count == 1:
        head = _pack(_IMAGE, key, MAGIC, size, 0, labels[0], key, 0)
    else:
        head = _pack(_IMAGE, key, MAGIC, size, count, 0.0, key, 0) + _pack_labels(key, labels)
    if head.find(MAGIC_BYTES, 4) >= 0 and _aligned_magics(head[8:]):
        raise FormatError(
            f"key {key}, label {labels[0]}: the record's header would hold the magic number 0xced7230a, which readers "
            "take for a damaged record; use another key or label"
        )
    # Header and labels fill whole words: what is aligned in the image's bytes is aligned in the payload.
    if _aligned_magics(data):
        return (frame(head[PART.size :] + data),)
    return head, data, _PADDING[len(data) & 3]


def header_carries_magic(key: int, labels: Sequence[float] = (0.0,)) -> bool:
    """Whether an image record's header or labels would hold an aligned magic number; `frame_image` refuses them.

    True for keys whose low or high 32 bits are 3470205706, and for the label -1804698880, which has the same bits. The
    format allows it and splits the record there, but DALI's reader (2.4) fails on such a record.

    Raises:
        FormatError: a key or label that the header cannot hold.
    """
    return bool(_aligned_magics(pack_header(0, 0.0, key, 0) + _pack_labels(key, labels)))


def pack_header(flag: int, label: float, key: int, id2: int) -> bytes:
    """The 24 bytes of an image header.

    Raises:
        FormatError: a value out of range.
    """
    return _pack(IMAGE_HEADER, key, flag, label, key, id2)


def unpack_header(payload: bytes) -> tuple[int, float, int, int]:
    """``(flag, label, id, id2)`` of an image record's payload, or of its beginning.

    Raises:
        FormatError: under 24 bytes.
    """
    if len(payload) < HEADER_SIZE:
        raise FormatError(f"no image record: {len(payload)} bytes, and its header alone has {HEADER_SIZE}")
    return IMAGE_HEADER.unpack_from(payload)


def _aligned_magics(data: bytes) -> list[int]:
    """Offsets of the magic numbers at multiples of four."""
    if len(data) > 2048 and _count_magics(data) == 0:
        return []
    found = []
    position = data.find(MAGIC_BYTES)
    while position >= 0:
        if position & 3 == 0:
            found.append(position)
        position = data.find(MAGIC_BYTES, position + 4 - (position & 3))
    return found


def _count_magics(data: bytes) -> int:
    """How many aligned magic numbers there are: a sixth of find's time for 25 KB, and without the GIL.

    -1 where NumPy is not imported: framing does not import it for this, but a run that packs images has it.
    """
    np = sys.modules.get("numpy")
    if np is None or not hasattr(np, "frombuffer") or not hasattr(np, "count_nonzero"):  # or half imported
        return -1
    return int(np.count_nonzero(np.frombuffer(data, "<u4", len(data) >> 2) == MAGIC))


def _pack(layout: struct.Struct, key: int, *values: float) -> bytes:
    try:
        return layout.pack(*values)
    except (struct.error, OverflowError, TypeError, ValueError) as error:
        raise FormatError(
            f"key {key}: no image header holds flag, label, id, id2 = {', '.join(map(str, values[-4:]))}: "
            f"the label is a float32, the others are whole numbers from 0 ({error})"
        ) from None


def _pack_labels(key: int, labels: Sequence[float]) -> bytes:
    if not labels:
        raise FormatError(f"key {key}: an image record needs at least one label")
    try:
        return struct.pack(f"<{len(labels)}f", *labels)
    except (struct.error, OverflowError, TypeError, ValueError) as error:
        raise FormatError(f"key {key}: the labels {list(labels)[:8]} do not all fit float32 ({error})") from None


def _check_size(size: int) -> None:
    if size >= MAX_RECORD:
        raise FormatError(f"a record of {size} bytes: RecordIO holds less than {MAX_RECORD} (2^29) in one record")
