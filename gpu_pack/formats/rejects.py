"""rejects.jsonl: a JSON object a line for each image that was not packed."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, get_args

from gpu_pack.formats.bounded_json import bounded_json
from gpu_pack.types import REJECT_CODES, Rejected, Stage

NAME = "rejects.jsonl"
#: key, path, label (a number, or a list, empty if it is not known), split (None for what is in no list),
#: stage, reason, code.
Reject = dict[str, Any]


def reject(rejected: Rejected, split: str | None) -> Reject:
    """What rejects.jsonl says of an image."""
    entry = rejected.entry
    return {
        "key": entry.key,
        "path": entry.path,
        "label": entry.labels[0] if len(entry.labels) == 1 else list(entry.labels),
        "split": split,
        "stage": rejected.stage,
        "reason": rejected.reason,
        "code": rejected.code,
    }


def reject_line(value: Reject) -> bytes:
    """A reject as a line of the file. A lone surrogate (a byte of a name that is not UTF-8) becomes an escape."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def parse_reject(line: bytes, splits: Collection[str | None]) -> Reject:
    """A line of the file, checked.

    Args:
        splits: the splits that it may name.

    Raises:
        ValueError: what is wrong with the line.
    """
    try:
        value = bounded_json(line)
    except (ValueError, RecursionError):
        raise ValueError("the line is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError("the line is not a JSON object")
    key, label, split = value.get("key"), value.get("label"), value.get("split", 0)
    if type(key) is not int or not 0 <= key < 1 << 64:
        raise ValueError("it has no key")
    labels = label if isinstance(label, list) else [label]
    checks = {
        "path": isinstance(value.get("path"), str),
        "reason": isinstance(value.get("reason"), str),
        "known code": value.get("code") in (None, *REJECT_CODES),  # None: earlier versions had no codes
        "label": (bool(labels) or split is None) and all(type(item) in (int, float) for item in labels),
        "known stage": value.get("stage") in get_args(Stage),
        "known split": isinstance(split, (str, type(None))) and split in splits,
    }
    for what, holds in checks.items():
        if not holds:
            raise ValueError(f"the reject with key {key} has no {what}")
    return value
