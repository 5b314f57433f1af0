"""What merge and divide did, and the manifest that says so."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from typing import Any

import gpu_pack
from gpu_pack.formats.notices import Notice
from gpu_pack.formats.published_file import PublishedFile
from gpu_pack.formats.rejects import NAME as REJECTS
from gpu_pack.pipeline.report import SplitCount
from gpu_pack.tools.input_records import Input
from gpu_pack.types import Damage, TransformSpec


@dataclass
class Copied:
    """What `gpu_pack.merge` or `gpu_pack.divide` did.

    Attributes:
        out: the folder.
        records, bytes: written, and the sizes of the .rec files.
        left_out: records that the fractions give to no split.
        metadata: records without a picture, which are left out.
        renumbered, relabelled: records with another key, or other labels, than in their input.
        splits: counts, label histogram and .rec files by split.
        classes: how many names there are; None where labels are numbers.
        inputs: each .rec that was read: path, split, records that were copied, bytes, sha256, and the sha256 of its
            manifest or None.
        files: size and sha256 of each published file.
        notes, warnings: code, message, count, example.
        seconds: duration.
    """

    out: str
    records: int = 0
    bytes: int = 0
    left_out: int = 0
    metadata: int = 0
    renumbered: int = 0
    relabelled: int = 0
    splits: dict[str, SplitCount] = field(default_factory=dict)
    classes: int | None = None
    inputs: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Copied:
        """The report that `to_json` made ``value`` of."""
        return cls(**{**value, "splits": {name: SplitCount(**count) for name, count in value["splits"].items()}})


def copy_manifest(report: Copied, inputs: Sequence[Input], command: dict[str, Any]) -> dict[str, Any]:
    """The manifest.json of records that were copied.

    Args:
        command: its name and options.
    """
    return {
        "format": 1,
        "versions": _versions(inputs),
        "options": asdict(promised_spec(inputs)),
        "command": command,
        "inputs": report.inputs,
        "listed": report.records + report.left_out,
        "packed": report.records,
        "rejected": 0,
        "left_out": report.left_out,
        "classes": report.classes,
        "splits": {name: asdict(count) for name, count in report.splits.items()},
        "rejects": {},
        "packed_by": {"copied": report.records} if report.records else {},
        "skipped": {},
        "notes": report.notes,
        "warnings": report.warnings,
        "files": report.files,
        "run": {
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "seconds": round(report.seconds, 3),
        },
    }


def promised_spec(inputs: Sequence[Input]) -> TransformSpec:
    """What all pictures have in common: the options that they were packed with, or else that they are files."""
    specs = _specs(inputs)
    if len(specs) == 1 and all(each.target.manifest is not None for each in inputs):
        return specs[0]
    most = max((spec.max_pixels for spec in specs), default=TransformSpec().max_pixels)
    damage: Damage = "keep" if any(spec.damage == "keep" for spec in specs) else "reject"
    return TransformSpec(pass_through=True, max_pixels=most, damage=damage, formats="any")


def input_facts(each: Input, records: int, file: PublishedFile) -> dict[str, Any]:
    """What the manifest says of an input; ``records`` are those of it that were copied."""
    manifest = each.target.manifest
    return {
        "path": str(each.rec),
        "split": each.target.split_name,
        "records": records,
        **file.to_json(),
        "manifest": hashlib.sha256(manifest.text).hexdigest() if manifest is not None else None,
    }


def input_notices(inputs: Sequence[Input]) -> list[Notice]:
    """What there is to say of the inputs: no checksums, rejects that stay behind, pictures that were not made alike."""
    found = [Notice("no-manifest", example=str(each.rec)) for each in inputs if each.target.manifest is None]
    manifests = {each.target.manifest.path: each.target.manifest for each in inputs if each.target.manifest is not None}
    for path, manifest in manifests.items():
        if manifest.rejected:
            found.append(Notice("rejects-left", manifest.rejected, str(path.with_name(REJECTS))))
    return found + _differing(inputs)


def _differing(inputs: Sequence[Input]) -> list[Notice]:
    specs = _specs(inputs)
    if len(specs) < 2:
        return []
    differ = [each.name for each in fields(TransformSpec) if len({getattr(spec, each.name) for spec in specs}) > 1]
    one, other = ({name: getattr(spec, name) for name in differ} for spec in specs[:2])
    told = ", ".join(f"{name} {one[name]} and {other[name]}" for name in differ if one[name] != other[name])
    return [Notice("options-differ", len(specs), told)]


def _specs(inputs: Sequence[Input]) -> list[TransformSpec]:
    """The different ones, in order."""
    return list(dict.fromkeys(each.target.manifest.spec for each in inputs if each.target.manifest is not None))


def _versions(inputs: Sequence[Input]) -> dict[str, Any]:
    """Of the libraries that made the pictures, where all inputs name the same."""
    manifests = [each.target.manifest for each in inputs]
    found = [manifest.document.get("versions") if manifest is not None else None for manifest in manifests]
    same = isinstance(found[0], dict) and all(each == found[0] for each in found)
    return dict(found[0] or {}) if same else {"gpu-pack": gpu_pack.__version__}
