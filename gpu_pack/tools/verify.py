"""Verify: compare everything in a dataset's files with everything else in them.

The manifest holds the sha256 of each published file and its own, so that any flipped bit shows. The other checks name
file, key and offset of what is wrong. A .rec without a manifest has only these: a bit inside an image may go unnoticed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gpu_pack.errors import UsageError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import read_classes
from gpu_pack.formats.manifest import NAME, Manifest
from gpu_pack.formats.notices import Notice
from gpu_pack.formats.published_file import PublishedFile, read_published
from gpu_pack.formats.record_keys import repeated_rows
from gpu_pack.formats.rejects import NAME as REJECTS
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.data_path import DataPath, PathLike, lexists
from gpu_pack.tools import check_account
from gpu_pack.tools.bounded_pool import BoundedPool
from gpu_pack.tools.check_ranges import check_ranges
from gpu_pack.tools.check_records import Checks, read_records
from gpu_pack.tools.check_sidecars import check_index, check_list
from gpu_pack.tools.faults import Fault, Faults, ToolReport, choose_options
from gpu_pack.tools.keys_beside import keys_beside
from gpu_pack.tools.locate import Located, Target, as_paths, locate
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.record_table import KeyLookup, RecordTable
from gpu_pack.types import OnProgress, Progress, available_cores


@dataclass(frozen=True)
class VerifyOptions:
    """How to verify.

    Attributes:
        decode: decode every image; otherwise only its structure is checked.
        workers: threads, 1 to 1024; None for one a core.
    """

    decode: bool = True
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and not 1 <= self.workers <= 1024:
            raise UsageError(f"workers={self.workers} (--workers): between 1 and 1024")


@dataclass
class Verification(ToolReport):
    """What verify found; ``ok`` if there are no faults.

    Attributes:
        files: .rec files checked.
        records, bytes: whole records with pictures in them, and the files' sizes.
        metadata: whole records without pictures.
        decoded: whether images were decoded.
        notes, warnings: what is no fault: code, message, count, example.
        seconds: duration.
    """

    files: int = 0
    records: int = 0
    metadata: int = 0
    bytes: int = 0
    decoded: bool = True
    notes: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    seconds: float = 0.0


def verify(
    paths: PathLike | Iterable[PathLike],
    *,
    decode: bool = True,
    workers: int | None = None,
    options: VerifyOptions | None = None,
    endpoint_url: str | None = None,
    anonymous: bool = False,
    on_progress: OnProgress | None = None,
) -> Verification:
    """Check datasets (folders) and .rec files. What is wrong inside is a fault in the result, not an error.

    Args:
        paths: one path or address, or several.
        decode, workers: see `VerifyOptions`; or give ``options``.
        endpoint_url, anonymous: see `gpu_pack.stores.address.StoreOptions`.
        on_progress: called a few times a second, with bytes of the .rec files; ``rejected`` counts faults.

    Raises:
        SourceError: a path that does not exist, or a folder without records.
        UsageError: an option out of range.
    """
    options = choose_options(options, VerifyOptions(decode, workers))
    located = [locate(path) for path in as_paths(paths, StoreOptions(endpoint_url, anonymous))]
    began = time.monotonic()
    from cpu_fallback.opencv import configure_opencv

    configure_opencv()
    with BoundedPool(options.workers or available_cores()) as pool:
        run = _Verifier(options, pool)
        for item in located:
            run.add(item)
        run.finish(on_progress or (lambda _: None))
    run.result.seconds = time.monotonic() - began
    return run.result


class _Verifier:
    """Queues a job for each file, then runs the checks that need all files of a dataset."""

    def __init__(self, options: VerifyOptions, pool: BoundedPool) -> None:
        self.options, self.pool = options, pool
        self.result = Verification(decoded=options.decode)
        self.faults = Faults()
        self._notices: list[Notice] = []
        self._progress = Progress(unit="bytes", total=0)
        self._lock = threading.Lock()
        self._afterwards: list[Callable[[], None]] = []

    def add(self, located: Located) -> None:
        """Queue the checks of one path."""
        manifest = located.manifest
        rejects: check_account.Rejects = {}  # stays empty if they cannot be read
        tables: dict[str | None, list[RecordTable]] = {target.split: [] for target in located.targets}
        if located.damage is not None:
            self.faults.add(located.folder / NAME, located.damage.reason)
        elif manifest is None:
            path = located.folder if located.whole else located.targets[0].rec
            self._notices.append(Notice("no-manifest", example=str(path)))
        if manifest is not None:
            check_account.check_manifest(manifest, self.faults)
            with self.faults.collect(located.folder / REJECTS):
                rejects = check_account.read_rejects(manifest, self.faults)
            self._add_published(located, manifest)
            if located.whole and rejects:
                check = partial(check_account.check_totals, manifest, tables, rejects, self.faults)
                self._afterwards.append(check)
        for target in located.targets:
            if manifest is not None and target.manifest is None:
                self.faults.add(target.rec, "the manifest beside it does not know this file")
            self._add_target(target, rejects.get(target.split) if target.manifest else None, tables[target.split])

    def finish(self, on_progress: OnProgress) -> None:
        """Wait for the jobs, run the last checks and complete the result."""

        def tell() -> None:
            self._progress.rejected = self.faults.count
            self._progress.detail = f"{self.result.records:,} records"
            on_progress(self._progress)

        self.pool.wait(tell)
        for check in self._afterwards:
            check()
        tell()
        self.result.set_faults(self.faults)
        self.result.set_notices(sorted(self._notices, key=lambda notice: notice.example))

    def _add_published(self, located: Located, manifest: Manifest) -> None:
        """Queue size and hash of all files but the .rec files, which are hashed when their records are read."""
        stem = None if located.whole else located.targets[0].rec.stem
        for name, published in manifest.files.items():
            path = located.folder / name
            if path.suffix != ".rec" and stem in (None, path.stem):
                self._add_job(path, partial(self._check_published, published))
        if not located.whole:
            return
        path = located.folder / CLASSES
        if manifest.classes is not None and path.exists():
            with self.faults.collect(path):
                if (names := len(read_classes(path))) != manifest.classes:
                    self.faults.add(path, f"it has {names} names, and the manifest {manifest.classes} classes")
        if (located.folder / ".gpu-pack").is_dir():
            self._notices.append(Notice("unfinished-run", example=str(located.folder)))

    def _add_target(self, target: Target, rejects: set[int] | None, tables: list[RecordTable]) -> None:
        def check(path: DataPath) -> None:
            table = self._check_records(target)
            self._check_sidecars(target, table, rejects)
            tables.append(table)

        self.result.files += 1
        if target.rec.is_file():
            self.result.bytes += target.rec.stat().st_size
            self._progress.total = self.result.bytes
        self._add_job(target.rec, check)

    def _add_job(self, path: DataPath, job: Callable[[DataPath], None]) -> None:
        def run() -> None:
            with self.faults.collect(path):
                job(path)

        self.pool.submit(run)

    def _check_published(self, published: PublishedFile, path: DataPath) -> None:
        def read() -> PublishedFile | None:
            return read_published(path, published.lengths) if path.is_file() else None

        self._compare(path, published, path.stat().st_size, read)

    def _compare(
        self, path: DataPath, published: PublishedFile, size: int, read: Callable[[], PublishedFile | None]
    ) -> None:
        """Compare a file's size, and its hashes if it has the right size, with the manifest's."""
        if size != published.bytes:
            self.faults.add(path, f"it has {size} bytes, and the manifest says {published.bytes}")
        elif (found := read()) is not None:
            begin = 0
            for part, other in zip(published.parts or (published,), found.parts or (found,), strict=True):
                where = f" from byte {begin} to {begin + part.bytes}" if published.parts else ""
                if part != other:
                    sums = f"the sha256{where} is {other.sha256}, and the manifest says {part.sha256}"
                    self.faults.add(path, f"its bytes are not those that were published: {sums}")
                begin += part.bytes

    def _on_read(self, records: int, size: int) -> None:
        with self._lock:
            self.result.records += records
            self._progress.done += size

    def _check_records(self, target: Target) -> RecordTable:
        manifest, keys = target.manifest, keys_beside(target)
        checks = Checks(decode=self.options.decode, keys=keys)
        published = manifest.files.get(target.rec.name) if manifest is not None else None
        with RecFile(target.rec, whole=True, hashed=published.lengths if published is not None else ()) as file:
            if manifest is not None:
                hashed = published is not None and published.bytes == file.size
                metadata = manifest.target is not None
                checks = Checks(manifest.spec, manifest.classes, self.options.decode, keys, hashed, metadata)
            table = read_records(file, checks, self.pool, self.faults, self._on_read)
        if published is not None:
            self._compare(target.rec, published, file.size, lambda: table.hashes)
        if manifest is None or manifest.target is not None:
            self._check_metadata(target, table)
        table.positions = keys.repeated is not None
        self._notices += [keys.repeated] if keys.repeated is not None else []
        return table

    def _check_metadata(self, target: Target, table: RecordTable) -> None:
        """Count records without pictures, and check InsightFace's ranges in them, which its layout must have."""
        self._notices += table.notices(target.rec)
        with self._lock:
            self.result.metadata += len(table.metadata)
        ranges = check_ranges(target.rec, table, self.faults)
        if ranges is None and target.manifest is not None:
            self.faults.add(target.rec, "it was packed for InsightFace, and has no record 0 with the ends of the keys")

    def _check_sidecars(self, target: Target, table: RecordTable, rejects: set[int] | None) -> None:
        faults, published = self.faults, target.manifest is not None
        for row in repeated_rows(table.keys) if published else ():
            faults.add(target.rec, "an earlier record has the same key", table.offsets[row], table.keys[row])
        if lexists(target.idx):
            with faults.collect(target.idx):
                check_index(target.idx, table, published, faults)
        elif published:
            faults.add(target.idx, "there is no index; `gpu-pack index` makes it from the records")
        else:  # im2rec.cc writes none, and many readers need none
            self._notices.append(Notice("no-index", example=str(target.rec)))
        if lexists(target.lst) and not table.positions:
            with faults.collect(target.lst):
                check_list(target.lst, table, KeyLookup(table.keys), rejects, faults)
        elif published:
            faults.add(target.lst, "the list that the records follow is missing")
