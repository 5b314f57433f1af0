"""What native code writes to standard error: kept off the terminal, and listened to.

libjpeg, libpng and libtiff write there, past Python and OpenCV, of oddities in files that they read all the same:
without saying which file, thousands of lines for pictures from the web, in the midst of the progress bar. That is
noise to people. But it is also the only way in which libjpeg tells that the data of a picture were damaged, and
OpenCV hands on no other. So while a run lasts, file descriptor 2 leads into a file without a name: whoever decodes
looks whether it grew, and what is no noise is copied to where descriptor 2 led before.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from typing import TextIO, TypeVar

T = TypeVar("T")

#: How the lines begin that no person needs to see.
_NOISE = (
    b"Corrupt JPEG data",
    b"Premature end of JPEG",
    b"Invalid SOS parameters",
    b"Inconsistent progression sequence",
    b"Unknown Adobe color transform",
    b"Warning: unknown JFIF",
    b"libpng warning",
    b"libpng error",
    b"TIFF",
    b"JPEGLib",
    b"LZWDecode",
    b"PixarLog",
    b"ZIPDecode",
    b"Fax3Decode",
    b"Fax4Decode",
    b"OJPEG",
)
#: Seconds between two looks at what is to be copied.
_EVERY = 0.2
#: The file is emptied when it is larger.
_MOST_BYTES = 16 << 20
_BLOCK = 1 << 20
#: Seconds between two looks whether the others have finished, each an image.
_MOMENT = 0.0002
#: Seconds after which they are taken to hang. The largest picture takes a tenth of it.
_PATIENCE = 60.0


class _Mine(threading.local):
    """A thread's own part: whether it is decoding, and how far it has listened.

    Attributes:
        busy: one flag. Others read it; it takes no lock, since every image would pay for that.
        heard: bytes of the file, in its ``age``.
    """

    def __init__(self) -> None:
        self.busy = [False]
        self.heard, self.age = 0, -1
        _threads.append(self.busy)


class _Capture:
    """One time that descriptor 2 leads into the file."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._terminal = os.dup(2)
        self._copied = 0
        self._rest = b""
        self._over = threading.Event()
        self._copier = threading.Thread(target=self._copy, name="stderr", daemon=True)
        self._copier.start()
        self._stderr: TextIO | None = None
        if _leads_to_2(sys.stderr):  # Python's own goes on to write where it did
            self._stderr = sys.stderr
            sys.stderr.flush()
            sys.stderr = _writer(os.dup(self._terminal), sys.stderr.encoding)
        os.dup2(file, 2)

    def end(self) -> None:
        os.dup2(self._terminal, 2)
        if self._stderr is not None:
            direct, sys.stderr = sys.stderr, self._stderr
            direct.close()
        self._over.set()
        self._copier.join(1)
        os.close(self._terminal)

    def _copy(self) -> None:
        while not self._over.wait(_EVERY):
            if self._copy_new() > _MOST_BYTES:
                with _alone():  # nobody counts on places in it now
                    self._copy_new()
                    _empty(self._file)
                    self._copied = 0
        self._copy_new()
        self._hand_on(self._rest)

    def _copy_new(self) -> int:
        """Copy what came since the last time; how much there is in all."""
        while block := _read(self._file, self._copied, _BLOCK):
            self._copied += len(block)
            *lines, self._rest = (self._rest + block).split(b"\n")
            for line in lines:
                self._hand_on(line + b"\n")
        return self._copied

    def _hand_on(self, line: bytes) -> None:
        if line and not line.startswith(_NOISE):
            with contextlib.suppress(OSError):
                os.write(self._terminal, line)


_lock = threading.Lock()
#: Made once and never closed: whoever looks into it late must not find another file under its number.
_file: int | None = None
#: How often it has been emptied.
_age = 0
_capture: _Capture | None = None
_depth = 0

_threads: list[list[bool]] = []
_mine = _Mine()
_one_alone = threading.Lock()
_closed = False


@contextlib.contextmanager
def captured() -> Iterator[None]:
    """While it lasts, native code's lines can be listened to, and its noise stays off the terminal. May be nested."""
    global _capture, _depth, _file
    with _lock:
        if not _depth:
            with contextlib.suppress(OSError):  # no standard error at all, or no descriptors left
                _file = _nameless_file() if _file is None else _file
                _empty(_file)
                _capture = _Capture(_file)
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if not _depth and _capture is not None:
                ended, _capture = _capture, None
                ended.end()


def overhear(decode: Callable[[], T], sense: Callable[[bytes], str | None]) -> tuple[T, str | None]:
    """What ``decode`` gives, and what native code had to say of it, as far as it makes ``sense``; outside `captured`
    that is nothing.

    Other threads decode meanwhile. So where somebody has said something of sense, it is done once more with nobody else
    at it. What comes right after a decoder finds the processor's caches empty, and is as little as can be.
    """
    mine = _mine
    mine.busy[0] = True
    try:
        if _closed:
            _wait(mine.busy)
        if mine.age != _age:
            mine.heard, mine.age = 0, _age
        result = decode()
        size = _size()
        if size == mine.heard or _file is None:
            return result, None
        said, mine.heard = _read(_file, mine.heard, size - mine.heard), size
    finally:
        mine.busy[0] = False
    if sense(said) is None:
        return result, None
    with _alone():
        start = _size()
        result = decode()
        return result, sense(_read(_file, start, _size() - start))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Nobody else decodes. A thread says that it is busy before it looks whether it may be: none slips through.

    One that hangs in its decoder is not waited for for ever: others must go on.
    """
    global _closed
    with _one_alone:
        _closed, patience = True, time.monotonic() + _PATIENCE
        try:
            while any(busy[0] for busy in _threads) and time.monotonic() < patience:
                time.sleep(_MOMENT)
            yield
        finally:
            _closed = False


def _wait(busy: list[bool]) -> None:
    while _closed:
        busy[0] = False
        with _one_alone:
            pass
        busy[0] = True


def _size() -> int:
    # Everybody appends, and reads at places: the file's position is nobody's.
    return os.lseek(_file, 0, os.SEEK_END) if _capture is not None and _file is not None else _mine.heard


def _empty(file: int) -> None:
    global _age
    os.ftruncate(file, 0)
    _age += 1


def _read(file: int, start: int, count: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file, max(count, 0), start)
    with _lock_for_windows:
        os.lseek(file, start, os.SEEK_SET)
        return os.read(file, max(count, 0))


_lock_for_windows = threading.Lock()


def _nameless_file() -> int:
    """Opened to append, so that lines of several processes stay whole; in memory where the system has such files."""
    if sys.platform == "linux":
        import fcntl

        descriptor = os.memfd_create("stderr")
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
        return descriptor
    with tempfile.TemporaryFile("a+b", buffering=0) as file:
        return os.dup(file.fileno())


def _leads_to_2(stream: TextIO | None) -> bool:
    try:
        return isinstance(stream, TextIOWrapper) and stream.fileno() == 2
    except (OSError, ValueError):
        return False


def _writer(descriptor: int, encoding: str) -> TextIO:
    return open(descriptor, "w", encoding=encoding, errors="backslashreplace", buffering=1)
