"""Files into records as they are (``--pass-through``): read, examined and framed by a few threads, in order.

There is no picture to compute, so there are no workers and no engine: what costs is moving bytes. One thread does
everything to a file while it lies in the processor's caches, and puts its record into a slab: a buffer that the
writer takes whole and that is used over and over, because fresh memory costs more than the copy.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from gpu_pack.errors import FormatError
from gpu_pack.headers import ImageError, examine
from gpu_pack.interface import Entry, Framed, Rejected, TransformSpec
from gpu_pack.io_threads import MOST_READERS, IoThreads, Task
from gpu_pack.reading import chunks, read_image
from gpu_pack.recordio.framing import frame_pieces

#: Bytes of records in a slab: with less the threads hand over too often, with more the caches do not hold them.
SLAB_BYTES = 4 << 20
#: Files in a slab, so that small ones show progress too.
_SLAB_FILES = 256
#: What a record has besides the file: head and padding, with room for some labels.
_HEAD_BYTES = 64


def frame_files(
    lists: Iterable[Iterable[Entry]],
    root: str,
    spec: TransformSpec,
    *,
    threads: int = 2,
    most_threads: int = MOST_READERS,
) -> Generator[Framed, None, None]:
    """The files of each list as records, in order; no `Framed` holds files of two lists.

    In memory are two slabs for each thread, at most 96 MiB of files or one file, and what nobody has released yet.

    Args:
        lists: what to read; the paths are relative to ``root`` unless absolute.
        spec: what is let pass: pictures of too many pixels are not, since somebody will decode them.
        threads, most_threads: how many files are being read at once, to begin with and at most: see `IoThreads`.

    Raises:
        SourceError: the storage does not answer.
    """
    slabs: list[memoryview] = []  # those that nobody uses; the last one is likeliest to be in the caches still

    def tasks() -> Iterator[Task[Framed]]:
        for each in lists:
            for chunk, size in chunks(each, _SLAB_FILES, SLAB_BYTES, _HEAD_BYTES):
                slab = slabs.pop() if slabs else np.empty(SLAB_BYTES, np.uint8).data
                yield Task(partial(_frame_chunk, chunk, root, spec, slab, slabs.append), chunk[0].path, size)

    return IoThreads[Framed](threads, most_threads).in_order(tasks())


# ---- in a thread of the pool


def _frame_chunk(
    chunk: list[Entry], root: str, spec: TransformSpec, room: memoryview, give_back: Callable[[memoryview], None]
) -> Framed:
    """Read, examine and frame some files: into the slab what fits there, the rest beside it."""
    pieces: list[bytes | memoryview] = []
    keys: list[int] = []
    lengths: list[int] = []
    rejected: list[Rejected] = []
    start = end = 0  # of the records in the slab that are in no piece yet
    for entry in chunk:
        record = _record(entry, root, spec)
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


def _record(entry: Entry, root: str, spec: TransformSpec) -> Sequence[bytes] | Rejected:
    """The pieces of a file's record, or why there is none."""
    image = read_image(entry, root)
    if isinstance(image, Rejected):
        return image
    try:
        examine(image.data, spec.max_pixels, spec.other_formats)
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
