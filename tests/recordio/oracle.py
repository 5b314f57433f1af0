"""RecordIO once more, word by word as the format is told, slow and independent of gpu_pack."""

from __future__ import annotations

MAGIC = bytes.fromhex("0a23d7ce")


def number(data: bytes) -> int:
    return data[0] + (data[1] << 8) + (data[2] << 16) + (data[3] << 24)


def word(value: int) -> bytes:
    return bytes((value & 255, value >> 8 & 255, value >> 16 & 255, value >> 24 & 255))


def write(payload: bytes) -> bytes:
    parts, part = [], b""
    for place in range(0, len(payload), 4):
        piece = payload[place : place + 4]
        if piece == MAGIC:
            parts.append(part)
            part = b""
        else:
            part += piece
    parts.append(part)
    out = b""
    for place, part in enumerate(parts):
        if len(parts) == 1:
            flag = 0
        elif place == 0:
            flag = 1
        else:
            flag = 3 if place == len(parts) - 1 else 2
        out += MAGIC + word(flag * 2**29 + len(part)) + part
        while len(out) % 4:
            out += b"\0"
    return out


def read(data: bytes) -> list[bytes]:
    """The records of a sound file."""
    records, open_record = [], b""
    while data:
        assert data[:4] == MAGIC
        head = number(data[4:8])
        flag, length = head // 2**29, head % 2**29
        if flag in (2, 3):
            open_record += MAGIC
        open_record += data[8 : 8 + length]
        if flag in (0, 3):
            records.append(open_record)
            open_record = b""
        data = data[8 + length + -length % 4 :]
    return records
