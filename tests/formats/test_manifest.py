"""manifest.json: its checksum, its values as written and read, and one error for anything else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from gpu_pack.errors import FormatError, SourceError
from gpu_pack.formats.manifest import (
    NAME,
    Split,
    checksum_fault,
    manifest_bytes,
    plain_name,
    published_document,
    read_manifest,
)
from gpu_pack.formats.published_file import PublishedFile
from gpu_pack.types import TransformSpec

SHA256 = "0123456789abcdef" * 4


def make_document() -> dict[str, Any]:
    return {
        "format": 1,
        "options": asdict(TransformSpec(size=64, encoding="png")),
        "listed": 5,
        "packed": 3,
        "rejected": 1,
        "left_out": 1,
        "classes": 2,
        "splits": {"train": {"listed": 4, "packed": 3, "rejected": 1, "labels": {"0": 3}, "shards": ["train.rec"]}},
        "rejects": {"decode": 1},
        "packed_by": {"cpu": 3},
        "files": {"train.rec": {"bytes": 99, "sha256": SHA256}},
        "run": {"started": "now"},
    }


def test_the_checksum_covers_every_bit() -> None:
    text = manifest_bytes({"format": 1, "skipped": {".\udcff": 1, ".ü": 2}, "run": {"started": "now"}})
    assert checksum_fault(text) is None
    assert json.loads(text)["skipped"] == {".\udcff": 1, ".ü": 2}
    for position in range(len(text)):
        for bit in range(8):
            assert checksum_fault(text[:position] + bytes([text[position] ^ 1 << bit]) + text[position + 1 :])


def test_values_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(manifest_bytes(make_document()))
    found = read_manifest(path)
    assert found is not None
    assert checksum_fault(found.text) is None
    assert found.spec == TransformSpec(size=64, encoding="png")
    assert found.splits == {"train": Split(4, 3, 1, {"0": 3}, ("train.rec",))}
    assert found.files == {"train.rec": PublishedFile(99, SHA256)}
    assert (found.listed, found.packed, found.rejected, found.left_out, found.classes) == (5, 3, 1, 1, 2)
    assert (found.rejects, found.packed_by) == ({"decode": 1}, {"cpu": 3})
    assert found.document == published_document(tmp_path)
    assert found.document["run"]["started"] == "now"


def set_to(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda document: document.pop("listed"), "'listed' is missing"),
        (set_to("format", value=2), "its format is 2"),
        (set_to("listed", value=-1), "'listed' is -1, not a count"),
        (set_to("listed", value=True), "'listed' is True, not a count"),
        (set_to("packed", value=10**29), "not a count"),
        (set_to("packed", value=10**40), "a number is too long"),
        (set_to("classes", value="two"), "'classes' is 'two', not a count"),
        (set_to("options", value=[]), "'options' is not an object"),
        (set_to("options", "quality", value=None), "option quality is None"),
        (set_to("options", "size", value="64"), "size='64'"),
        (set_to("options", "encoding", value="gif"), "encoding=gif"),
        (set_to("splits", "train", value=None), "'train' is not an object"),
        (set_to("splits", "../up", value={}), "is no plain file name"),
        (set_to("splits", "train", "shards", value=["train.idx"]), "not .rec files"),
        (set_to("splits", "train", "shards", value=["../train.rec"]), "is no plain file name"),
        (set_to("splits", "train", "labels", value={"0": "3"}), "not a count"),
        (set_to("files", "train.rec", "sha256", value=SHA256.upper()), "has no sha256"),
        (set_to("files", "train.rec", "bytes", value=1.5), "not a count"),
        (set_to("x" * 10**5, value=float("nan")), "NaN is not JSON"),
    ],
)
def test_damaged_values_are_named(tmp_path: Path, change: Callable[[dict[str, Any]], None], what: str) -> None:
    document = make_document()
    change(document)
    (tmp_path / NAME).write_text(json.dumps(document))
    with pytest.raises(FormatError, match=what) as caught:
        read_manifest(tmp_path / NAME)
    assert caught.value.path == str(tmp_path / NAME) and len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"", "Expecting value"),
        (b"\xff", "utf-8"),
        (b"[]", "not an object"),
        (b"[" * 100_000, "nested too deep"),
        (b"[" * 1_000_001, "too many parts"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: bytes, what: str) -> None:
    (tmp_path / NAME).write_bytes(text)
    with pytest.raises(FormatError, match=what):
        read_manifest(tmp_path / NAME)
    assert published_document(tmp_path) is None


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / NAME) is None
    assert published_document(tmp_path) is None
    (tmp_path / NAME).mkdir()
    with pytest.raises(FormatError, match="not a plain file"):
        read_manifest(tmp_path / NAME)
    if os.name != "nt":
        with pytest.raises(SourceError, match="cannot be read"):
            read_manifest(tmp_path / ("x" * 300))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "C:x", "a\0", "x" * 256])
def test_names_that_are_not_plain(name: str) -> None:
    assert not plain_name(name)
    assert plain_name("train-00000-of-00002.rec")
