"""Whatever a dataset's files hold, the tools return a result, list faults, or raise a documented error."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_pack.dataset import RecordDataset
from gpu_pack.errors import GpuPackError
from gpu_pack.formats.manifest import manifest_bytes
from gpu_pack.formats.salvage_scan import FoundRecord, salvage_scan
from gpu_pack.recordio.framing import MAGIC_BYTES
from gpu_pack.tools.extract import extract
from gpu_pack.tools.index import index
from gpu_pack.tools.inspect import inspect
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.verify import Verification, verify
from tests.tools.foreign_records import entries, insightface, joined, protobuf, without_ids

_SETTINGS = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30, deadline=None
)
_JUNK = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([MAGIC_BYTES, MAGIC_BYTES + b"\0\0\0\x20", b"\xff" * 8, b"\t", b"\n", b"-1", b"1e999", b"null"]),
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def _copy(dataset: Path) -> Path:
    """Another copy of a dataset for each example."""
    number = len(os.listdir(dataset.parent))
    return Path(shutil.copytree(dataset, dataset.parent / f"copy-{number}"))


def _read_all(folder: Path) -> Verification | None:
    """Verify, inspect and extract a dataset; gives what verify found."""
    found = None
    with contextlib.suppress(GpuPackError):
        found = verify([folder], workers=2)
        json.dumps(found.to_json(), allow_nan=False)
        json.dumps(inspect(folder).to_json(), allow_nan=False)
    for layout in ("list", "class"):
        with contextlib.suppress(GpuPackError):
            extract(folder, folder / layout, layout=layout)  # type: ignore[arg-type]
    return found


@_SETTINGS
@given(st.data())
def test_a_file_with_foreign_bytes_in_it(dataset: Path, data: st.DataObject) -> None:
    folder = _copy(dataset)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())), label="file")
    before = path.read_bytes()
    begin = data.draw(st.integers(0, len(before)), label="begin")
    end = data.draw(st.integers(begin, min(len(before), begin + 60)), label="end")
    path.write_bytes(after := before[:begin] + data.draw(_JUNK, label="junk") + before[end:])
    found = _read_all(folder)
    assert found is None or found.ok == (before == after)
    if path.suffix == ".rec":
        for rekey in (False, True):
            with contextlib.suppress(GpuPackError):
                index(path, rekey=rekey, overwrite=True)


@_SETTINGS
@given(st.data())
def test_foreign_records_with_foreign_bytes_in_them(tmp_path: Path, data: st.DataObject) -> None:
    rec = tmp_path / str(len(os.listdir(tmp_path))) / "train.rec"
    data.draw(st.sampled_from([insightface, without_ids, joined, protobuf]), label="kind")(rec)
    for path in sorted(rec.parent.iterdir()):
        before = path.read_bytes()
        begin = data.draw(st.integers(0, len(before)), label="begin")
        end = data.draw(st.integers(begin, min(len(before), begin + 60)), label="end")
        path.write_bytes(before[:begin] + data.draw(_JUNK, label="junk") + before[end:])
    _read_all(rec.parent)
    with contextlib.suppress(GpuPackError):
        for record in range(len(dataset := RecordDataset(rec))):
            with contextlib.suppress(GpuPackError):
                dataset[record]
    idx = rec.with_suffix(".idx")
    old = idx.read_bytes() if idx.exists() else None
    for rekey in (False, True):
        (result,) = index(rec, rekey=rekey, overwrite=True)
        if not result.written:
            assert (idx.read_bytes() if idx.exists() else None) == old
            continue
        old = idx.read_bytes()
        found = dict(entries(rec))
        assert len(found) == len(entries(rec)) == result.records
        with RecFile(rec, whole=True) as file:
            whole = {item.offset for item in salvage_scan(file, payloads=True) if isinstance(item, FoundRecord)}
        assert whole <= set(found.values())


@_SETTINGS
@given(st.data())
def test_a_manifest_with_another_value_in_it(dataset: Path, data: st.DataObject) -> None:
    folder = _copy(dataset)
    document = json.loads((folder / "manifest.json").read_bytes())
    run = document.pop("run")
    changed = copy.deepcopy(document)
    place = _place(changed, data)
    key = data.draw(st.sampled_from(sorted(place)), label="key")
    if data.draw(st.booleans(), label="remove"):
        del place[key]
    else:
        place[key] = data.draw(_VALUES, label="value")
    run.pop("sha256")
    (folder / "manifest.json").write_bytes(manifest_bytes({**changed, "run": run}))
    _read_all(folder)


def _place(value: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """Some object inside an object."""
    while True:
        inner = sorted(name for name, item in value.items() if isinstance(item, dict) and item)
        name = data.draw(st.sampled_from([None, *inner]), label="inside")
        if name is None:
            return value
        value = value[name]


@_SETTINGS
@given(line=st.dictionaries(st.sampled_from(["key", "path", "label", "split", "stage", "reason", "code"]), _VALUES))
def test_any_line_of_rejects(dataset: Path, line: dict[str, Any]) -> None:
    folder = _copy(dataset)
    (before,) = (folder / "rejects.jsonl").read_bytes().splitlines()
    (folder / "rejects.jsonl").write_bytes(json.dumps(json.loads(before) | line).encode() + b"\n")
    _read_all(folder)
