"""manifest.json: options, counts, and the size and sha256 of every file that `create` published (or of its parts: see
`gpu_pack.formats.published_file`).

The last line of its last member, ``run``, is the sha256 of the text itself with 64 zeros in place of the digest: any
flipped bit shows. ``run`` holds what differs between two runs of one plan, such as times and the device.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gpu_pack.errors import FormatError, SourceError
from gpu_pack.formats.bounded_json import bounded_json
from gpu_pack.formats.published_file import PublishedFile
from gpu_pack.stores.data_path import DataPath
from gpu_pack.types import TransformSpec

NAME = "manifest.json"
#: The largest that create writes has 300,000 files in it and is smaller.
_MAX_BYTES = 64 << 20
_MAX_COUNT = (1 << 63) - 1
#: More different labels are measurements, not classes, and are not counted.
MAX_LABELS = 100_000
_ZEROS = b"0" * 64
_CHECKSUM = re.compile(rb',\n  "sha256": "([0-9a-f]{64})"\n }\n}\Z')
_SHA256 = re.compile(r"[0-9a-f]{64}")


def manifest_bytes(document: dict[str, Any]) -> bytes:
    """A manifest as JSON text with its checksum; ``run`` is its last member and not empty."""
    run = {**document["run"], "sha256": _ZEROS.decode()}
    # A lone surrogate (a byte of a file name that is not UTF-8) becomes a JSON escape.
    text = json.dumps({**document, "run": run}, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")
    found = _CHECKSUM.search(text)
    assert found is not None
    return text[: found.start(1)] + hashlib.sha256(text).hexdigest().encode() + text[found.end(1) :]


def checksum_fault(text: bytes) -> str | None:
    """How a manifest's text contradicts its checksum; None where it does not."""
    found = _CHECKSUM.search(text)
    if found is None:
        return "its own checksum, the sha256 at its end, is missing or damaged"
    expected = hashlib.sha256(text[: found.start(1)] + _ZEROS + text[found.end(1) :]).hexdigest()
    return None if expected.encode() == found[1] else "its text differs from its own checksum, the sha256 at its end"


@dataclass(frozen=True)
class Split:
    """Counts of a split, its packed images by label (None: too many labels), and its .rec files."""

    listed: int
    packed: int
    rejected: int
    labels: dict[str, int] | None
    shards: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """A manifest whose every value was checked.

    Attributes:
        path, text: the file and its bytes.
        spec: how the images were transformed.
        splits, files: by name.
        classes: how many there are; None without classes.txt.
        rejects: rejected images by stage.
        packed_by: packed images by backend.
        target: the reader that the files are laid out for, such as ``insightface``, or None.
        document: all values.
    """

    path: DataPath
    text: bytes
    spec: TransformSpec
    splits: dict[str, Split]
    files: dict[str, PublishedFile]
    listed: int
    packed: int
    rejected: int
    left_out: int
    classes: int | None
    rejects: dict[str, int]
    packed_by: dict[str, int]
    target: str | None
    document: dict[str, Any]


def read_manifest(path: DataPath) -> Manifest | None:
    """Read a manifest and check its values, but not its checksum (see `checksum_fault`). None: there is no such file.

    Raises:
        FormatError: it is not a manifest, or a damaged one.
        SourceError: it cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FormatError("not a plain file", str(path))
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return _manifest(path, text)
    except KeyError as error:
        what = f"{error} is missing"
    except RecursionError:
        what = "nested too deep"
    except ValueError as error:
        what = str(error)
    raise FormatError(f"the manifest is damaged, or none of gpu-pack's: {what[:300]}", str(path))


def published_document(folder: Path) -> dict[str, Any] | None:
    """All values of the manifest in a folder, unchecked; None where there is none that can be read."""
    try:
        return unchecked_document((folder / NAME).read_bytes())
    except OSError:
        return None


def unchecked_document(text: bytes) -> dict[str, Any] | None:
    """All values of a manifest's text; None where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("files"), dict) else None


def published_names(files: Collection[str]) -> list[str]:
    """The files that a manifest tells of, itself and what other commands add to them; plain names only."""
    names = [NAME, "sagemaker.json", *files] if files else []
    return [name for name in names if Path(name).name == name]


def plain_name(name: str) -> bool:
    """Whether this is the name of a file directly in a folder, on every system."""
    return 0 < len(name) <= 255 and name not in (".", "..") and not any(letter in "/\\:\0" for letter in name)


def _manifest(path: DataPath, text: bytes) -> Manifest:
    if len(text) > _MAX_BYTES:
        raise ValueError(f"it has over {_MAX_BYTES} bytes")
    document = bounded_json(text)
    _expect(isinstance(document, dict), "it is not an object")
    _expect(document["format"] == 1, f"its format is {_short(document['format'])}, and this gpu-pack reads format 1")
    return Manifest(
        path,
        text,
        _spec(_object(document, "options")),
        {_name(name): _split(_object(document["splits"], name)) for name in _object(document, "splits")},
        {_name(name): _file(_object(document["files"], name), name) for name in _object(document, "files")},
        **{name: _count(document, name) for name in ("listed", "packed", "rejected", "left_out")},
        classes=None if document["classes"] is None else _count(document, "classes"),
        rejects=_counts(document, "rejects"),
        packed_by=_counts(document, "packed_by"),
        target=_target(document["options"]),
        document=document,
    )


#: Fields of `TransformSpec` that came after the first manifests.
_LATER = ("background", "depth", "depth_bits", "damage", "formats")


def _spec(options: dict[str, Any]) -> TransformSpec:
    values = {each.name: options[each.name] for each in fields(TransformSpec) if each.name not in _LATER}
    values |= {name: options[name] for name in _LATER if name in options}  # older manifests lack them
    _expect(values["quality"] is not None, "option quality is None")
    return TransformSpec(**values)


def _target(options: dict[str, Any]) -> str | None:
    target = options.get("target")
    _expect(target in (None, "insightface"), f"target is {_short(target)}, which this gpu-pack does not know")
    return None if target is None else str(target)


def _split(value: dict[str, Any]) -> Split:
    shards = value["shards"]
    names = isinstance(shards, list) and all(isinstance(item, str) and item.endswith(".rec") for item in shards)
    _expect(names, "a split's shards are not .rec files")
    labels = None if value["labels"] is None else _counts(value, "labels")
    listed, packed, rejected = (_count(value, key) for key in ("listed", "packed", "rejected"))
    return Split(listed, packed, rejected, labels, tuple(map(_name, shards)))


def _file(value: dict[str, Any], name: str) -> PublishedFile:
    size = _count(value, "bytes")
    if "parts" not in value:
        sha256 = value["sha256"]
        _expect(isinstance(sha256, str) and _SHA256.fullmatch(sha256) is not None, f"file {_short(name)} has no sha256")
        return PublishedFile(size, sha256)
    listed = value["parts"]
    _expect(isinstance(listed, list) and all(isinstance(each, dict) for each in listed), f"{_short(name)}: bad parts")
    parts = tuple(_file({"bytes": each["bytes"], "sha256": each["sha256"]}, name) for each in listed)
    whole = len(parts) > 1 and all(part.bytes for part in parts) and sum(part.bytes for part in parts) == size
    _expect(whole, f"the parts of file {_short(name)} are not the whole of it")
    return PublishedFile(size, None, parts)


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent[name]
    _expect(isinstance(value, dict), f"{_short(name)} is not an object")
    return dict(value)


def _counts(parent: dict[str, Any], name: str) -> dict[str, int]:
    return {key: _count(parent[name], key) for key in _object(parent, name)}


def _count(parent: dict[str, Any], name: str) -> int:
    value = parent[name]
    _expect(type(value) is int and 0 <= value <= _MAX_COUNT, f"{_short(name)} is {_short(value)}, not a count")
    return int(value)


def _name(name: str) -> str:
    _expect(plain_name(name), f"{_short(name)} is no plain file name")
    return name


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def histogram(labels: Iterable[float]) -> dict[str, int] | None:
    """How often each label occurs, as in the manifest, lowest first; None if there are too many to be classes."""
    counts: Counter[float] = Counter()
    for label in labels:
        counts[label] += 1
        if len(counts) > MAX_LABELS:
            return None
    return counted(counts)


def counted(counts: Mapping[float, int]) -> dict[str, int] | None:
    """`histogram`, of labels that are counted already; those that never occur are left out."""
    found = sorted(label for label, count in counts.items() if count)
    if len(found) > MAX_LABELS:
        return None
    return {f"{label:g}" if label % 1 else str(int(label)): counts[label] for label in found}
