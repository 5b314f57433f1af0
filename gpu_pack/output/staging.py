"""The folder in which a run's files grow until all of them are published at once.

Inside the output folder, `.gpu-pack/` holds a lock, ``run.json`` (what run this is), each file under its final name
plus ``.partial``, and a journal of checkpoints. Publishing writes ``publish.json`` first, the point of no return, and
then renames; whoever finds that file finishes the renames. So a finished name appears only when its file is complete
and synced, and a run that was killed at any moment either goes on, or is found done.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from gpu_pack.errors import OutputError, OutputExistsError
from gpu_pack.output.checkpoint import Checkpoint
from gpu_pack.stores.atomic_file import sync_folder, unwritable, write_durably
from gpu_pack.stores.folder_lock import FolderLock

PARTIAL = ".partial"
_RUN = "run.json"
_BOOT = "boot"
_JOURNAL = "journal.jsonl"
_PUBLISH = "publish.json"

Identity = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """One way in which an interrupted run is not the one that is asked for now."""

    what: str
    before: object
    now: object

    def __str__(self) -> str:
        return f"{self.what} was {self.before}, is {self.now}"


class Staging:
    """The staging folder of ``out``, locked while this object lives.

    Args:
        folder: where the published files go; made if need be.
        name: of the staging folder in it.

    Raises:
        OutputError: not writable.
        OutputLockedError: a living run holds it.
    """

    def __init__(self, folder: Path, name: str = ".gpu-pack") -> None:
        self.out = folder
        self.folder = folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        self._lock = FolderLock(self.folder)
        self._journal: dict[str, list[Checkpoint]] = {}
        self.same_boot = False

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def path(self, name: str) -> Path:
        """Where the file that will be published as ``name`` grows."""
        return self.folder / (name + PARTIAL)

    # ---- beginning, or going on

    def identity(self) -> Identity | None:
        """What an interrupted run said of itself; None where there is none, or it had not got as far as that."""
        try:
            found = json.loads((self.folder / _RUN).read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict):
            return None
        return {name: value for name, value in found.items() if name != _BOOT}

    def note(self, name: str) -> Any:
        """What this run noted of itself under ``name``; None where it did not."""
        try:
            return json.loads((self.folder / f"{name}.note").read_bytes())
        except (OSError, ValueError):
            return None

    def set_note(self, name: str, value: object) -> None:
        """Note something for the case that the run must be gone on with."""
        write_durably(self.folder / f"{name}.note", json.dumps(value).encode())

    def differences(self, identity: Identity) -> list[Difference]:
        """How the interrupted run that lies here differs from ``identity``."""
        return differences(self.identity() or {}, identity)

    def begin(self, identity: Identity, files: Mapping[str, bytes]) -> None:
        """Lay the ground for a new run in the cleared folder.

        Args:
            identity: what must be the same for the run to be gone on with.
            files: what is known from the start, by the name in the staging folder.
        """
        for name, data in files.items():
            write_durably(self.folder / name, data)
        write_durably(self.folder / _RUN, json.dumps(identity | {_BOOT: _boot()}, indent=1).encode())
        sync_folder(self.folder)
        self._journal = {}
        self.same_boot = True

    def resume(self) -> None:
        """Read what the interrupted run left."""
        boot = json.loads((self.folder / _RUN).read_bytes())[_BOOT]
        self.same_boot = boot is not None and boot == _boot()
        self._journal = {}
        for line in _whole_lines(self.folder / _JOURNAL):
            try:
                name, size, digest = json.loads(line)
                self._journal.setdefault(str(name), []).append(Checkpoint(int(size), str(digest)))
            except (ValueError, TypeError):
                break

    def renew(self, kept: Mapping[str, int]) -> None:
        """Note that from here on this start of the system writes, after the ``kept`` bytes that each file is cut to."""
        points = [
            [name, point.size, point.digest]
            for name, size in kept.items()
            for point in self.checkpoints(name)
            if point.size <= size
        ]
        self._replace(_JOURNAL, b"".join(json.dumps(point).encode() + b"\n" for point in points))
        self._replace(_RUN, json.dumps((self.identity() or {}) | {_BOOT: _boot()}, indent=1).encode())

    def checkpoints(self, name: str) -> list[Checkpoint]:
        """Those of one file, in the order they were made."""
        return self._journal.get(name, [])

    def add_checkpoint(self, name: str, point: Checkpoint) -> None:
        """Note that ``name`` is durable so far. Called from the syncing thread."""
        try:
            with (self.folder / _JOURNAL).open("ab") as file:
                file.write(json.dumps([name, point.size, point.digest]).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self.folder / _JOURNAL, error) from error

    def reopen(self) -> None:
        """Take the folder again after a publication removed it."""
        self._lock = FolderLock(self.folder)

    def discard(self) -> None:
        """Leave nothing behind of a folder in which no run began, nor of an output folder made for it."""
        self._lock.remove()
        with contextlib.suppress(OSError):
            self.out.rmdir()

    def clear(self) -> None:
        """Remove everything but the lock."""
        try:
            # run.json first: without it, nobody takes the rest for a run.
            (self.folder / _RUN).unlink(missing_ok=True)
            for item in self.folder.iterdir():
                if item.name != self._lock.name:
                    shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()
        except OSError as error:
            raise unwritable(self.folder, error) from error

    # ---- publishing

    def publish(self, names: Iterable[str], stale: Iterable[str] = ()) -> None:
        """Give every file its final name; each must be synced under `path`.

        Args:
            stale: published names of an earlier run that this one replaces, removed in the same breath.
        """
        names = list(names)
        plan = {"publish": names, "remove": sorted(set(stale) - set(names))}
        self._replace(_PUBLISH, json.dumps(plan).encode())
        self.finish_publishing()

    def _replace(self, name: str, data: bytes) -> None:
        """Write a file of the folder in one step: it is there as before, or as now, and synced."""
        write_durably(self.folder / (name + PARTIAL), data)
        try:
            (self.folder / (name + PARTIAL)).replace(self.folder / name)
            sync_folder(self.folder)
        except OSError as error:
            raise unwritable(self.folder / name, error) from error

    def finish_publishing(self) -> bool:
        """Carry out, or go on with, a decided publication, and remove the staging folder. False: none was decided."""
        plan_path = self.folder / _PUBLISH
        if not plan_path.exists():
            return False
        plan = json.loads(plan_path.read_bytes())
        try:
            for name in plan["remove"]:
                (self.out / name).unlink(missing_ok=True)
            for name in plan["publish"]:
                staged = self.path(name)
                if staged.exists():
                    staged.replace(self.out / name)
            sync_folder(self.out)
            self.clear_published()
        except OSError as error:
            raise OutputError(
                f"{self.out}: the finished files could not all be put in place: {error.strerror or error}; "
                "run the same command again to complete it"
            ) from error
        return True

    def clear_published(self) -> None:
        """The plan goes last, after everything that it could be needed for."""
        for item in self.folder.iterdir():
            if item.name not in (self._lock.name, _PUBLISH):
                shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()
        (self.folder / _PUBLISH).unlink()
        self._lock.remove()


def differences(before: Identity, now: Identity) -> list[Difference]:
    """How what a run said of itself, and was read from JSON, differs from what another one says."""
    found, asked = _flatten(before), _flatten(json.loads(json.dumps(now)))
    names = sorted(found.keys() | asked.keys())
    return [Difference(name, found.get(name), asked.get(name)) for name in names if found.get(name) != asked.get(name)]


def refuse_existing(out: Path, names: Iterable[str]) -> None:
    """Raise `OutputExistsError` if one of the names is taken."""
    for name in names:
        if (out / name).exists():
            raise OutputExistsError(
                f"{out / name} is there already: choose another output, or replace it with --overwrite"
            )


def _whole_lines(path: Path) -> list[bytes]:
    """Lines that end; a last one without its end was cut off when the run died."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, dict):
            flat |= _flatten(item, f"{prefix}{name}.")
        else:
            flat[prefix + name] = item
    return flat


def _boot() -> str | None:
    """What tells this start of the system from the next; None where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
