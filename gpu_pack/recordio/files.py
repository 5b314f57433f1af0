"""Reads and writes .rec and .idx files, with the names and behaviour of ``mx.recordio``'s classes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO, TypeVar

from gpu_pack.errors import FormatError
from gpu_pack.recordio.framing import frame
from gpu_pack.recordio.index import index_line, read_index
from gpu_pack.recordio.scanning import read_record, reader

_Self = TypeVar("_Self", bound="MXRecordIO")


class MXRecordIO:
    """Reads or writes a .rec from its beginning to its end.

    Args:
        uri: the file's path.
        flag: ``r`` to read, ``w`` to write; ``w`` empties the file, also in `reset` and when unpickled.

    Raises:
        ValueError: another flag.
        OSError: the file cannot be opened.
    """

    is_open = False

    def __init__(self, uri: str | os.PathLike[str], flag: str) -> None:
        self.uri = os.fspath(uri)
        self.flag = flag
        self.pid: int | None = None
        self.handle: BinaryIO | None = None
        self.open()

    def open(self) -> None:
        """Open the file at its beginning."""
        if self.flag not in ("r", "w"):
            raise ValueError(f"Invalid flag {self.flag}")
        self.writable = self.flag == "w"
        if self.writable:
            # Unbuffered: a record in one call, and nothing that a forked child could write a second time.
            self.handle = Path(self.uri).open("wb", buffering=0)  # noqa: SIM115
        else:
            self.handle = Path(self.uri).open("rb", buffering=8192)  # noqa: SIM115
            self._read_at = reader(self.handle)
        self._position = 0
        self.pid = os.getpid()
        self.is_open = True

    def close(self) -> None:
        """Close the file; may be called again."""
        if not self.is_open:
            return
        self.is_open = False
        self.pid = None
        self._file.close()

    def __del__(self) -> None:
        self.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """As in MXNet, pickling closes this file, and unpickling opens it again."""
        was_open = self.is_open
        self.close()
        state = {name: value for name, value in self.__dict__.items() if name not in ("handle", "_read_at")}
        return {**state, "is_open": was_open}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, is_open=False, handle=None)
        if state["is_open"]:
            self.open()

    def _check_pid(self, allow_reset: bool = False) -> None:
        """Forked processes share the file's position: `seek` opens the file again, other calls raise."""
        if self.pid == os.getpid():
            return
        if not allow_reset:
            why = "it is closed" if self.pid is None else "another process opened it"
            raise RuntimeError(f"Forbidden operation in multiple processes, or on a closed file: {self.uri}: {why}")
        self.reset()

    @property
    def _file(self) -> BinaryIO:
        assert self.handle is not None
        return self.handle

    def reset(self) -> None:
        """Return to the first record; a file opened for writing is emptied."""
        self.close()
        self.open()

    def write(self, buf: bytes) -> None:
        """Append ``buf`` as one record.

        Raises:
            FormatError: 2^29 bytes or more.
            RuntimeError: closed, or opened by another process.
            OSError: the file cannot be written.
        """
        assert self.writable, "opened for reading"
        self._check_pid()
        if not isinstance(buf, bytes):
            buf = memoryview(buf).tobytes()
        framed = memoryview(frame(buf))
        while framed:
            written = self._file.write(framed)
            self._position += written
            framed = framed[written:]

    def read(self) -> bytes | None:
        """The next record, or None at the end of the file.

        Raises:
            FormatError: there is no whole record, with path and offset.
            RuntimeError: closed, or opened by another process.
        """
        assert not self.writable, "opened for writing"
        self._check_pid()
        size = os.fstat(self._file.fileno()).st_size
        if self._position >= size:
            return None
        record = read_record(self._read_at, self._position, size, self.uri)
        self._position = record.end
        return record.payload


class MXIndexedRecordIO(MXRecordIO):
    """Reads or writes a .rec with its .idx; reads in any order.

    Args:
        idx_path: the index's path; its lines are ``key<TAB>offset``.
        uri, flag: as in `MXRecordIO`.
        key_type: turns a key's text into the key.

    Attributes:
        idx: offset of each key's record, in bytes.
        keys: in the order of the index.

    Raises:
        FormatError: a malformed index, with path and the line's offset.
        ValueError, OSError: as in `MXRecordIO`.
    """

    fidx: TextIO | None = None

    def __init__(
        self,
        idx_path: str | os.PathLike[str],
        uri: str | os.PathLike[str],
        flag: str,
        key_type: Callable[[Any], Any] = int,
    ) -> None:
        self.idx_path = os.fspath(idx_path)
        self.idx: dict[Any, int] = {}
        self.keys: list[Any] = []
        self.key_type = key_type
        super().__init__(uri, flag)

    def open(self) -> None:
        """Open both files, and read the index."""
        super().open()
        try:
            self._open_index()
        except BaseException:
            self.close()
            raise

    def _open_index(self) -> None:
        self.idx, self.keys = {}, []
        if self.writable:
            # Buffered by lines, because of forks as above; \n on every system.
            self.fidx = Path(self.idx_path).open("w", buffering=1, encoding="utf-8", newline="\n")  # noqa: SIM115
            return
        for key, offset in read_index(self.idx_path, self.key_type):
            self.idx[key] = offset
            self.keys.append(key)

    def close(self) -> None:
        """Close both files; may be called again."""
        super().close()
        if self.fidx is not None:
            self.fidx.close()
            self.fidx = None

    def seek(self, idx: Any) -> None:
        """Go to the record with key ``idx``, which `read` then gives. A forked process opens the file again.

        Raises:
            KeyError: the index has no such key.
        """
        assert not self.writable, "opened for writing"
        self._check_pid(allow_reset=True)
        self._position = self.idx[idx]

    def tell(self) -> int:
        """The offset of the next record, in bytes."""
        assert self.writable, "opened for reading"
        return self._position

    def read_idx(self, idx: Any) -> bytes:
        """The record with key ``idx``.

        Raises:
            KeyError: the index has no such key.
            FormatError: there is no whole record where the index says.
        """
        self.seek(idx)
        position = self._position
        record = self.read()
        if record is None:
            raise FormatError(f"the index places key {idx} beyond the end of the file", self.uri, position)
        return record

    def write_idx(self, idx: Any, buf: bytes) -> None:
        """Append ``buf`` as the record with key ``idx``.

        Raises:
            FormatError: 2^29 bytes or more, or a key that the index cannot hold.
        """
        key = self.key_type(idx)
        position = self.tell()
        line = index_line(key, position)
        self.write(buf)
        assert self.fidx is not None
        self.fidx.write(line)
        self.idx[key] = position
        self.keys.append(key)
