"""Messages between a worker and its process, over pipes: some pieces of bytes each.

A message is the number of pieces (``<I``), their lengths (``<Q`` each) and the pieces.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Sequence
from typing import IO

_COUNT = struct.Struct("<I")
#: A CPU worker's answers mostly fit, and two hundred such pipes stay below what Linux lets a user have in all.
_PIPE_BYTES = 1 << 18
#: What Linux and macOS take in one call.
_PIECES = 1024


def widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold whole messages, where the system can."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def send(pipe: IO[bytes], pieces: Sequence[bytes]) -> None:
    """Write a message.

    Raises:
        OSError: nobody reads any more.
    """
    head = _COUNT.pack(len(pieces)) + struct.pack(f"<{len(pieces)}Q", *map(len, pieces))
    if not hasattr(os, "writev"):
        pipe.write(b"".join((head, *pieces)))
        pipe.flush()
        return
    rest = [memoryview(piece) for piece in (head, *pieces)]
    while rest:
        written = os.writev(pipe.fileno(), rest[:_PIECES])
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if written:
            rest[0] = rest[0][written:]


def receive(pipe: IO[bytes]) -> list[bytes]:
    """Read a message.

    Raises:
        EOFError: nobody writes any more.
    """
    (count,) = _COUNT.unpack(_read(pipe, _COUNT.size))
    lengths = struct.unpack(f"<{count}Q", _read(pipe, 8 * count))
    body = _read(pipe, sum(lengths))
    pieces = []
    begin = 0
    for length in lengths:
        pieces.append(body[begin : begin + length])
        begin += length
    return pieces


def _read(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data
