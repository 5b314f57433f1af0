"""Entries into images with their bytes, in order: read where they are wanted, or ahead of it by a few threads.

Reading ahead is bounded in bytes by the sizes that the listing saw, and no file is read beyond the size that it had
then, so the bound holds whatever happens to the files meanwhile.

What the system does not have in its cache takes a moment to come. So each thread opens some files before it needs them
and says that it will: the storage fetches them together. From a cold disk, `--pass-through` and reading for a GPU took
two thirds of the time so, or less.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from functools import partial

from gpu_pack.errors import SourceError
from gpu_pack.stores.io_threads import DEFAULT_BYTES_AHEAD, MOST_READERS, IoThreads, Task, as_read
from gpu_pack.types import Entry, Image, Rejected, file_bytes

#: The largest file that is read at all: a RecordIO record ends below 2**29 bytes, and the header needs a few.
MAX_FILE_BYTES = (1 << 29) - (1 << 16)
_CHUNK_FILES = 32
_CHUNK_BYTES = 8 << 20
# Opening a FIFO must not wait for its writer, and Windows must not translate line ends.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
#: Advice that a file will be read soon, where the system takes such.
_WILL_NEED = getattr(os, "POSIX_FADV_WILLNEED", None)
#: Files that a thread has opened and not yet read. All threads together leave half of what a process may open.
_OPEN_AHEAD = 1 if _WILL_NEED is None else max(1, min(32, os.sysconf("SC_OPEN_MAX") // (2 * MOST_READERS)))
#: A file made its reader wait: so many seconds, and as much again as half of what the reader computed for it. Measured
#: on two busy cores: of files in the cache of the system one in fifty does so, of files on a cold disk nearly all.
_WAIT_SECONDS, _WAIT_SHARE = 50e-6, 0.5
#: So many more files that made it wait than others, and a caller reads no more itself.
_TOO_MANY_WAITS = 8
#: Errors that are the machine's, at this moment, and not the file's.
_SHORT = {errno.EMFILE: "this process has too many files open", errno.ENFILE: "the system has too many files open"}


def read_images(
    entries: Iterable[Entry],
    root: str,
    *,
    threads: int = 2,
    bytes_ahead: int = DEFAULT_BYTES_AHEAD,
    by_caller: bool = False,
) -> Iterator[Image | Rejected]:
    """Images in the order of the entries; a file that cannot be read is a `Rejected` in its place.

    Args:
        entries: what to read; ``path`` is relative to ``root`` unless absolute.
        threads: how many files are being read at once, to begin with: see `IoThreads`.
        bytes_ahead: bound on what is read and not yet taken.
        by_caller: the thread that asks for an image reads it, as long as files mostly come at once: it then lies in
            the caches of the core that decodes it, and nobody has to be woken. 1.5 % of a whole run on two cores.

    Raises:
        SourceError: the storage does not answer.
    """
    entries = iter(entries)
    if by_caller:
        yield from _read_while_fast(entries, root)
    tasks = (
        Task(partial(_read_chunk, chunk, root), chunk[0].path, size, as_read)
        for chunk, size in chunks(entries, _CHUNK_FILES, _CHUNK_BYTES)
    )
    with closing(IoThreads[list[Image | Rejected]](threads)) as crew:
        for images in crew.in_order(tasks, bytes_ahead):
            yield from images


def _read_while_fast(entries: Iterator[Entry], root: str) -> Iterator[Image | Rejected]:
    """The files of the first entries; it ends when too many of them made it wait."""
    waits = 0
    for entry in entries:
        begun, computed = time.perf_counter(), time.thread_time()
        image = read_image(entry, root)
        computing = time.thread_time() - computed
        waiting = time.perf_counter() - begun - computing
        waits = waits + 1 if waiting > _WAIT_SECONDS + _WAIT_SHARE * computing else max(0, waits - 1)
        yield image
        if waits == _TOO_MANY_WAITS:
            return


def chunks(entries: Iterable[Entry], files: int, size: int, head: int = 0) -> Iterator[tuple[list[Entry], int]]:
    """Runs of entries with the bytes they stand for: enough in each that handing them over costs nothing.

    Args:
        files: at most so many in a chunk.
        size: at most so many bytes in a chunk, unless one file alone has more.
        head: bytes that each file counts for besides its own.
    """
    chunk: list[Entry] = []
    total = 0
    for entry in entries:
        own = head + file_bytes(entry)
        if chunk and (len(chunk) == files or total + own > size):
            yield chunk, total
            chunk, total = [], 0
        chunk.append(entry)
        total += own
    if chunk:
        yield chunk, total


def _read_chunk(chunk: list[Entry], root: str) -> list[Image | Rejected]:
    return list(read_files(chunk, root))


def read_files(entries: Iterable[Entry], root: str) -> Iterator[Image | Rejected]:
    """The files of some entries, in order; the storage fetches those that follow meanwhile."""
    with closing(opened(entries, root)) as files:
        for entry, descriptor in files:
            yield read_image(entry, root, descriptor)


def opened(entries: Iterable[Entry], root: str) -> Generator[tuple[Entry, int | None], None, None]:
    """Entries in order, each with its file, open at the beginning, for the caller to close; None if that fails.

    Some more are open then, and the storage fetches them. A file of the size that it was listed with takes four calls
    of the system: open, the advice, read, close.
    """
    ahead: deque[tuple[Entry, int | None]] = deque()
    try:
        for entry in entries:
            if len(ahead) == _OPEN_AHEAD:
                yield ahead.popleft()
            ahead.append((entry, _open_early(entry, root)))
        while ahead:
            yield ahead.popleft()
    finally:
        for _, descriptor in ahead:
            if descriptor is not None:
                os.close(descriptor)


def read_into(descriptor: int, size: int, room: memoryview) -> bool:
    """Read a file of ``size`` bytes to the beginning of ``room``, which is longer, and close it.

    Gives False if it has another size now, or cannot be read: `read_image` tells what it is then.
    """
    try:
        return _read_into(descriptor, room[: size + 1]) == size
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _read_and_copy(descriptor: int, room: memoryview) -> int:
    data = os.read(descriptor, len(room))
    room[: len(data)] = data
    return len(data)


def _read_in_place(descriptor: int, room: memoryview) -> int:
    return os.readv(descriptor, (room,))


_read_into = _read_in_place if hasattr(os, "readv") else _read_and_copy  # Windows has none


def read_image(entry: Entry, root: str, descriptor: int | None = None) -> Image | Rejected:
    """The file of one entry, whole, or the reason why not.

    Args:
        descriptor: the file, open at its beginning, which is closed then; without one it is opened.

    Raises:
        SourceError: no more files can be opened.
    """
    try:
        if descriptor is None:
            descriptor = os.open(os.path.join(root, entry.path), _FLAGS)
        try:
            size = entry.size
            if size is not None and size <= MAX_FILE_BYTES:
                data = os.read(descriptor, size + 1)
                if len(data) == size:
                    return Image(entry, data)
            return _read_carefully(entry, descriptor)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _SHORT:
            raise SourceError(
                f"{entry.path}: {_SHORT[error.errno]}: raise the limit (ulimit -n), or use fewer --workers, then run "
                "the same command again to go on"
            ) from error
        return Rejected(entry, "read", _explain(error))


def _open_early(entry: Entry, root: str) -> int | None:
    """Open a file and have its contents fetched. None if that fails: when its turn comes, it is opened once more."""
    try:
        descriptor = os.open(os.path.join(root, entry.path), _FLAGS)
    except (OSError, ValueError):
        return None
    if _WILL_NEED is not None:
        with suppress(OSError):  # not every file takes advice
            os.posix_fadvise(descriptor, 0, 0, _WILL_NEED)
    return descriptor


def _read_carefully(entry: Entry, descriptor: int) -> Image | Rejected:
    """What to do about a file of unknown, other or enormous size, or that the system gives piece by piece."""
    status = os.fstat(descriptor)
    size = status.st_size
    if not stat.S_ISREG(status.st_mode):
        return Rejected(entry, "read", f"not a regular file but a {_kind(status.st_mode)}")
    if entry.size is not None and size != entry.size:
        return Rejected(entry, "read", f"the file changed while packing: {entry.size} bytes when listed, {size} now")
    if size > MAX_FILE_BYTES:
        return Rejected(entry, "read", f"{size} bytes; a RecordIO record ends below {1 << 29}")
    os.lseek(descriptor, 0, os.SEEK_SET)
    pieces = []
    missing = size
    while missing and (piece := os.read(descriptor, missing)):
        pieces.append(piece)
        missing -= len(piece)
    if missing:
        return Rejected(entry, "read", f"the file ended {missing} bytes before its size of {size}")
    return Image(entry, b"".join(pieces))


def _explain(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, OSError):
        if error.errno == errno.EISDIR:
            return "not a regular file but a folder"
        return f"the system could not read it: {error.strerror or error}"
    return f"not a usable file name: {error}"


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "named pipe"), (stat.S_ISSOCK, "socket"))
    return next((name for test, name in kinds if test(mode)), "device")
