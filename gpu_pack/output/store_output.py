"""What a run has in an object store: the published objects, and beside them what another machine needs to resume it.

In `.gpu-pack/` of the output lie ``lock``, ``run.json`` (which run this is), ``NAME.done`` for each shard that is up,
``replaced.json`` once the first one may be, ``joining.json`` and ``joined.json`` (what is being joined of others, and
what was), and ``publish.json`` when all are. Objects get their final names at once and appear complete; the manifest,
which makes a dataset of them, comes last, and goes first where it is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from gpu_pack.errors import OutputError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.manifest import NAME as MANIFEST
from gpu_pack.formats.manifest import unchecked_document
from gpu_pack.formats.rejects import NAME as REJECTS
from gpu_pack.output.identity import Identity
from gpu_pack.output.joined_file import Target
from gpu_pack.output.staging import FinishedShard
from gpu_pack.stores import lease
from gpu_pack.stores.atomic_file import hash_file
from gpu_pack.stores.data_path import DataPath
from gpu_pack.stores.object_folder import ObjectFolder
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.stores.object_upload import Upload, open_upload
from gpu_pack.stores.remote_path import RemotePath
from gpu_pack.stores.unfinished_uploads import abort_unfinished_uploads

_RUN, _REPLACED, _PUBLISH = "run.json", "replaced.json", "publish.json"
_JOINING, _JOINED = "joining.json", "joined.json"
_DONE, _NOTE = ".done", ".note"
#: What a dataset is not without, and what was made of it.
_OF_DATASET = (MANIFEST, "sagemaker.json")


class NotedRun(NamedTuple):
    """A run as it is noted in the store.

    Attributes:
        id: a random text; another one for each beginning.
        identity: see `gpu_pack.output.identity.Identity`.
        files: names of what is known of it from the start.
        shards: names of the objects that it will publish of its shards.
    """

    id: str
    identity: Identity
    files: Sequence[str]
    shards: Sequence[str]


class StoreOutput:
    """The objects of an output.

    Args:
        store: of the output.
        name: of the folder of notes in it.
        may_write: called before objects are written; raises where this run must not any more.

    Attributes:
        notes: the folder of notes.

    Raises:
        OutputError: every method, where the store refuses or does not answer.
    """

    def __init__(self, store: ObjectStore, name: str, may_write: Callable[[], None]) -> None:
        self.notes = ObjectFolder(store.folder.below(name), store.options)
        self._objects = ObjectFolder(store.folder, store.options)
        self._may_write = may_write
        self._made_way = False
        self._joining: list[str] = []
        self._joined: list[str] = []

    # ---- the run

    def run(self) -> NotedRun | None:
        """The run that was interrupted there; None where there is none."""
        try:
            return NotedRun(**json.loads(self.notes.get(_RUN) or b"null"))
        except (ValueError, TypeError):  # none of gpu-pack's
            return None

    def begin(self, identity: Identity, files: Sequence[str], shards: Sequence[str]) -> NotedRun:
        """Note a run whose files are there, unless another one was noted meanwhile; gives the one that is noted."""
        run = NotedRun(uuid4().hex, identity, files, [*shards])
        answer = self.notes.put_if(_RUN, to_json(run._asdict()), None)
        if answer == "unsupported":
            self.notes.put(_RUN, to_json(run._asdict()))
        return (self.run() or run) if answer == "conflict" else run

    def run_notes(self) -> dict[str, bytes]:
        """What is noted of a run besides, by name; without the files that it began with, which may be large."""
        return self.notes.get_many(name for name in self.notes.list() if name.endswith(_NOTE))

    def note_once(self, name: str, value: object) -> Any:
        """Note a value, unless another machine has done so; gives what is noted."""
        if self.notes.put_if(name + _NOTE, to_json(value), None) == "conflict":
            return json.loads(self.notes.get(name + _NOTE) or b"null")
        return value

    def clear(self) -> None:
        """Remove a run that was interrupted, with what went up of it; the lock stays."""
        self._may_write()
        run = self.run()
        if run is not None and (names := self.own(run)):
            self._abort_uploads(names)
            self._objects.delete(names & self._objects.list().keys())
        self._abort_uploads(self._noted(_JOINING))
        self._remove_notes(last=None)
        self._made_way, self._joining, self._joined = False, [], []

    def own(self, run: NotedRun) -> set[str]:
        """The objects that an interrupted run may have put there."""
        if self.notes.get(_REPLACED) is None:  # without that, nothing went up
            return set()
        return {*run.shards, *self.joined(), CLASSES, REJECTS}

    # ---- shards

    def done(self, run: NotedRun, only: Collection[str] | None = None) -> dict[str, Any]:
        """The shards of a run that are up, by name; without those whose objects are not what was put there.

        Args:
            only: names of the shards that are asked for; None for all.
        """
        names = [name for name in self.notes.list() if name.endswith(_DONE)]
        if only is not None:
            names = [name for name in names if name.removesuffix(_DONE) in only]
        noted = {name: json.loads(text) for name, text in self.notes.get_many(names).items()}
        here = self._objects.list() if noted else {}
        return {
            name.removesuffix(_DONE): shard
            for name, shard in noted.items()
            if shard.get("run") == run.id
            and all(here.get(file) == (each["bytes"], each["version"]) for file, each in shard["files"].items())
        }

    def put_shard(self, run: str, shard: FinishedShard, path: Callable[[str], Path]) -> dict[str, Any]:
        """Upload a shard's files, and then note it as done; gives the note.

        Args:
            run: the run's id.
            path: where the file lies that is published under a name.
        """
        self._make_way()
        files = {name: self.put_file(name, path(name), shard.sha256.get(name)) for name in shard.files}
        done = {"run": run, "files": files, "result": shard.result}
        self._may_write()
        self.notes.put(shard.name + _DONE, to_json(done))
        return done

    def put_file(self, name: str, path: Path, sha256: str | None = None) -> dict[str, Any]:
        """Upload a file; gives its size, sha256 and version."""
        self._may_write()
        size = path.stat().st_size
        stat = self._objects.put_file(name, path, self._may_write)
        if stat.size != size:
            raise OutputError(f"{name}: {stat.size:,} bytes arrived of {size:,}: run the same command again to resume")
        return {"bytes": size, "sha256": sha256 or hash_file(path), "version": stat.version}

    def open_joined(self, name: str, expected: int) -> Target:
        """An object that is joined of others; what a killed run left of it is removed.

        Args:
            expected: its size in bytes, about.
        """
        self._may_write()
        self._abort_uploads([name])
        self._joining.append(name)
        self.notes.put(_JOINING, to_json(self._joining))  # before the upload, so that whoever finishes the run ends it
        return _JoinedObject(open_upload(self.path(name), expected), self._may_write, lambda: self._note_joined(name))

    def path(self, name: str) -> RemotePath:
        """Of an object."""
        return RemotePath(self._objects.folder.below(name), self._objects.options)

    def joined(self) -> list[str]:
        """The objects that this run joined of others, in any of its calls; some may not have appeared."""
        return self._noted(_JOINED)

    def _noted(self, note: str) -> list[str]:
        return [str(name) for name in json.loads(self.notes.get(note) or b"[]")]

    def _note_joined(self, name: str) -> None:
        """Before the object appears, so that `clear` knows of it."""
        self._make_way()
        self._joined.append(name)
        self.notes.put(_JOINED, to_json(self._joined))

    def _make_way(self) -> None:
        """Before the first object is written: an earlier run's dataset is one no more."""
        if self._made_way:
            return
        self._may_write()
        if self.notes.get(_REPLACED) is None:
            found = self.published() or {"files": ()}
            self.notes.put(_REPLACED, to_json([*found["files"]]))
        self._objects.delete(_OF_DATASET)
        self._made_way = True

    # ---- what is published

    def published(self) -> dict[str, Any] | None:
        """All values of the manifest there, unchecked; None where there is none."""
        text = self._objects.get(MANIFEST)
        return None if text is None else unchecked_document(text)

    def replaced(self) -> list[str]:
        """The objects of the dataset that the run replaces."""
        text = self.notes.get(_REPLACED)
        if text is not None:
            return [str(name) for name in json.loads(text)]
        found = self.published()
        return [] if found is None else [*found["files"]]

    def names(self) -> Iterable[str]:
        """Of all objects directly in the output."""
        return self._objects.list()

    def decide(self, publication: dict[str, Any]) -> None:
        """Note that everything is up but the manifest, the point of no return."""
        self._may_write()
        self.notes.put(_PUBLISH, to_json(publication))

    def decided(self) -> dict[str, Any] | None:
        """What `decide` noted; None where nothing is to be published."""
        text = self.notes.get(_PUBLISH)
        return None if text is None else dict(json.loads(text))

    def finish(self, remove: Iterable[str], names: Iterable[str], manifest: str) -> None:
        """Remove what is stale, write the manifest, and remove all notes but the lock."""
        self._may_write()
        self._objects.delete(remove)
        self._abort_uploads([*names, *self._noted(_JOINING)])
        self._may_write()
        self._objects.put(MANIFEST, manifest.encode("utf-8", "surrogateescape"))
        self._remove_notes(last=_PUBLISH)
        self._made_way = False

    def _remove_notes(self, last: str | None) -> None:
        """``run.json`` first: without it, nobody takes the rest for a run."""
        self.notes.delete([_RUN])
        self.notes.delete(self.notes.list().keys() - {lease.NAME, last})
        self.notes.delete([last] if last else [])

    def _abort_uploads(self, names: Iterable[str]) -> None:
        abort_unfinished_uploads(self._objects.folder, self._objects.options, frozenset(names))


class _JoinedObject:
    """A `gpu_pack.output.joined_file.Target` that is an object of an output.

    Args:
        may_write: called before anything goes up.
        on_complete: called before the object appears.
    """

    def __init__(self, upload: Upload, may_write: Callable[[], None], on_complete: Callable[[], None]) -> None:
        self._upload, self._may_write, self._on_complete = upload, may_write, on_complete

    def write(self, data: bytes) -> None:
        self._may_write()
        self._upload.write(data)

    def copy(self, source: DataPath, size: int) -> bool:
        self._may_write()
        return not isinstance(source, Path) and self._upload.copy(source, size)

    def finish(self) -> None:
        self._may_write()
        self._on_complete()
        self._upload.finish()

    def abort(self) -> None:
        self._upload.abort()


def to_json(value: object) -> bytes:
    return json.dumps(value).encode()
