"""Compressed files as streams of bytes: gzip, bzip2, xz and Zstandard, by their first bytes."""

from __future__ import annotations

import bz2
import importlib
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from gpu_pack.errors import SourceError
from gpu_pack.sources.archives.tar_search import ReadAt

_MAGICS = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "Zstandard"))
_READ_BYTES = 1 << 18
_PIECE_BYTES = 1 << 20
#: Given to a decompressor at once: where one raises, it loses what it made of this.
_STEP_BYTES = 1 << 10
#: Pictures hardly shrink, and blank ones not by that much.
_MOST_RATIO = 500
_BELOW_SUSPICION = 64 << 20
#: That a `ForwardFile` goes back.
WINDOW_BYTES = 2 << 20
#: With what xz's largest preset needs; hostile files ask for gigabytes.
_XZ_MEMORY = 512 << 20
#: Modules with `ZstdDecompressor`: Python 3.14's own, and the same for earlier ones.
ZSTD_MODULES = ("compression.zstd", "backports.zstd")


#: With all checksums behind the data of a file: gzip's 8 bytes, bzip2's 10, xz's index and footer.
_TAIL_BYTES = 64


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


def compression_of(head: bytes) -> str | None:
    """How a file is compressed, by its first 6 bytes."""
    return next((name for magic, name in _MAGICS if head.startswith(magic)), None)


class Decompressed:
    """The bytes of a compressed file, in pieces of at most 1 MiB.

    Attributes:
        fault: why reading ended before the end; empty where it did not. Complete once it is read to the end.
        left: bytes of the file behind the fault.

    Args:
        name: of the file, for messages.
        read_at: reads up to so many bytes at an offset.
        start, end: what to decompress.
        zstd_modules: where to look for Zstandard.

    Raises:
        SourceError: Zstandard is not installed, or it grows without end, as hostile files do.
    """

    def __init__(
        self, name: str, read_at: ReadAt, start: int, end: int, zstd_modules: Sequence[str] = ZSTD_MODULES
    ) -> None:
        self._name, self._read_at, self._start, self._end = name, read_at, start, end
        self._method = compression_of(read_at(start, min(6, end - start))) or "gzip"
        self._new = zstd_opener(name, zstd_modules) if self._method == "Zstandard" else _OPENERS[self._method]
        self.fault, self.left = "", 0

    def estimated_size(self) -> int:
        """As far as the file tells it, or its own size, since pictures hardly shrink."""
        size = self._end - self._start
        if self._method != "gzip" or size < 4:
            return size
        told = int.from_bytes(self._read_at(self._end - 4, 4), "little")  # modulo 2**32
        return max(told, size) if told < _MOST_RATIO * size else size

    def __iter__(self) -> Iterator[bytes]:
        made = 0
        kept = bytearray()
        for piece in self._small_pieces():
            made += len(piece)
            self._refuse_bomb(made)
            kept += piece
            if len(kept) >= _PIECE_BYTES // 2:
                yield bytes(kept)
                kept.clear()
        if kept:
            yield bytes(kept)

    def _small_pieces(self) -> Iterator[bytes]:
        source = _Steps(self._read_at, self._start, self._end)
        stream, data, piece = self._new(), b"", b""
        try:
            while True:
                if not data and stream.needs_input and len(piece) < _PIECE_BYTES // 2:
                    data = source.next()
                    if not data:
                        self.fault = f"its {self._method} data ends too early"
                        return
                piece, data = stream.decompress(data, _PIECE_BYTES // 2), b""
                yield piece
                if stream.eof:
                    data = stream.unused_data.lstrip(b"\0") or source.next_chunk().lstrip(b"\0")  # padding
                    if compression_of(data + source.peek(6)) is None:  # nothing, or what gzip too ignores
                        return
                    stream = self._new()
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, ZstdError) as error:
            self.left = self._end - source.position
            self.fault = f"its {self._method} data is damaged near byte {source.position - self._start:,}: {error}"

    def _refuse_bomb(self, made: int) -> None:
        if made > _BELOW_SUSPICION and made > _MOST_RATIO * (self._end - self._start):
            raise SourceError(
                f"{self._name}: it decompresses to over {_MOST_RATIO} times its size, as no set of pictures does: "
                "decompress it yourself if it is sound"
            )


class _Steps:
    """A part of a file in small steps, which is read in larger ones.

    Attributes:
        position: in the file, behind what was given.
    """

    def __init__(self, read_at: ReadAt, start: int, end: int) -> None:
        self._read_at, self.position, self._end = read_at, start, end
        self._chunk, self._begin = b"", 0

    def next(self, most: int = _STEP_BYTES) -> bytes:
        """Up to so many bytes, one by one where checksums end the file; nothing only at the end."""
        data = self.peek(min(most, max(1, self._end - self.position - _TAIL_BYTES)))
        self.position += len(data)
        self._begin += len(data)
        return data

    def next_chunk(self) -> bytes:
        """As many as are read at once."""
        data = self.peek(_READ_BYTES)
        self.position += len(data)
        self._begin += len(data)
        return data

    def peek(self, most: int) -> bytes:
        """As `next`, which gives them again."""
        if len(self._chunk) - self._begin < most:
            behind = self.position + len(self._chunk) - self._begin
            more = self._read_at(behind, min(_READ_BYTES, self._end - behind))
            self._chunk, self._begin = self._chunk[self._begin :] + more, 0
        return self._chunk[self._begin : self._begin + most]


class ForwardFile:
    """What a stream of pieces yields, read at offsets that go on, or up to 2 MiB back.

    Attributes:
        size: in bytes; None until the stream ended.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._kept, self._start = bytearray(), 0
        self.size: int | None = None

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes at ``offset``; fewer only at the end."""
        while self._start + len(self._kept) < offset + length:
            piece = next(self._pieces, None)
            if piece is None:
                self.size = self._start + len(self._kept)
                break
            self._kept += piece
            if (surplus := min(offset - self._start, len(self._kept)) - WINDOW_BYTES) > 0:
                del self._kept[:surplus]
                self._start += surplus
        begin = offset - self._start
        assert begin >= 0, "only 2 MiB are kept"
        return bytes(self._kept[begin : begin + length])


class _Gzip:
    """zlib's object with the names of the others."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int = 0) -> bytes:
        tail = self._stream.unconsumed_tail
        return self._stream.decompress(tail + data if tail else data, max_length)


_OPENERS: dict[str, Callable[[], _Decompressor]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
}


class ZstdError(Exception):
    """In place of the error of whichever module there is."""


def zstd_opener(name: str, modules: Sequence[str]) -> Callable[[], _Decompressor]:
    for module in modules:
        try:
            found: Any = importlib.import_module(module)
        except ImportError:
            continue
        return lambda: _Zstd(found)
    raise SourceError(
        f"{name}: it is compressed by Zstandard, which this Python cannot read by itself: "
        "pip install 'gpu-pack[zstd]', or decompress it yourself"
    )


class _Zstd:
    """Zstandard's object with errors that are known here."""

    def __init__(self, module: Any) -> None:
        self._stream, self._error = module.ZstdDecompressor(), module.ZstdError

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def needs_input(self) -> bool:
        return bool(self._stream.needs_input)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        try:
            return bytes(self._stream.decompress(data, max_length))
        except self._error as error:
            raise ZstdError(str(error)) from error
