"""Members of zips that are compressed in ways which cannot be read at an offset: bzip2, LZMA, xz, Zstandard."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterator
from typing import Protocol

from gpu_pack.sources.archives.compression import ZSTD_MODULES, ZstdError, zstd_opener
from gpu_pack.sources.archives.tar_search import ReadAt
from gpu_pack.sources.archives.zip_directory import ZipEntry

STORED, DEFLATED = 0, 8
_BZIP2, _LZMA, _ZSTD, _XZ = 12, 14, 93, 95
#: Methods that are spooled.
SPOOLED = frozenset({_BZIP2, _LZMA, _ZSTD, _XZ})
#: Others in words; zipfile too reads none of them.
_NAMES = {1: "shrink", 6: "implode", 9: "Deflate64", 98: "PPMd", 99: "encryption"}
_READ_BYTES = 1 << 18
_PIECE_BYTES = 1 << 20
_MEMORY = 512 << 20


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


def method_name(method: int) -> str:
    """A method that is not read, in words."""
    return f"method {method} ({_NAMES[method]})" if method in _NAMES else f"method {method}"


def unpack(name: str, read_at: ReadAt, entry: ZipEntry) -> Iterator[bytes]:
    """The data of a member of `SPOOLED` methods, in pieces; one byte more than its size at most.

    Raises:
        SourceError: Zstandard is not installed.
        ValueError: the member is damaged.
    """
    header = read_at(entry.offset, 30)
    if not header.startswith(b"PK\3\4") or len(header) < 30:
        raise ValueError("there is no local header where the directory says")
    start = entry.offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    crc, made = 0, 0
    try:
        for piece in _pieces(name, read_at, entry, start):
            crc, made = zlib.crc32(piece, crc), made + len(piece)
            if made > entry.size:
                raise ValueError(f"it has more bytes than the {entry.size:,} that its archive says")
            yield piece
    except (OSError, EOFError, lzma.LZMAError, ZstdError) as error:
        raise ValueError(str(error)) from error
    if made != entry.size or crc != entry.crc:
        raise ValueError("its size or checksum (CRC-32) is not the one that its archive has")


def _pieces(name: str, read_at: ReadAt, entry: ZipEntry, start: int) -> Iterator[bytes]:
    end = start + entry.packed
    if entry.method == _LZMA:
        properties = read_at(start, 9)
        stream: _Decompressor = _lzma(properties)
        start += len(properties)
    else:
        stream = _open(name, entry.method)
    left = entry.size + 1
    while left > 0 and not stream.eof:
        data = read_at(start, min(_READ_BYTES, end - start))
        start += len(data)
        piece = stream.decompress(data, min(left, _PIECE_BYTES))
        left -= len(piece)
        if piece:
            yield piece
        elif not data:
            return


def _open(name: str, method: int) -> _Decompressor:
    if method == _ZSTD:
        return zstd_opener(name, ZSTD_MODULES)()
    if method == _XZ:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
    return bz2.BZ2Decompressor()


def _lzma(properties: bytes) -> _Decompressor:
    """APPNOTE.TXT 5.8.8: version, size of the properties, and these: LZMA's own five bytes.

    Raises:
        ValueError: they are none.
    """
    if len(properties) < 9 or properties[2:4] != b"\5\0" or properties[4] >= 225:
        raise ValueError("its LZMA properties are damaged")
    rest, dictionary = properties[4], int.from_bytes(properties[5:9], "little")
    if dictionary > _MEMORY:
        raise ValueError(f"its LZMA dictionary would take {dictionary:,} bytes")
    filters = {"id": lzma.FILTER_LZMA1, "lc": rest % 9, "lp": rest // 9 % 5, "pb": rest // 45}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{**filters, "dict_size": max(dictionary, 4096)}])
