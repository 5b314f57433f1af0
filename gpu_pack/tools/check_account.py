"""The account of a dataset: whether manifest, rejects and classes agree with each other and with the records."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, get_args

from gpu_pack.formats.manifest import checksum_fault
from gpu_pack.pipeline.report import histogram
from gpu_pack.tools.check_records import Table
from gpu_pack.tools.check_sidecars import MAX_BAD_LINES, text_lines
from gpu_pack.tools.faults import Fault, Faults, unreadable
from gpu_pack.tools.manifest import Manifest, bounded_json
from gpu_pack.types import Stage

REJECTS, CLASSES = "rejects.jsonl", "classes.txt"
_STAGES = get_args(Stage)
_MAX_LINE = 1 << 20
_MAX_CLASSES = 64 << 20

#: The keys of the rejects by split; None holds those that could not even be listed.
Rejects = dict[str | None, set[int]]


def check_manifest(manifest: Manifest, faults: Faults) -> None:
    """The manifest's own checksum, and the sums in it."""
    path = str(manifest.path)
    if broken := checksum_fault(manifest.text):
        faults.add(Fault(path, broken))
    splits = manifest.splits.values()
    sums = (
        ("listed", manifest.listed, "packed, rejected and left out", _total(manifest)),
        ("packed", manifest.packed, "the splits hold", sum(split.packed for split in splits)),
        ("packed", manifest.packed, "the backends made", sum(manifest.packed_by.values())),
        ("rejected", manifest.rejected, "the stages rejected", sum(manifest.rejects.values())),
    )
    for what, count, others, total in sums:
        if count != total:
            faults.add(Fault(path, f"the account does not balance: {what} are {count}, {others} {total}"))
    for name, split in manifest.splits.items():
        if split.listed != split.packed + split.rejected:
            what = f"{split.listed} listed are not {split.packed} packed and {split.rejected} rejected"
            faults.add(Fault(path, f"the account of split {name} does not balance: {what}"))
    needed = {name for split in splits for shard in split.shards for name in _three(shard)} | {REJECTS}
    needed |= {CLASSES} if manifest.classes is not None else set()
    for name in sorted(needed ^ manifest.files.keys()):
        what = "is not among its files" if name in needed else "is among its files and belongs to no split"
        faults.add(Fault(path, f"{name} {what}"))


def _total(manifest: Manifest) -> int:
    return manifest.packed + manifest.rejected + manifest.left_out


def _three(shard: str) -> tuple[str, str, str]:
    stem = shard.removesuffix(".rec")
    return shard, stem + ".idx", stem + ".lst"


# ---- rejects.jsonl


def read_rejects(manifest: Manifest, faults: Faults) -> Rejects:
    """The rejects of a dataset, checked line by line and against the manifest's counts.

    Raises:
        SourceError: the file cannot be read.
    """
    path = manifest.path.with_name(REJECTS)
    found: Rejects = {None: set(), **{name: set() for name in manifest.splits}}
    stages: Counter[str] = Counter()
    seen: set[int] = set()
    bad = 0
    for number, line in text_lines(path, _MAX_LINE):
        value = _reject(line, found)
        if isinstance(value, str):
            faults.add(Fault(str(path), value, line=number))
            if (bad := bad + 1) >= MAX_BAD_LINES:
                break
            continue
        if value["key"] in seen:
            faults.add(Fault(str(path), "an earlier line has the same key", key=value["key"], line=number))
        seen.add(value["key"])
        found[value["split"]].add(value["key"])
        stages[value["stage"]] += 1
    if dict(stages) != manifest.rejects:
        faults.add(Fault(str(path), f"it has {_stages(stages)}, and the manifest {_stages(manifest.rejects)}"))
    return found


def _reject(line: bytes, splits: Rejects) -> dict[str, Any] | str:
    """A line's values, or what is wrong with it."""
    try:
        value = bounded_json(line)
    except (ValueError, RecursionError):
        return "the line is no JSON"
    if not isinstance(value, dict):
        return "the line is no JSON object"
    key, label = value.get("key"), value.get("label")
    labels = label if isinstance(label, list) else [label]
    if type(key) is not int or not 0 <= key < 1 << 64:
        return "it has no key"
    if not (isinstance(value.get("path"), str) and isinstance(value.get("reason"), str)):
        return f"the reject with key {key} has no path or no reason"
    if not labels or not all(type(item) in (int, float) for item in labels):
        return f"the reject with key {key} has no label"
    if value.get("stage") not in _STAGES:
        return f"the reject with key {key} has no stage that there is"
    split = value.get("split", 0)
    if not isinstance(split, (str, type(None))) or split not in splits:
        return f"the reject with key {key} is of no split that there is"
    return value


def _stages(counts: dict[str, int] | Counter[str]) -> str:
    return ", ".join(f"{count} at {stage}" for stage, count in sorted(counts.items())) or "no rejects"


# ---- classes.txt


def read_class_names(path: Path) -> list[str]:
    """The names of a classes.txt; a file of any size is read in bounded time and memory.

    Raises:
        SourceError: unreadable, too large, not UTF-8, or with a blank or repeated name.
    """
    names: list[str] = []
    seen: set[str] = set()
    size = 0
    for number, line in text_lines(path, _MAX_LINE):
        size += len(line)
        if size > _MAX_CLASSES:
            raise unreadable(path, OSError(f"it has over {_MAX_CLASSES} bytes, and is no list of classes"))
        try:
            name = line.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise unreadable(path, OSError(f"line {number} is not UTF-8")) from None
        if name in seen or number != len(names) + 1:
            raise unreadable(path, OSError(f"line {number} or the one before it is blank, or repeats a name"))
        seen.add(name)
        names.append(name)
    return names


# ---- what the records say


def check_split(manifest: Manifest, name: str, tables: list[Table], entries: int, faults: Faults) -> None:
    """A split's counts and its histogram, against its records; ``entries`` are the lines of its lists."""
    split = manifest.splits[name]
    records = sum(len(table.keys) for table in tables)
    path = str(manifest.path)
    if records != split.packed:
        faults.add(Fault(path, f"split {name} has {split.packed} packed, and its files hold {records} whole records"))
    if entries != split.listed:
        faults.add(Fault(path, f"split {name} has {split.listed} listed, and its lists have {entries} entries"))
    if split.labels is not None and all(label.lstrip("-").isdecimal() for label in split.labels):
        # Beyond whole numbers, rounding to float32 may join what the list held apart.
        counts = histogram(label for table in tables for label in table.firsts if label == label)
        if counts != split.labels:
            faults.add(Fault(path, f"the histogram of split {name} differs from its records' labels"))


def check_keys_apart(manifest: Manifest, tables: list[Table], rejects: Rejects, faults: Faults) -> None:
    """No key twice in a dataset, be it in two files or as a record and a reject."""
    import numpy as np

    parts = [np.frombuffer(table.keys, np.uint64) for table in tables if table.keys]
    together, counts = np.unique(np.concatenate(parts), return_counts=True) if parts else (np.empty(0), np.empty(0))
    within = sum(len(part) - len(np.unique(part)) for part in parts)
    if len(parts) > 1 and int((counts - 1).sum()) > within:
        key = int(together[counts > 1][0])
        faults.add(Fault(str(manifest.path), "records of two files have the same key", key=key))
    refused = np.fromiter((key for keys in rejects.values() for key in keys), np.uint64)
    for key in np.intersect1d(refused, together)[:MAX_BAD_LINES].tolist():
        faults.add(Fault(str(manifest.path.with_name(REJECTS)), "the key is a record's too", key=int(key)))
