"""manifest.json as `create` publishes it, read by somebody who does not trust it."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from gpu_pack.errors import FormatError, UsageError
from gpu_pack.tools.faults import unreadable
from gpu_pack.types import TransformSpec

NAME = "manifest.json"
#: The largest that create writes has 300,000 files in it and stays under this.
_MAX_BYTES = 64 << 20
_MAX_NESTS, _MAX_VALUES = 1_000_000, 4_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = 1 << 63


@dataclass(frozen=True)
class Published:
    """What the manifest says of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Split:
    """What the manifest says of a split; see `gpu_pack.pipeline.report.SplitCount`."""

    listed: int
    packed: int
    rejected: int
    labels: dict[str, int] | None
    shards: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """A manifest whose every value has been looked at.

    Attributes:
        path, text: the file and its bytes.
        spec: the options of the images.
        splits, files: by name.
        classes: how many, or None where nobody named them.
        rejects: rejected images by stage.
        packed_by: packed images by backend.
        document: all of it.
    """

    path: Path
    text: bytes
    spec: TransformSpec
    splits: dict[str, Split]
    files: dict[str, Published]
    listed: int
    packed: int
    rejected: int
    left_out: int
    classes: int | None
    rejects: dict[str, int]
    packed_by: dict[str, int]
    document: dict[str, Any]


def read_manifest(path: Path) -> Manifest | None:
    """The manifest at ``path``; None where there is no such file.

    Raises:
        FormatError: it is no manifest, or a damaged one.
        SourceError: it cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise FormatError("not a plain file", str(path))
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return _manifest(path, text)
    except (ValueError, KeyError, TypeError, UsageError, RecursionError) as error:
        what = "nested too deep" if isinstance(error, RecursionError) else f"{type(error).__name__}: {error}"
        if isinstance(error, KeyError):
            what = f"{error} is missing"
        elif isinstance(error, ValueError):
            what = str(error)
        raise FormatError(f"the manifest is damaged, or none of gpu-pack's: {what}", str(path)) from None


def bounded_json(text: bytes) -> Any:
    """What a JSON text says; numbers that no file of ours holds are refused before they are worked out.

    Raises:
        ValueError, RecursionError: no JSON, or too much of it.
    """
    if text.count(b"[") + text.count(b"{") > _MAX_NESTS or text.count(b",") > _MAX_VALUES:
        raise ValueError("it has too many parts")
    return json.loads(text.decode(), parse_int=_int, parse_float=_float, parse_constant=_no_constant)


def plain_name(name: str) -> bool:
    """Whether this is the name of a file right in a folder, on every system."""
    return 0 < len(name) <= 255 and name not in (".", "..") and not any(letter in "/\\:\0" for letter in name)


def _manifest(path: Path, text: bytes) -> Manifest:
    if len(text) > _MAX_BYTES:
        raise ValueError(f"it has over {_MAX_BYTES} bytes")
    document = bounded_json(text)
    _expect(isinstance(document, dict), "it is no object")
    _expect(document["format"] == 1, f"its format is {_short(document['format'])}, and this gpu-pack reads format 1")
    return Manifest(
        path,
        text,
        _spec(_object(document, "options")),
        {_name(name): _split(value, name) for name, value in _object(document, "splits").items()},
        {_name(name): _published(value, name) for name, value in _object(document, "files").items()},
        **{name: _count(document, name) for name in ("listed", "packed", "rejected", "left_out")},
        classes=None if document["classes"] is None else _count(document, "classes"),
        rejects=_counts(document, "rejects"),
        packed_by=_counts(document, "packed_by"),
        document=document,
    )


def _spec(options: dict[str, Any]) -> TransformSpec:
    values = {field.name: options[field.name] for field in fields(TransformSpec)}
    for name, value in values.items():
        default = getattr(TransformSpec(), name)
        kind = int if name == "size" else type(default)
        _expect(type(value) is kind or (name == "size" and value is None), f"option {name} is {_short(value)}")
    for name, allowed in (("encoding", ("jpg", "png")), ("color", ("rgb", "gray", "unchanged"))):
        _expect(values[name] in allowed, f"option {name} is {_short(values[name])}")
    return TransformSpec(**values)


def _split(value: Any, name: str) -> Split:
    _expect(isinstance(value, dict), f"split {_short(name)} is no object")
    shards = value["shards"]
    _expect(isinstance(shards, list) and all(isinstance(item, str) for item in shards), "a split's shards are no names")
    labels = None if value["labels"] is None else _counts(value, "labels")
    _expect(all(item.endswith(".rec") for item in shards), "a split's shards are no .rec files")
    listed, packed, rejected = (_count(value, key) for key in ("listed", "packed", "rejected"))
    return Split(listed, packed, rejected, labels, tuple(map(_name, shards)))


def _published(value: Any, name: str) -> Published:
    _expect(isinstance(value, dict), f"file {_short(name)} is no object")
    sha256 = value["sha256"]
    _expect(isinstance(sha256, str) and _SHA256.fullmatch(sha256) is not None, f"file {_short(name)} has no sha256")
    return Published(_count(value, "bytes"), sha256)


def _object(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document[name]
    _expect(isinstance(value, dict), f"{name} is no object")
    return dict(value)


def _counts(document: dict[str, Any], name: str) -> dict[str, int]:
    return {key: _count(document[name], key) for key in _object(document, name)}


def _count(document: dict[str, Any], name: str) -> int:
    value = document[name]
    _expect(type(value) is int and 0 <= value < _LARGEST, f"{_short(name)} is {_short(value)}, and no count")
    return int(value)


def _name(name: str) -> str:
    _expect(plain_name(name), f"{_short(name)} is no plain file name")
    return name


def _int(text: str) -> int:
    if len(text) > 30:
        raise ValueError("a number is too long")
    return int(text)


def _float(text: str) -> float:
    value = float(text) if len(text) <= 400 else math.inf
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
