"""What a file is that has .rec for its suffix and holds no image records."""

from __future__ import annotations

from gpu_pack.errors import FormatError
from gpu_pack.formats.image_headers.signature import sniff
from gpu_pack.recordio.framing import MAGIC_BYTES
from gpu_pack.recordio.scanning import ReadAt, read_record

_HEAD = 512
#: First bytes of a protobuf message that begins with one of the fields 1 to 5, of any length.
_FIELD_TAGS = (b"\x0a", b"\x12", b"\x1a", b"\x22", b"\x2a")
_PROTOBUF = (
    "SageMaker's protobuf RecordIO (recordIO-wrapped protobuf): the framing is RecordIO's, the records are protobuf "
    "messages, not image records"
)
_ARCHIVES = ((b"pk\x03\x04", "a ZIP archive"), (b"\x1f\x8b", "gzip-compressed data"), (b"%pdf", "a PDF document"))


def name_foreign(read_at: ReadAt, size: int) -> str | None:
    """What a file without image records is, as one sentence; None if that is not known.

    Args:
        read_at: reads the file, of ``size`` bytes.
    """
    head = read_at(0, min(_HEAD, size))
    if head[:4] != MAGIC_BYTES:
        return _name_text(head) or _name_binary(head)
    if head[8:9] not in _FIELD_TAGS or head[8:12] == MAGIC_BYTES:
        return None
    try:
        return _PROTOBUF if _is_protobuf(read_record(read_at, 0, size).payload) else None
    except FormatError:
        return None


def _name_text(head: bytes) -> str | None:
    text = _text(head)
    if text is None or not text.strip():
        return None
    start = text.strip().lower()
    if start.startswith("version https://git-lfs"):
        return "a Git LFS pointer and not the records themselves: `git lfs pull` fetches them"
    if start.startswith(("<!doctype html", "<html")):
        return "an HTML page and no RecordIO: the address that it came from does not lead to the file itself"
    if start.startswith("<?xml"):
        return "an XML document and no RecordIO: perhaps the answer of a server that did not give the file"
    return f"a text file and no RecordIO: it begins with {text.strip().splitlines()[0][:40]!r}"


def _text(head: bytes) -> str | None:
    """The beginning of a file as text, or None if it is none."""
    wide = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    for lost in range(4):  # the last character may be cut
        try:
            text = head[: len(head) - lost].decode("utf-16" if wide else "utf-8-sig")
        except UnicodeDecodeError:
            continue
        return None if any(ord(letter) < 32 and letter not in "\t\n\r\f\x1b" for letter in text) else text
    return None


def _name_binary(head: bytes) -> str | None:
    for magic, name in _ARCHIVES:
        if head.lower().startswith(magic):
            return f"{name} and no RecordIO"
    if head[257:262] == b"ustar":
        return "a tar archive and no RecordIO"
    if not head.strip(b"\0"):
        return None
    kind = sniff(head)
    return f"a single {kind} picture and no RecordIO" if kind in ("jpeg", "png", "gif") else None


# ---- SageMaker's protobuf: message Record {map features = 1; map label = 2; uid = 3; metadata = 4; configuration = 5}


def _is_protobuf(payload: bytes) -> bool:
    fields = _fields(payload) or []
    maps = [_fields(value) for number, value in fields if number in (1, 2)]
    return (
        bool(maps)
        and all(1 <= number <= 5 for number, _ in fields)
        and all(each is not None and all(number in (1, 2) for number, _ in each) for each in maps)
    )


def _fields(message: bytes) -> list[tuple[int, bytes]] | None:
    """Number and value of the first thousand fields; None for a message with fields of other kinds than bytes."""
    fields: list[tuple[int, bytes]] = []
    position = 0
    while position < len(message) and len(fields) < 1000:
        tag = message[position]
        length, begin = _varint(message, position + 1)
        position = begin + length
        if tag & 7 != 2 or begin == 0 or position > len(message):
            return None
        fields.append((tag >> 3, message[begin:position]))
    return fields


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """A number and the position after it; position 0 if there is none."""
    value = 0
    for shift in range(0, 35, 7):
        if position >= len(message):
            break
        value |= (message[position] & 0x7F) << shift
        position += 1
        if message[position - 1] < 0x80:
            return value, position
    return 0, 0
