"""The public names, and the functions as a Python caller uses them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import gpu_pack
from tests.folders import ENVIRONMENT

NAMES = """
    BackendError CreateOptions DeviceOptions Division Encoded FormatError GpuPackError ListError OutputError
    OutputExistsError OutputLockedError Progress RecordDataset RecordStream Rejected Report SourceError StrictError
    TransformSpec UsageError __version__ collate create divide extract index inspect merge recordio report transform
    verify
"""


def test_the_public_names() -> None:
    assert sorted(gpu_pack.__all__) == sorted(NAMES.split())
    for name in NAMES.split():
        assert name in dir(gpu_pack) and getattr(gpu_pack, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'pack'"):
        gpu_pack.pack  # noqa: B018


def test_importing_is_light_and_touches_nothing_of_the_process() -> None:
    code = (
        "import os, signal, sys\n"
        "before = os.fstat(2), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)\n"
        "import gpu_pack\n"
        "heavy = {'numpy', 'cv2', 'typer', 'rich', 'concurrent.futures'} & {*sys.modules}\n"
        "assert not heavy, heavy\n"
        "assert gpu_pack.recordio.MXRecordIO and gpu_pack.UsageError\n"
        "assert before == (os.fstat(2), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))\n"
    )
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True, timeout=60)


def test_a_run_leaves_streams_signals_and_descriptors_alone(photos: Path, tmp_path: Path) -> None:
    def state() -> tuple[object, ...]:
        streams = [os.fstat(number)[:3] for number in (1, 2)]
        return (*streams, sys.stdout, sys.stderr, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))

    before, seen = state(), []
    gpu_pack.create(photos, tmp_path / "out", size=16, device="cpu", progress=lambda _: seen.append(state()))
    gpu_pack.verify(tmp_path / "out", on_progress=lambda _: seen.append(state()))
    assert seen and all(each == before for each in [*seen, state()])


def test_a_log_that_nobody_set_up_prints_nothing() -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("gpu_pack").handlers)


def test_from_packing_to_reading(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    report = gpu_pack.create(
        photos, out, size=24, splits={"train": 0.8, "val": 0.2}, device="cpu", encoding="png", workers=1
    )
    assert {name: count.packed for name, count in report.splits.items()} == {"train": 24, "val": 6}
    assert gpu_pack.verify(out).ok and gpu_pack.verify([out]).records == 30
    assert gpu_pack.inspect(out).formats == {"png": 30}
    assert gpu_pack.extract(out, tmp_path / "files").written == 30
    (out / "val.idx").unlink()
    (indexed,) = gpu_pack.index([out / "val.rec"])
    assert indexed.records == 6
    dataset = gpu_pack.RecordDataset(out / "train.rec")
    assert (len(dataset), dataset.classes) == (24, ["ant", "bee", "cat"])
    assert np.bincount(dataset.labels).tolist() == [8, 8, 8]
    assert capsys.readouterr() == ("", ""), "a library prints nothing"


def test_progress(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, int | None]] = []
    gpu_pack.create(photos, tmp_path / "a", size=16, progress=lambda state: seen.append((state.done, state.total)))
    assert seen[0] == (0, 30) and seen[-1] == (30, 30)
    gpu_pack.create(photos, tmp_path / "b", size=16, progress=True)
    assert capsys.readouterr().out == "", "so short a run shows nothing where there is no terminal"
    with pytest.raises(TypeError, match="options is a CreateOptions, not bool"):
        gpu_pack.create(photos, tmp_path / "c", True)  # type: ignore[arg-type]


def test_options_objects_are_what_keywords_start_from(photos: Path, tmp_path: Path) -> None:
    halves = gpu_pack.Division((("a", Fraction(1, 2)), ("b", Fraction(1, 2))))
    options = gpu_pack.CreateOptions(gpu_pack.TransformSpec(size=16), halves, gpu_pack.DeviceOptions("cpu"))
    report = gpu_pack.create(photos, tmp_path / "out", options, shards=3, dry_run=True)
    assert {name: len(count.shards) for name, count in report.splits.items()} == {"a": 3, "b": 3}
    assert options.dry_run is False and not (tmp_path / "out").exists()
