"""Counts, rejects and the manifest: the account of a run, in which every listed image appears once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from gpu_pack.errors import GpuPackError
from gpu_pack.stores.atomic_file import sync_file, unwritable, write_durably
from gpu_pack.types import Rejected

#: What tells one listed image from another: its split, key and path. im2rec's lists may repeat a key.
RejectKey = tuple[str | None, int, str]
#: Beyond so many different labels they are no classes but measurements, and a histogram says nothing.
_MAX_HISTOGRAM = 100_000


@dataclass
class SplitCount:
    """One split's images.

    Attributes:
        labels: how many packed images bear each label (the first, where there are several); None where there are
            too many labels to count.
        shards: the .rec files.
    """

    listed: int = 0
    packed: int = 0
    rejected: int = 0
    labels: dict[str, int] | None = None
    shards: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What a run did.

    Attributes:
        out: the folder.
        listed: images in the source; ``packed + rejected + left_out`` of them.
        left_out: images that the fractions of ``--split`` gave to no split.
        skipped: files in the source that were no images, by suffix.
        rejects: rejected images by stage.
        packed_by: packed images by backend.
        encoder: the GPU path's JPEG encoder, ``nvjpeg``, ``cuda`` or ``cpu``; None where there was no GPU.
        device, reason: what ran, and why that.
        seconds, images_per_second: of this call; ``resumed`` images were there from before it.
        broken: one sentence for each worker that was given up on the way.
        files: size and sha256 of each published file.
        dry_run: nothing was written; ``packed`` is 0.
    """

    out: str
    listed: int = 0
    packed: int = 0
    rejected: int = 0
    left_out: int = 0
    splits: dict[str, SplitCount] = field(default_factory=dict)
    classes: int | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    rejects: dict[str, int] = field(default_factory=dict)
    packed_by: dict[str, int] = field(default_factory=dict)
    device: str = ""
    reason: str = ""
    workers: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    resumed: int = 0
    broken: list[str] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    encoder: str | None = None
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return asdict(self)

    def check(self) -> None:
        """Every listed image is packed, rejected or left out by the fractions; otherwise nothing is published.

        Raises:
            GpuPackError: the account does not balance, which is a bug.
        """
        if self.packed + self.rejected + self.left_out != self.listed:
            raise GpuPackError(
                f"{self.out}: of {self.listed} listed images, {self.packed} are packed, {self.rejected} rejected and "
                f"{self.left_out} left out: nothing is published; please report this"
            )


def manifest(report: Report, identity: dict[str, Any], started: str) -> dict[str, Any]:
    """The manifest.json of a finished run; what depends on the day and the machine is all under ``run``."""
    return {
        "format": 1,
        **identity,
        "listed": report.listed,
        "packed": report.packed,
        "rejected": report.rejected,
        "left_out": report.left_out,
        "classes": report.classes,
        "splits": {name: asdict(count) for name, count in report.splits.items()},
        "rejects": report.rejects,
        "packed_by": report.packed_by,
        "skipped": report.skipped,
        "files": report.files,
        "run": {
            "started": started,
            "seconds": round(report.seconds, 3),
            "images_per_second": round(report.images_per_second, 1),
            "resumed": report.resumed,
            "device": report.device,
            "reason": report.reason,
            "workers": report.workers,
            "broken": report.broken,
            "encoder": report.encoder,
        },
    }


def from_manifest(out: str, found: dict[str, Any]) -> Report:
    """The report of a run that had finished before, as far as its manifest tells."""
    run = found["run"]
    return Report(
        out=out,
        splits={name: SplitCount(**count) for name, count in found["splits"].items()},
        **{
            name: found[name]
            for name in (
                "listed",
                "packed",
                "rejected",
                "left_out",
                "classes",
                "rejects",
                "packed_by",
                "skipped",
                "files",
            )
        },
        **{
            name: run[name]
            for name in ("device", "reason", "workers", "seconds", "images_per_second", "broken", "encoder")
        },
        resumed=found["packed"],
    )


def histogram(labels: Iterable[float]) -> dict[str, int] | None:
    """How often each label comes, lowest first; None where there are too many to be classes."""
    counts: Counter[float] = Counter()
    for label in labels:
        counts[label] += 1
        if len(counts) > _MAX_HISTOGRAM:
            return None
    return {f"{label:g}" if label % 1 else str(int(label)): counts[label] for label in sorted(counts)}


class RejectLog:
    """rejects.jsonl: a line for each image that was not packed, in the order of the lists.

    Raises:
        OutputError: cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[RejectKey, dict[str, Any]] = {}  # what is decided, an interrupted run's too
        self._file: FileIO | None = None

    def recover(self) -> None:
        """Read the whole lines that an interrupted run left."""
        try:
            found = self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return
        for line in found:
            try:
                value = json.loads(line)
                self.lines[value["split"], int(value["key"]), str(value["path"])] = value
            except (ValueError, KeyError, TypeError):
                return

    def start(self, kept: Iterable[RejectKey]) -> None:
        """Keep the recovered lines of these images, in this order, and forget the others."""
        self.lines = {key: self.lines[key] for key in kept}
        # Replaced in one step: a run killed right here must not lose what an earlier one had noted.
        write_durably(fresh := self.path.with_suffix(".fresh"), b"".join(map(_line, self.lines.values())))
        try:
            fresh.replace(self.path)
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def add(self, rejected: Rejected, split: str | None) -> None:
        """Note one image, at once."""
        entry = rejected.entry
        value = {
            "key": entry.key,
            "path": entry.path,
            "label": entry.labels[0] if len(entry.labels) == 1 else list(entry.labels),
            "split": split,
            "stage": rejected.stage,
            "reason": rejected.reason,
        }
        self.lines[split, entry.key, entry.path] = value
        try:
            self._write(_line(value))
        except OSError as error:
            raise unwritable(self.path, error) from error

    def by_stage(self) -> dict[str, int]:
        """How many images each stage rejected."""
        return dict(sorted(Counter(value["stage"] for value in self.lines.values()).items()))

    def finish(self) -> None:
        """Sync and close."""
        if self._file is not None:
            try:
                sync_file(self._file.fileno())
            except OSError as error:
                raise unwritable(self.path, error) from error
            finally:
                self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
