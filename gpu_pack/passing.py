"""Files into records as they are (``--pass-through``): read, examined and framed by a few threads, in order.

There is no picture to compute, so there are no workers and no engine: what costs is moving bytes. One thread does
everything to a file while it lies in the processor's caches, and puts its record into a slab: a buffer that the
writer takes whole and that is used over and over, because fresh memory costs more than the copy.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import chain
from queue import Empty, LifoQueue
from typing import NamedTuple

import numpy as np

from gpu_pack.errors import FormatError, SourceError
from gpu_pack.headers import ImageError, examine
from gpu_pack.interface import Entry, Framed, Rejected
from gpu_pack.reading import DEFAULT_BYTES_AHEAD, chunks, read_image
from gpu_pack.recordio.framing import frame_pieces

#: Bytes of records in a slab: with less the threads hand over too often, with more the caches do not hold them.
SLAB_BYTES = 4 << 20
#: Files in a slab, so that small ones show progress too.
_SLAB_FILES = 256
#: What a record has besides the file: head and padding, with room for some labels.
_HEAD_BYTES = 64
#: Storage that says nothing for so long is taken for lost.
DEFAULT_STALL_SECONDS = 600.0


#: Buffers that nobody uses; None stands for one that has not been needed yet.
Slabs = LifoQueue[memoryview | None]


class _Task(NamedTuple):
    """A chunk of files that a thread has been given.

    Attributes:
        first: its first file, for a message.
        size: what it counts for in bytes.
    """

    future: Future[Framed]
    first: Entry
    size: int


def frame_files(
    lists: Iterable[Iterable[Entry]],
    root: str,
    max_pixels: int,
    *,
    threads: int = 2,
    stall_seconds: float = DEFAULT_STALL_SECONDS,
) -> Generator[Framed, None, None]:
    """The files of each list as records, in order; no `Framed` holds files of two lists.

    A few slabs are under way, and 96 MiB or one file where files are larger than slabs. Whoever takes a `Framed` must
    release it for that to go on.

    Args:
        lists: what to read; the paths are relative to ``root`` unless absolute.
        max_pixels: pictures that would decode to more are rejected: somebody will decode them.
        threads: how many files are being read at once.

    Raises:
        SourceError: the storage has not answered for ``stall_seconds``.
    """
    slabs: Slabs = LifoQueue()  # the one used last is likeliest to be in the caches still
    for _ in range(2 * threads + 3):
        slabs.put(None)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="pass")
    ahead: deque[_Task] = deque()
    waiting = 0
    try:
        for chunk, size in chain.from_iterable(chunks(each, _SLAB_FILES, SLAB_BYTES, _HEAD_BYTES) for each in lists):
            while ahead and (slabs.empty() or waiting + size > DEFAULT_BYTES_AHEAD):
                waiting -= ahead[0].size
                yield _result(ahead.popleft(), stall_seconds)
            future = pool.submit(_frame_chunk, chunk, root, max_pixels, _take(slabs), slabs.put)
            ahead.append(_Task(future, chunk[0], size))
            waiting += size
        while ahead:
            yield _result(ahead.popleft(), stall_seconds)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _take(slabs: Slabs) -> memoryview:
    """A slab, when the writer has released one. Not in one long wait: on Windows that does not notice Ctrl-C."""
    while True:
        with contextlib.suppress(Empty):
            return slabs.get(timeout=0.5) or np.empty(SLAB_BYTES, np.uint8).data


def _result(task: _Task, stall_seconds: float) -> Framed:
    deadline = time.monotonic() + stall_seconds
    while not task.future.done():
        if time.monotonic() > deadline:
            raise SourceError(
                f"nothing could be read for {stall_seconds:.0f} s, and {task.first.path} is the first file waited for: "
                "see whether its storage answers, then run the same command again to go on"
            )
        wait([task.future], timeout=0.5)
    return task.future.result()


# ---- in a thread of the pool


def _frame_chunk(
    chunk: list[Entry], root: str, max_pixels: int, room: memoryview, give_back: Callable[[memoryview], None]
) -> Framed:
    """Read, examine and frame some files: into the slab what fits there, the rest beside it."""
    pieces: list[bytes | memoryview] = []
    keys: list[int] = []
    lengths: list[int] = []
    rejected: list[Rejected] = []
    start = end = 0  # of the records in the slab that are in no piece yet
    for entry in chunk:
        record = _record(entry, root, max_pixels)
        if isinstance(record, Rejected):
            rejected.append(record)
            continue
        length = sum(map(len, record))
        if end + length > len(room):
            pieces += (room[start:end], *record)
            start = end
        else:
            end = _put(room, end, record)
        keys.append(entry.key)
        lengths.append(length)
    pieces.append(room[start:end])
    return Framed(pieces, keys, lengths, rejected, partial(give_back, room))


def _record(entry: Entry, root: str, max_pixels: int) -> Sequence[bytes] | Rejected:
    """The pieces of a file's record, or why there is none."""
    image = read_image(entry, root)
    if isinstance(image, Rejected):
        return image
    try:
        examine(image.data, max_pixels)
        return frame_pieces(entry.key, entry.labels, image.data)
    except ImageError as error:
        return Rejected(entry, error.stage, error.reason)
    except FormatError as error:  # larger than a record can be
        return Rejected(entry, "encode", str(error))


def _put(room: memoryview, at: int, record: Sequence[bytes]) -> int:
    for piece in record:
        end = at + len(piece)
        room[at:end] = piece
        at = end
    return at
