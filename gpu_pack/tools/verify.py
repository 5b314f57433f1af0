"""Verify: everything that a dataset says of itself, against everything else that it says.

A bit flipped in any published file shows, since the manifest holds the sha256 of each and one of its own; whatever the
structure shows is named besides, with file, key and offset. Without a manifest (a .rec from im2rec) only the structure
and the images can tell, and a bit inside a picture may go unnoticed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_pack.backends import cores
from gpu_pack.errors import GpuPackError
from gpu_pack.formats.native_stderr import captured
from gpu_pack.stores.atomic_file import hash_file
from gpu_pack.tools import check_account, check_sidecars
from gpu_pack.tools.bounded_pool import BoundedPool, PoolStoppedError
from gpu_pack.tools.check_records import Checks, Table, read_records
from gpu_pack.tools.faults import Fault, Faults
from gpu_pack.tools.locate import Located, Target, locate
from gpu_pack.tools.manifest import Published
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.verification import OnVerify, Verification, VerifyOptions, VerifyProgress


def verify(
    paths: Iterable[str | Path], options: VerifyOptions | None = None, on_progress: OnVerify | None = None
) -> Verification:
    """Check datasets (folders) and .rec files.

    Raises:
        SourceError: a path that is not there, or a folder without records. What is wrong inside is a fault.
    """
    options = options or VerifyOptions()
    located = [locate(Path(path)) for path in paths]
    began = time.monotonic()
    from gpu_pack.tools.check_images import silent_opencv

    workers = options.workers or cores()
    with captured(), silent_opencv(), BoundedPool(workers) as pool:
        run = _Verifier(options, pool)
        for item in located:
            run.plan(item)
        run.go(on_progress or (lambda _: None))
    result = run.result
    result.notes.sort()
    result.faults, result.fault_count = run.faults.sorted(), run.faults.count
    result.records, result.bytes = run.progress.records, run.progress.total_bytes
    result.seconds = time.monotonic() - began
    return result


@dataclass
class _Split:
    """What the files of one split were found to hold."""

    tables: list[Table] = field(default_factory=list)
    entries: int = 0


class _Verifier:
    """Jobs a file each, then what can only be said when all of a dataset's files are read."""

    def __init__(self, options: VerifyOptions, pool: BoundedPool) -> None:
        self.options, self.pool = options, pool
        self.faults = Faults()
        self.progress = VerifyProgress()
        self.result = Verification(decoded=options.decode)
        self._lock = threading.Lock()
        self._jobs: list[tuple[Path, Callable[[], None]]] = []
        self._afterwards: list[Callable[[], None]] = []

    # ---- planning

    def plan(self, located: Located) -> None:
        """Note what is to be done about one path."""
        faults, manifest = self.faults, located.manifest
        if located.damage is not None:
            faults.add(Fault(located.damage.path or str(located.folder), located.damage.reason))
        rejects: check_account.Rejects | None = None
        if manifest is not None:
            check_account.check_manifest(manifest, faults)
            if located.whole:
                self._plan_published(located)
            rejects = self._guarded(
                manifest.path.with_name(check_account.REJECTS), lambda: check_account.read_rejects(manifest, faults)
            )
        elif located.damage is None:
            path = located.folder if located.whole else located.targets[0].rec
            what = "no manifest: what the structure does not show, such as a bit inside a picture, goes unnoticed"
            self.result.notes.append(f"{path}: {what}")
        found: dict[str, _Split] = {}
        for target in located.targets:
            self._plan_target(located, target, rejects, found)
        if manifest is not None and located.whole and rejects is not None:
            known = rejects
            self._afterwards.append(lambda: self._finish(located, known, found))

    def _plan_published(self, located: Located) -> None:
        """Sizes and hashes of all but the records, which are hashed when they are read."""
        assert located.manifest is not None
        for name, published in located.manifest.files.items():
            if not name.endswith(".rec"):
                self._add_hash(located.folder / name, published)
        if located.manifest.classes is not None:
            self._check_classes(located.folder / check_account.CLASSES, located.manifest.classes)
        if (located.folder / ".gpu-pack").is_dir():
            self.result.notes.append(f"{located.folder}: another run is under way there, or was interrupted")

    def _plan_target(
        self, located: Located, target: Target, rejects: check_account.Rejects | None, found: dict[str, _Split]
    ) -> None:
        manifest = target.manifest
        if located.manifest is not None and manifest is None:
            self.faults.add(Fault(str(target.rec), "the manifest beside it does not know this file"))
        if manifest is not None and not located.whole:
            for path in (target.idx, target.lst):
                if (published := manifest.files.get(path.name)) is not None:
                    self._add_hash(path, published)
        refused = None if manifest is None or rejects is None else rejects[target.split]
        split = found.setdefault(target.split or "", _Split())
        self.result.files += 1
        if target.rec.is_file():
            self.progress.total_bytes += target.rec.stat().st_size
        self._jobs.append((target.rec, lambda: self._check_target(target, refused, split)))

    def _add_hash(self, path: Path, published: Published) -> None:
        self._jobs.append((path, lambda: self._check_published(path, published)))

    # ---- working

    def go(self, on_progress: OnVerify) -> None:
        """Do it all, telling how far it is a few times a second."""
        with ThreadPoolExecutor(max(1, min(len(self._jobs), self.pool.workers)), thread_name_prefix="file") as pool:
            waiting = {pool.submit(self._guarded, *job) for job in self._jobs}
            try:
                while waiting:
                    done, waiting = wait(waiting, 0.2, FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    self._tell(on_progress)
                self.pool.wait()
            except BaseException:
                self.pool.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        for job in self._afterwards:
            job()
        self._tell(on_progress)

    def _guarded(self, path: Path, job: Callable[[], Any]) -> Any:
        """What the job gives; its deliberate errors are faults of the file."""
        try:
            return job()
        except PoolStoppedError:
            self.pool.wait()  # raises what another job met
        except GpuPackError as error:
            self.faults.add(Fault(str(path), str(error).removeprefix(f"{path}: ")))
        except OSError as error:
            self.faults.add(Fault(str(path), f"cannot be read: {error.strerror or error}"))
        return None

    def _tell(self, on_progress: OnVerify) -> None:
        self.progress.faults = self.faults.count
        on_progress(self.progress)

    def _on_record(self, records: int, size: int) -> None:
        with self._lock:
            self.progress.records += records
            self.progress.bytes += size

    def _check_target(self, target: Target, rejects: set[int] | None, split: _Split) -> None:
        manifest, faults = target.manifest, self.faults
        published = manifest.files.get(target.rec.name) if manifest is not None else None
        with RecFile(target.rec, whole=True, hashed=True) as file:
            same_size = published is not None and published.bytes == file.size
            spec, classes = (manifest.spec, manifest.classes) if manifest is not None else (None, None)
            checks = Checks(spec, classes, self.options.decode, same_size)
            if published is not None and not same_size:
                faults.add(_other_size(target.rec, file.size, published))
            table = read_records(file, checks, self.pool, faults, self._on_record)
        if published is not None and table.sha256 not in (None, published.sha256):
            faults.add(_other_hash(target.rec, table.sha256 or "", published))
        entries = self._check_sidecars(target, table, rejects)
        with self._lock:
            split.tables.append(table)
            split.entries += entries

    def _check_sidecars(self, target: Target, table: Table, rejects: set[int] | None) -> int:
        faults = self.faults
        places = check_sidecars.Places(table)
        check_sidecars.check_keys(target.rec, table, places, faults)
        missing = "there is no index; `gpu-pack index` makes it from the records"
        if target.manifest is None and not target.idx.exists():  # im2rec.cc writes none, and many readers need none
            self.result.notes.append(f"{target.rec}: {missing}")
        elif check_sidecars.present(target.idx, faults, missing):
            self._guarded(target.idx, lambda: check_sidecars.check_index(target.idx, table, places, faults))
        missing_list = "the list that the records follow is not there" if target.manifest is not None else None
        if not check_sidecars.present(target.lst, faults, missing_list):
            return 0
        counted = self._guarded(
            target.lst, lambda: check_sidecars.check_list(target.lst, table, places, rejects, faults)
        )
        return counted[0] if counted is not None else 0

    def _check_published(self, path: Path, published: Published) -> None:
        size = path.stat().st_size
        if size != published.bytes:
            self.faults.add(_other_size(path, size, published))
        elif path.is_file() and (found := hash_file(path)) != published.sha256:
            self.faults.add(_other_hash(path, found, published))

    def _check_classes(self, path: Path, classes: int) -> None:
        names = self._guarded(path, lambda: check_account.read_class_names(path))
        if names is not None and len(names) != classes:
            self.faults.add(Fault(str(path), f"it has {len(names)} names, and the manifest {classes} classes"))

    def _finish(self, located: Located, rejects: check_account.Rejects, found: dict[str, _Split]) -> None:
        manifest = located.manifest
        assert manifest is not None
        for name in manifest.splits:
            split = found.get(name, _Split())
            check_account.check_split(manifest, name, split.tables, split.entries, self.faults)
        tables = [table for split in found.values() for table in split.tables]
        check_account.check_keys_apart(manifest, tables, rejects, self.faults)


def _other_size(path: Path, size: int, published: Published) -> Fault:
    return Fault(str(path), f"it has {size} bytes, and the manifest says {published.bytes}")


def _other_hash(path: Path, found: str, published: Published) -> Fault:
    what = (
        f"its bytes are not those that were published: the sha256 is {found}, and the manifest says {published.sha256}"
    )
    return Fault(str(path), what)
