"""The staging of a run whose output lies in an object store: files grow on this machine, and go up shard by shard.

The folder on this machine is only ever the noted run's: what it holds of another one is thrown away, and what it lacks
of this one is taken from the store.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from gpu_pack.errors import OutputError
from gpu_pack.formats.published_file import PublishedFile
from gpu_pack.output.background import Background
from gpu_pack.output.identity import Identity
from gpu_pack.output.joined_file import JoinedFile
from gpu_pack.output.staging import FinishedShard, Published, RunFiles, Staging, taken
from gpu_pack.output.store_output import NotedRun, StoreOutput, to_json
from gpu_pack.stores.atomic_file import unwritable, write_atomically
from gpu_pack.stores.data_path import DataPath
from gpu_pack.stores.folder_lock import FolderLock
from gpu_pack.stores.lease import Lease, LeaseSettings
from gpu_pack.stores.object_store import ObjectStore


class StoreStaging(Staging):
    """A `Staging` whose files go to an object store.

    Args:
        folder: on this machine.
        name: of the staging folder in it, and of the folder of notes in the output.
        store: the output.
        settings: of the lock.
        locked: hold the output's lock while this object is open.
        only: the shards that this process deals with; None for all.

    Raises:
        OutputError: this machine's folder or the store cannot be written.
        OutputLockedError: another run holds the lock.
    """

    _kept = ("origin.note",)

    def __init__(
        self,
        folder: Path,
        name: str,
        store: ObjectStore,
        settings: LeaseSettings,
        *,
        locked: bool = True,
        only: Collection[str] | None = None,
    ) -> None:
        super().__init__(folder, name, locked=locked, place=store.root)
        self._uploads = Background(self._send, "upload")
        self._only = only
        self._held: list[FinishedShard] = []
        self._done: dict[str, Any] = {}
        self._up: dict[str, Any] = {}  # by the names of files
        self._lease: Lease | None = None
        try:
            self._output = StoreOutput(store, name, self._may_write)
            if locked:
                # Noted first: an earlier run of this folder is dead, since its lock on this machine is ours now.
                if (origin := self.note("origin")) is None:
                    self._write_note("origin", origin := uuid4().hex)
                self._lease = Lease(self._output.notes, self.place, settings, str(origin))
            with self._starting():
                self._adopt(self._output.run())
        except BaseException:
            self._close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._uploads.stop()
        if self._lease is not None:
            self._lease.release()
        if self._lock is None:
            return
        if self.identity() is None:  # only now: as long as the store's lock is there, its origin is noted here
            with suppress(OSError):
                self._remove_all_but(*FolderLock.names)
            super().discard()
        self._lock.release()

    # ---- begin or resume

    def _adopt(self, run: NotedRun | None) -> None:
        """Make this machine's folder one of the run that is noted in the store."""
        if run is None or self.note("run") != run.id:
            self._clear_here()
        if run is None:
            return
        if self.identity() is None:
            self._write_note("run", run.id)
            self._write_run(run.identity, self._output.run_notes())
        self._note_all_done(run)

    def begin(self, identity: Identity, files: RunFiles, shards: Sequence[str]) -> None:
        """See `Staging.begin`."""
        self.clear()
        self._begin(identity, files, shards)

    def begin_once(self, identity: Identity, files: RunFiles, shards: Sequence[str]) -> None:
        """See `Staging.begin_once`; another process may be one of another machine."""
        with self._starting():
            if self.identity() is None:
                self._begin(identity, files, shards)

    def _begin(self, identity: Identity, files: RunFiles, shards: Sequence[str]) -> None:
        for name, data in files.items():
            self.keep_file(name, data)
        self._adopt(self._output.begin(identity, [*files], shards))

    def run_file(self, name: str) -> Path:
        """See `Staging.run_file`; it is fetched where it is asked for, which few processes do."""
        path = super().run_file(name)
        if not path.exists():
            self._output.notes.get_file(name, path)
        return path

    def note_once(self, name: str, value: object) -> Any:
        """See `Staging.note_once`."""
        with self._starting():
            if self.note(name) is None:
                self._write_note(name, self._output.note_once(name, value))
            return self.note(name)

    def clear(self) -> None:
        """See `Staging.clear`; what went up goes too."""
        self._output.clear()
        self._clear_here()

    def _clear_here(self) -> None:
        super().clear()
        self._done, self._up, self._held = {}, {}, []

    def reopen(self) -> None:
        """See `Staging.reopen`: it is still locked."""

    def discard(self) -> None:
        """See `Staging.discard`: it goes at the end, if no run is in it."""

    def _write_note(self, name: str, value: object) -> None:
        write_atomically(self.folder / f"{name}.note", to_json(value))

    # ---- what is done

    def published(self) -> dict[str, Any] | None:
        """See `Staging.published`."""
        return self._output.published()

    def replaced(self) -> Sequence[str]:
        """See `Staging.replaced`."""
        return self._output.replaced()

    def refuse_existing(self, names: Iterable[str]) -> None:
        """See `Staging.refuse_existing`."""
        here = {*self._output.names()}
        for name in names:
            if name in here:
                raise taken(f"{self.place}/{name}")

    def result(self, shard: str) -> dict[str, Any] | None:
        """See `Staging.result`."""
        found = self._done.get(shard)
        return None if found is None else dict(found["result"])

    def refresh(self) -> None:
        """See `Staging.refresh`."""
        if (run := self._output.run()) is not None:
            self._note_all_done(run)

    def keep(self, name: str, data: bytes) -> None:
        """See `Staging.keep`."""
        self._output.notes.put(name, data)

    def keep_file(self, name: str, data: bytes | Iterable[bytes | memoryview]) -> None:
        """See `Staging.keep_file`; it passes through this machine's folder."""
        super().keep_file(name, data)
        path = self.folder / name
        self._output.notes.put_file(name, path, self._may_write)
        path.unlink()

    def kept(self, suffix: str) -> list[bytes]:
        """See `Staging.kept`."""
        notes = self._output.notes
        return [*notes.get_many(sorted(name for name in notes.list() if name.endswith(suffix))).values()]

    def add_finished(self, shard: FinishedShard) -> None:
        """See `Staging.add_finished`."""
        self._held.append(shard)

    def send_finished(self) -> None:
        """See `Staging.send_finished`: they go up on a thread of their own, and their files here are removed then.

        Waits while one goes up and another one is to follow, so that this machine's disk holds a few of them only.
        """
        while self._held:
            self._uploads.put(self._held.pop(0))

    def wait(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """See `Staging.wait`."""
        self._uploads.wait(on_wait)

    def check(self) -> None:
        """See `Staging.check`."""
        self._uploads.check()
        if self._lease is not None:
            self._lease.check()

    def open_joined(self, name: str, expected: int = 0, *, synced: bool = True) -> JoinedFile:
        """See `Staging.open_joined`: it goes up while it is written."""

        def note(found: PublishedFile) -> None:
            self._up[name] = found.to_json()

        return JoinedFile(self._output.open_joined(name, expected), note)

    def finished(self, name: str) -> DataPath:
        """See `Staging.finished`: it is up already."""
        return self._output.path(name)

    def others(self) -> list[str]:
        """See `Staging.others`."""
        run = self._output.run()
        return sorted({*self._output.names()} - (self._output.own(run) if run is not None else set()))

    def take_in(self, name: str, path: Path) -> int:
        """See `Staging.take_in`; it goes up."""
        notes = self._output.notes
        found = notes.list().get(name)
        if found is None or found.size != path.stat().st_size:
            found = notes.put_file(name, path, self._may_write)
        path.unlink()
        return found.version

    def describe(self, name: str, sha256: str | None = None) -> dict[str, Any]:
        """See `Staging.describe`."""
        if (found := self._up.get(name)) is not None:
            return {what: value for what, value in found.items() if what != "version"}
        return super().describe(name, sha256)

    # ---- in the thread of the uploads

    def _send(self, shard: FinishedShard) -> None:
        self._note_done(shard.name, self._output.put_shard(self.note("run"), shard, self.path))
        try:
            for path in shard.paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error

    def _note_all_done(self, run: NotedRun) -> None:
        for shard, done in self._output.done(run, self._only).items():
            self._note_done(shard, done)

    def _note_done(self, shard: str, done: dict[str, Any]) -> None:
        self._done[shard] = done
        self._up |= done["files"]

    def _may_write(self) -> None:
        """Raise where this run must not write to the store any more."""
        if self._uploads.stopped:
            raise OutputError(f"{self.place}: the run was interrupted")
        if self._lease is not None:
            self._lease.check()

    # ---- publish

    def publish(self, names: Iterable[str], stale: Iterable[str], report: Mapping[str, Any]) -> None:
        """See `Staging.publish`; the shards are up already, and the last of the names is the manifest's."""
        *others, manifest = names
        for name in others:
            if name not in self._up:
                self._output.put_file(name, self.path(name))
        text = self.path(manifest).read_bytes().decode("utf-8", "surrogateescape")
        joined = self._output.joined()  # also by an earlier call that was to join what this one does not
        remove = sorted({*stale, *joined} - {*others, manifest})
        self._output.decide(
            {"publish": others, "remove": remove, "identity": self.identity(), "report": dict(report), "manifest": text}
        )
        self.finish_publishing()

    def finish_publishing(self) -> Published | None:
        """See `Staging.finish_publishing`."""
        plan = self._output.decided()
        if plan is None:
            return None
        self._output.finish(plan["remove"], plan["publish"], plan["manifest"])
        self._clear_here()
        return Published(plan["identity"] or {}, plan["report"])
