"""Checks that manifest, rejects and classes agree with each other and with the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gpu_pack.formats.bounded_json import bounded_json
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.insightface import PROPERTY
from gpu_pack.formats.manifest import Manifest, checksum_fault, histogram
from gpu_pack.formats.rejects import NAME as REJECTS
from gpu_pack.formats.rejects import parse_reject
from gpu_pack.stores.data_path import DataPath
from gpu_pack.tools.faults import Faults
from gpu_pack.tools.record_table import RecordTable
from gpu_pack.tools.text_lines import MAX_BAD_LINES, parsed_lines

#: Keys of the rejects by split; None holds the files that could not be listed.
Rejects = dict[str | None, set[int]]


def check_manifest(manifest: Manifest, faults: Faults) -> None:
    """Check the manifest's own checksum and its sums."""
    path = manifest.path
    if broken := checksum_fault(manifest.text):
        faults.add(path, broken)
    splits = manifest.splits.values()
    total = manifest.packed + manifest.rejected + manifest.left_out
    sums = (
        ("listed", manifest.listed, "packed, rejected and left out", total),
        ("packed", manifest.packed, "the splits hold", sum(split.packed for split in splits)),
        ("packed", manifest.packed, "the backends made", sum(manifest.packed_by.values())),
        ("rejected", manifest.rejected, "the stages rejected", sum(manifest.rejects.values())),
    )
    for what, count, others, expected in sums:
        if count != expected:
            faults.add(path, f"the account does not balance: {what} are {count}, {others} {expected}")
    for name, split in manifest.splits.items():
        if split.listed != split.packed + split.rejected:
            what = f"{split.listed} listed are not {split.packed} packed and {split.rejected} rejected"
            faults.add(path, f"the account of split {name} does not balance: {what}")
    needed = {name for split in splits for shard in split.shards for name in _three(shard)} | {REJECTS}
    needed |= {CLASSES} if manifest.classes is not None else set()
    needed |= {PROPERTY} if manifest.target == "insightface" else set()
    for name in sorted(needed ^ manifest.files.keys()):
        what = "is not among its files" if name in needed else "is among its files and belongs to no split"
        faults.add(path, f"{name} {what}")


def _three(shard: str) -> tuple[str, str, str]:
    stem = shard.removesuffix(".rec")
    return shard, stem + ".idx", stem + ".lst"


# ---- rejects.jsonl


def read_rejects(manifest: Manifest, faults: Faults) -> Rejects:
    """Read rejects.jsonl; check every line, and the counts by stage against the manifest.

    Raises:
        SourceError: the file cannot be read.
    """
    path = manifest.path.with_name(REJECTS)
    found: Rejects = {None: set(), **{name: set() for name in manifest.splits}}
    stages: Counter[str] = Counter()
    seen: set[int] = set()
    for number, reject in parsed_lines(path, lambda line, _: parse_reject(line, found), faults):
        key = reject["key"]
        if key in seen:
            faults.add(path, "an earlier line has the same key", key=key, line=number)
        seen.add(key)
        found[reject["split"]].add(key)
        stages[reject["stage"]] += 1
    if dict(stages) != manifest.rejects:
        faults.add(path, f"it has {_stages(stages)}, and the manifest {_stages(manifest.rejects)}")
    return found


def group_rejects(path: DataPath, faults: Faults) -> dict[str, dict[str, Any]]:
    """The rejects by code, the most frequent first: count, and path (``example``) and reason of the first.

    Raises:
        SourceError: the file cannot be read.
    """
    groups: dict[str, dict[str, Any]] = {}
    for _, value in parsed_lines(path, lambda line, _: _json_object(line), faults):
        code = value.get("code")
        group = groups.setdefault(
            code if isinstance(code, str) else "unknown",  # files of earlier versions have no codes
            {"count": 0, "example": str(value.get("path")), "reason": str(value.get("reason"))},
        )
        group["count"] += 1
    return dict(sorted(groups.items(), key=lambda item: -item[1]["count"]))


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        value = bounded_json(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError("the line is not a JSON object")
    return value


def _stages(counts: dict[str, int] | Counter[str]) -> str:
    return ", ".join(f"{count} at {stage}" for stage, count in sorted(counts.items())) or "no rejects"


# ---- what the records say


def check_totals(
    manifest: Manifest, tables: Mapping[str | None, Sequence[RecordTable]], rejects: Rejects, faults: Faults
) -> None:
    """Compare counts and label histograms with the records of each split; no key may come twice in a dataset."""
    path = manifest.path
    for name, split in manifest.splits.items():
        found = tables.get(name, ())
        records, entries = sum(table.pictures for table in found), sum(table.entries for table in found)
        if records != split.packed:
            faults.add(path, f"split {name} has {split.packed} packed, and its files hold {records} whole records")
        if entries != split.listed:
            faults.add(path, f"split {name} has {split.listed} listed, and its lists have {entries} entries")
        if split.labels is not None and all(label.lstrip("-").isdecimal() for label in split.labels):
            # Other labels were counted before they were rounded to float32, which may join two of them.
            counts = histogram(label for table in found for label in table.picture_labels() if label == label)
            if counts != split.labels:
                faults.add(path, f"the histogram of split {name} differs from its records' labels")
    _check_keys(manifest, [table for found in tables.values() for table in found], rejects, faults)


def _check_keys(manifest: Manifest, tables: Sequence[RecordTable], rejects: Rejects, faults: Faults) -> None:
    import numpy as np

    files = [np.unique(np.asarray(table.keys)) for table in tables]
    together, counts = np.unique(np.concatenate([np.empty(0, np.uint64), *files]), return_counts=True)
    if (repeated := together[counts > 1]).size:
        faults.add(manifest.path, "records of two files have the same key", key=int(repeated[0]))
    refused = np.fromiter((key for keys in rejects.values() for key in keys), np.uint64)
    for key in np.intersect1d(refused, together)[:MAX_BAD_LINES].tolist():
        faults.add(manifest.path.with_name(REJECTS), "the key is a record's too", key=key)
