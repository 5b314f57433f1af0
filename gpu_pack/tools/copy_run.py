"""Copies records from some .rec files into others, and publishes these with a manifest: what merge and divide share.

Nothing is decoded. A record gets another header where its key or labels change. The files grow in the staging folder
of the output, or in its object store, and become a dataset all at once; a copy that was killed begins anew.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_pack.errors import FormatError, OutputExistsError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import format_classes
from gpu_pack.formats.manifest import NAME as MANIFEST
from gpu_pack.formats.manifest import histogram, manifest_bytes, published_names
from gpu_pack.formats.notices import Notice, merge_notices, select
from gpu_pack.formats.published_file import PublishedFile
from gpu_pack.formats.record_keys import RecordKeys
from gpu_pack.formats.rejects import NAME as REJECTS
from gpu_pack.output.destination import Destination
from gpu_pack.output.identity import plain
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.plan import open_staging, shard_names
from gpu_pack.pipeline.report import SplitCount
from gpu_pack.stores.atomic_file import sync_file, unwritable, write_atomically
from gpu_pack.tools.copy_report import Copied, copy_manifest, input_facts, input_notices
from gpu_pack.tools.input_hashes import InputHashes, checked, published_of
from gpu_pack.tools.input_records import Input, WholeRecord, all_records
from gpu_pack.tools.join_classes import Relabel
from gpu_pack.tools.list_rows import ListRows
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.record_output import RecordOutput
from gpu_pack.tools.whole_file import whole_file
from gpu_pack.types import OnProgress, Progress

#: The number of an input, and a record of it.
Numbered = tuple[int, WholeRecord]
_PROGRESS_EVERY = 0.1
_OPEN_LISTS = 200


@dataclass(frozen=True)
class OutputShard:
    """One .rec to be written.

    Attributes:
        split, name: its split, and its name without suffix.
        files: numbers of the inputs that it is made of, each whole.
        records: gives its records, in order, where it is not made of whole inputs.
    """

    split: str
    name: str
    files: Sequence[int] = ()
    records: Callable[[], Iterable[Numbered]] = tuple


@dataclass(frozen=True)
class CopyPlan:
    """What is copied where.

    Attributes:
        command: its name and options, for the manifest.
        out: the folder or address.
        inputs: the .rec files.
        keys: those of each input's records.
        new_keys: what they become; None numbers the records from 0, in the order in which they are written.
        classes: names by label, or None.
        relabel: what becomes of each input's labels.
        shards: the files to be written, in order.
        size: bytes that will be written, about.
        left_out: records with a picture that are in no shard.
        metadata: how many records without a picture are in no shard, and one of them for the note.
        overwrite: replace what lies in ``out``.
    """

    command: dict[str, Any]
    out: Destination
    inputs: Sequence[Input]
    keys: Sequence[RecordKeys]
    new_keys: Sequence[array[int]] | None
    classes: tuple[str, ...] | None
    relabel: Sequence[Relabel]
    shards: Sequence[OutputShard]
    size: int
    left_out: int = 0
    metadata: tuple[int, str] = (0, "")
    overwrite: bool = False

    def identity(self) -> dict[str, Any]:
        """Tells one copy from another."""
        stats = [(str(each.rec), each.size) for each in self.inputs]
        return {"command": self.command, "inputs": stats}


def run_copy(plan: CopyPlan, on_progress: OnProgress) -> Copied:
    """Copy and publish.

    Raises:
        FormatError, SourceError: a damaged input, with the place.
        OutputExistsError: something lies in the output folder, and ``overwrite`` is not set.
        OutputError: it cannot be written.
    """
    identity = plan.identity()
    with open_staging(plan.out.folder, plan.out.store) as staging:
        if (earlier := staging.finish_publishing()) is not None:
            staging.reopen()
            if earlier.identity == plain(identity):
                staging.discard()
                return Copied.from_json(earlier.report)
        _refuse_existing(plan, staging)
        staging.begin(identity, {}, _shard_files(plan))
        try:
            report = _Copy(plan, staging, on_progress).run()
        except BaseException:
            staging.clear()
            staging.discard()
            raise
        _sync(plan, staging, report.files)
        staging.publish([*report.files, MANIFEST], published_names(staging.replaced()), report.to_json())
    return report


def _shard_files(plan: CopyPlan) -> list[str]:
    return [name for shard in plan.shards for name in shard_names(shard.name)]


def _sync(plan: CopyPlan, staging: Staging, names: Iterable[str]) -> None:
    """Bring all files to the disk, at once: the system has written most of them meanwhile."""
    for path in map(staging.path, names) if plan.out.store is None else ():
        try:
            with path.open("rb") as file:
                sync_file(file.fileno())
        except OSError as error:
            raise unwritable(path, error) from error


def _refuse_existing(plan: CopyPlan, staging: Staging) -> None:
    """An interrupted copy is no obstacle: it begins anew."""
    run = staging.identity()
    others = staging.others()
    if plan.overwrite or (not others and (run is None or "command" in run)):
        return
    what = f"{others[0]} is there already" if others else "an interrupted run lies there"
    if run is None:
        staging.discard()
    raise OutputExistsError(
        f"{plan.out}: {what}: choose another output, or replace it with overwrite=True (--overwrite)"
    )


class _Copy:
    def __init__(self, plan: CopyPlan, staging: Staging, on_progress: OnProgress) -> None:
        self.plan, self.staging, self.on_progress = plan, staging, on_progress
        self.report = Copied(str(plan.out), left_out=plan.left_out)
        self._began, self._show_at = time.monotonic(), 0.0
        self._rows = [0] * len(plan.inputs)  # where the next record of each input is expected among its keys
        self._pictures: Counter[int] = Counter()  # by input
        self._hashed: dict[int, PublishedFile] = {}  # by input
        self._lists: dict[int, ListRows] = {}
        self._open_lists: OrderedDict[int, None] = OrderedDict()  # those that were used last
        self._labels: dict[str, array[float]] = {}  # by split
        self._examples: dict[str, str] = {}  # by code of a notice
        self._progress = Progress(0, plan.size, "bytes")

    def run(self) -> Copied:
        """Write all files into the staging folder, the manifest last."""
        files: dict[str, PublishedFile] = {}
        try:
            picked = any(not shard.files for shard in self.plan.shards)
            with InputHashes(self.plan.inputs if picked else ()) as hashes:
                for shard in self.plan.shards:
                    files |= self._write(shard)
                hashed = hashes.results() if picked else [self._hashed[number] for number in sorted(self._hashed)]
        finally:
            for each in self._lists.values():
                each.close()
        files |= self._write_others()
        self._complete(files, hashed)
        document = copy_manifest(self.report, self.plan.inputs, self.plan.command)
        write_atomically(self.staging.path(MANIFEST), manifest_bytes(document))
        return self.report

    def _write(self, shard: OutputShard) -> dict[str, PublishedFile]:
        expected = sum(self.plan.inputs[number].size for number in shard.files)
        with RecordOutput(self.staging, shard.name, self.plan.classes, expected) as output:
            for number in shard.files:
                self._copy(output, number)
            for number, record in shard.records():
                self._add(output, number, record)
            files = output.finish()
        self._show()
        count = self.report.splits.setdefault(shard.split, SplitCount())
        count.shards.append(shard.name + ".rec")
        count.listed += len(output.firsts)
        count.packed += len(output.firsts)
        self._labels.setdefault(shard.split, array("f")).extend(output.firsts)
        return files

    def _copy(self, output: RecordOutput, number: int) -> None:
        """Copy a whole input: as it is, where its keys and labels stay, else record by record."""
        plan, each = self.plan, self.plan.inputs[number]
        keys = plan.keys[number]
        stays = plan.relabel[number].keeps and plan.new_keys is not None and plan.new_keys[number] == keys.keys
        if stays and (whole := whole_file(each, keys)) is not None:
            output.append(whole, self._count)
            self.report.records += len(keys.keys)
            self._pictures[number] += len(keys.keys)
            self._hashed[number] = whole.published
            return
        known = published_of(each)
        with RecFile(each.rec, whole=True, hashed=known.lengths if known is not None else ()) as file:
            for record in all_records(file):
                self._add(output, number, record)
            self._hashed[number] = checked(each, file.published())

    def _count(self, size: int) -> None:
        self._progress.done += size
        if time.monotonic() >= self._show_at:
            self._show()

    def _add(self, output: RecordOutput, number: int, record: WholeRecord) -> None:
        info, source = record.info, self.plan.inputs[number]
        self._count(info.length)
        row = self._row(number, info.offset)
        key = self.plan.keys[number].keys[row]
        if not info.data_size:
            self.report.metadata += 1
            self._examples.setdefault("metadata-left-out", f"key {key} of {source.rec}")
            return
        try:
            if source.target.manifest is not None and info.key != key:
                raise FormatError(f"its id is {info.key}, and the .idx says {key}: `gpu-pack verify` tells more")
            labels = self.plan.relabel[number].make(info.labels)
            new = self.plan.new_keys[number][row] if self.plan.new_keys is not None else self.report.records
            output.add(record, new, labels, self._list(number).find(key))
        except FormatError as error:
            raise FormatError(f"key {key}: {error.reason}", str(source.rec), info.offset) from None
        self.report.records += 1
        self._pictures[number] += 1
        if new != key:
            self.report.renumbered += 1
            self._examples.setdefault("keys-changed", f"key {key} of {source.rec}, now {new}")
        if labels != info.labels:
            self.report.relabelled += 1
            self._examples.setdefault("labels-changed", f"key {key} of {source.rec}")

    def _row(self, number: int, offset: int) -> int:
        """The place of a record among its input's keys."""
        offsets, row = self.plan.keys[number].offsets, self._rows[number]
        if row >= len(offsets) or offsets[row] != offset:
            row = bisect_left(offsets, offset)
        if row >= len(offsets) or offsets[row] != offset:
            what = "its .idx does not lead to this record: `gpu-pack index --overwrite` rebuilds it"
            raise FormatError(what, str(self.plan.inputs[number].rec), offset)
        self._rows[number] = row + 1
        return row

    def _list(self, number: int) -> ListRows:
        """The list beside an input, while at most `_OPEN_LISTS` are open. Keys that are positions are in no list."""
        if number not in self._lists:
            known = self.plan.keys[number].repeated is None
            self._lists[number] = ListRows(self.plan.inputs[number].target.lst if known else None)
        self._open_lists[number] = None
        self._open_lists.move_to_end(number)
        if len(self._open_lists) > _OPEN_LISTS:
            self._lists[self._open_lists.popitem(last=False)[0]].close()
        return self._lists[number]

    def _write_others(self) -> dict[str, PublishedFile]:
        """classes.txt, where there are names, and the rejects, of which there are none."""
        texts = {REJECTS: b""}
        if self.plan.classes is not None:
            texts[CLASSES] = format_classes(self.plan.classes)
        for name, text in texts.items():
            write_atomically(self.staging.path(name), text)
        return {name: PublishedFile(len(text), hashlib.sha256(text).hexdigest()) for name, text in texts.items()}

    def _complete(self, files: dict[str, PublishedFile], hashed: Sequence[PublishedFile]) -> None:
        """Fill in what the report says besides the counts."""
        report, plan = self.report, self.plan
        report.files = {name: file.to_json() for name, file in files.items()}
        report.bytes = sum(file.bytes for name, file in files.items() if name.endswith(".rec"))
        report.classes = len(plan.classes) if plan.classes is not None else None
        for name, count in report.splits.items():
            count.labels = histogram(self._labels[name])
        report.inputs = [
            input_facts(each, self._pictures[number], file)
            for number, (each, file) in enumerate(zip(plan.inputs, hashed, strict=True))
        ]
        report.metadata += plan.metadata[0]
        if plan.metadata[0]:
            self._examples["metadata-left-out"] = plan.metadata[1]
        counts = {"keys-changed": report.renumbered, "labels-changed": report.relabelled}
        counts["metadata-left-out"] = report.metadata
        found = [Notice(code, counts[code], example) for code, example in self._examples.items()]
        merged = merge_notices([*found, *input_notices(plan.inputs)])
        report.notes, report.warnings = select(merged, "note"), select(merged, "warning")
        report.seconds = time.monotonic() - self._began

    def _show(self) -> None:
        self._progress.detail = f"{self.report.records:,} records"
        self.on_progress(self._progress)
        self._show_at = time.monotonic() + _PROGRESS_EVERY
