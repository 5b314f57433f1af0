"""The staging folder: a run's files grow there until all of them are published at once.

Inside the output folder, `.gpu-pack/` holds a lock, ``run.json`` (which run this is) and each file under its final name
plus ``.partial``. Publishing writes ``publish.json`` first, the point of no return, and then renames; the next run that
finds this file finishes the renames. So a finished name appears only when its file is complete and synced, and a run
that was killed at any moment is resumed, or found finished.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from gpu_pack.errors import OutputError, OutputExistsError, OutputLockedError
from gpu_pack.formats.manifest import published_document
from gpu_pack.output.identity import Identity
from gpu_pack.output.joined_file import JoinedFile, LocalTarget
from gpu_pack.stores.atomic_file import hash_file, sync_folder, unwritable, write_atomically
from gpu_pack.stores.data_path import DataPath
from gpu_pack.stores.folder_lock import FolderLock

if TYPE_CHECKING:
    from filelock import FileLock

PARTIAL = ".partial"
_RUN = "run.json"
_PUBLISH = "publish.json"
_BEGIN = "begin"
_DONE = ".done"
#: Contents, whole or in pieces, by name.
RunFiles = Mapping[str, bytes | Iterable[bytes | memoryview]]


class Published(NamedTuple):
    """A publication that was decided before: by which run, and that run's report."""

    identity: Identity
    report: dict[str, Any]


class FinishedShard(NamedTuple):
    """A shard whose files lie complete and synced in the staging folder.

    Attributes:
        name: of its files, without suffix.
        files: the names they will be published under.
        sha256: of those files of which it is known.
        paths: all files of the shard in the staging folder.
        result: what packing it gave, as plain JSON values.
    """

    name: str
    files: Sequence[str]
    sha256: Mapping[str, str]
    paths: Sequence[Path]
    result: dict[str, Any]


class Staging:
    """The staging folder of an output folder.

    Args:
        out: the folder that receives the published files; made if need be.
        name: of the staging folder in it.
        locked: hold the folder's lock while this object is open, so that no other run uses it.
        place: the output, for messages; None for ``out``.

    Raises:
        OutputError: not writable.
        OutputLockedError: another run holds the lock.
    """

    _kept: tuple[str, ...] = ()  # files that `clear` leaves, besides the locks

    def __init__(self, out: Path, name: str = ".gpu-pack", *, locked: bool = True, place: str | None = None) -> None:
        self.out, self.place = out, place or str(out)
        self.folder = out / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        self._lock = FolderLock(self.folder, self.place) if locked else None

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.release()

    def path(self, name: str) -> Path:
        """Where the file that will be published as ``name`` grows."""
        return self.folder / (name + PARTIAL)

    def lock(self, name: str) -> FileLock:
        """A lock in the folder that ends with the process; `TimeoutError` if another one holds it."""
        from filelock import FileLock  # here: its import takes 30 ms

        return FileLock(self.folder / f"{name}.lock")

    # ---- begin or resume

    def identity(self) -> Identity | None:
        """The identity of the interrupted run in this folder; None where there is none."""
        found = _read_json(self.folder / _RUN)
        return found if isinstance(found, dict) else None

    def note(self, name: str) -> Any:
        """What the run noted under ``name``; None where it did not."""
        return _read_json(self.folder / f"{name}.note")

    def note_once(self, name: str, value: object) -> Any:
        """Note a value that a resumed run needs, unless another process has just done so; gives what is noted."""
        with self._starting():
            if self.note(name) is None:
                write_atomically(self.folder / f"{name}.note", json.dumps(value).encode())
            return self.note(name)

    def begin(self, identity: Identity, files: RunFiles, shards: Sequence[str]) -> None:
        """Empty the folder and begin a run in it.

        Args:
            identity: see `Identity`.
            files: what is known from the start, in pieces, by name; see `run_file`.
            shards: names of the files that will be published of the shards.
        """
        self.clear()
        self._write_run(identity, files)

    def begin_once(self, identity: Identity, files: RunFiles, shards: Sequence[str]) -> None:
        """`begin`, unless another process does so at the same time: then wait for it."""
        with self._starting():
            if self.identity() is None:
                self.begin(identity, files, shards)

    def run_file(self, name: str) -> Path:
        """A file that the run began with; it need not be there."""
        return self.folder / name

    def _write_run(self, identity: Identity, files: RunFiles) -> None:
        for name, data in files.items():
            write_atomically(self.folder / name, data)
        write_atomically(self.folder / _RUN, json.dumps(identity, indent=1).encode())

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        """While no other process starts a run there."""
        try:
            with self.lock(_BEGIN).acquire(timeout=60):
                yield
        except TimeoutError:
            raise OutputLockedError(
                f"{self.place}: another process has been starting a run there for a minute: end it"
            ) from None

    def reopen(self) -> None:
        """Lock the folder again after a publication removed it."""
        self._lock = FolderLock(self.folder, self.place)

    def discard(self) -> None:
        """Remove a staging folder in which no run began, and an output folder that was made for it."""
        if self._lock is not None:
            self._lock.remove()
        with contextlib.suppress(OSError):
            self.out.rmdir()

    def clear(self) -> None:
        """Remove everything but the lock."""
        try:
            # run.json first: without it, nobody takes the rest for a run.
            (self.folder / _RUN).unlink(missing_ok=True)
            self._remove_all_but(*FolderLock.names, f"{_BEGIN}.lock", *self._kept)
        except OSError as error:
            raise unwritable(self.folder, error) from error

    # ---- what is done

    def published(self) -> dict[str, Any] | None:
        """All values of the manifest in the output, unchecked; None where there is none."""
        return published_document(self.out)

    def replaced(self) -> Sequence[str]:
        """The files that an earlier run published, and that this one replaces."""
        found = self.published()
        return [] if found is None else [*found["files"]]

    def others(self) -> list[str]:
        """The names of what lies in the output besides this run's own files."""
        return sorted(item.name for item in self.out.iterdir() if item.name != self.folder.name)

    def refuse_existing(self, names: Iterable[str]) -> None:
        """Raise `OutputExistsError` if the output has a file of one of these names."""
        for name in names:
            if (self.out / name).exists():
                raise taken(str(self.out / name))

    def result(self, shard: str) -> dict[str, Any] | None:
        """What packing a shard gave that is finished and need not be packed again; None for any other."""
        done = _read_json(self.folder / (shard + _DONE))
        if done is None or any(_size(self.path(name)) != size for name, size in done["files"].items()):
            return None
        return dict(done["result"])

    def add_finished(self, shard: FinishedShard) -> None:
        """A shard is finished; here it waits until all are published."""
        files = {name: _size(self.path(name)) for name in shard.files}
        self.keep(shard.name + _DONE, json.dumps({"files": files, "result": shard.result}).encode())

    def refresh(self) -> None:
        """Learn which shards other processes finished since this object was made."""

    def keep(self, name: str, data: bytes) -> None:
        """Keep something of the run in the output until it is published, for every process that packs there."""
        write_atomically(self.folder / name, data)

    def keep_file(self, name: str, data: bytes | Iterable[bytes | memoryview]) -> None:
        """`keep`, for what is large, in pieces."""
        write_atomically(self.folder / name, data)

    def kept(self, suffix: str) -> list[bytes]:
        """What was kept under names that end so, in the order of these."""
        return [path.read_bytes() for path in sorted(self.folder.glob(f"*{suffix}"))]

    def send_finished(self) -> None:
        """The finished shards may go where they will be published; here nothing does before all are there."""

    def wait(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Wait until those that were sent are there; ``on_wait`` is called a few times a second meanwhile."""

    def check(self) -> None:
        """Raise what went wrong meanwhile in the background. Called a few times a second."""

    def take_in(self, name: str, path: Path) -> int:
        """Move a file into the output, until the run is published; gives its version, -1 for any.

        One of that name and size is there from before, and stays.
        """
        kept = self.folder / name
        try:
            if _size(kept) == path.stat().st_size:
                path.unlink()
            else:
                path.replace(kept)
        except OSError as error:
            raise unwritable(kept, error) from error
        return -1

    def open_joined(self, name: str, expected: int = 0, *, synced: bool = True) -> JoinedFile:
        """A file that will be published as ``name``, to be joined of others.

        Args:
            expected: its size in bytes, about.
            synced: `LocalTarget`'s.
        """
        return JoinedFile(LocalTarget(self.path(name), synced=synced))

    def finished(self, name: str) -> DataPath:
        """Where a file of a finished shard lies, that was to be published as ``name``."""
        return self.path(name)

    def describe(self, name: str, sha256: str | None = None) -> dict[str, Any]:
        """Size and sha256 of a file that will be published as ``name``, as they stand in the manifest."""
        path = self.path(name)
        return {"bytes": path.stat().st_size, "sha256": sha256 or hash_file(path)}

    # ---- publish

    def publish(self, names: Iterable[str], stale: Iterable[str], report: Mapping[str, Any]) -> None:
        """Give every file its final name, and remove the staging folder. Each file must be synced under `path`.

        Args:
            stale: published names of an earlier run that this one replaces; removed.
            report: of this run, for the case that it is killed meanwhile.
        """
        names = list(names)
        plan = {
            "publish": names,
            "remove": sorted(set(stale) - set(names)),
            "identity": self.identity(),
            "report": dict(report),
        }
        write_atomically(self.folder / _PUBLISH, json.dumps(plan).encode())
        self.finish_publishing()

    def finish_publishing(self) -> Published | None:
        """Carry out a publication that was decided, from wherever it stopped; None where there is none."""
        plan = _read_json(self.folder / _PUBLISH)
        if plan is None:
            return None
        try:
            for name in plan["remove"]:
                (self.out / name).unlink(missing_ok=True)
            for name in plan["publish"]:
                staged = self.path(name)
                if staged.exists():
                    staged.replace(self.out / name)
            sync_folder(self.out)
            self._remove_all_but(*FolderLock.names, _PUBLISH)
            (self.folder / _PUBLISH).unlink()  # last: it is needed as long as anything else is there
            if self._lock is not None:
                self._lock.remove()
        except OSError as error:
            raise OutputError(
                f"{self.out}: the finished files could not all be put in place: {error.strerror or error}; "
                "run the same command again to complete it"
            ) from error
        return Published(plan["identity"] or {}, plan["report"])

    def _remove_all_but(self, *names: str) -> None:
        for item in self.folder.iterdir():
            if item.name not in names:
                shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()


def taken(name: str) -> OutputExistsError:
    """The error for a file that is in the way."""
    return OutputExistsError(
        f"{name} is there already: choose another output, or replace it with overwrite=True (--overwrite)"
    )


def _size(path: Path) -> int:
    """Of a file, in bytes; -1 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
