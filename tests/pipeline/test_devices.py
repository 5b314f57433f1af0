"""Devices as create uses them: the GPU path in DALI's CPU mode behind a probe that says yes, and what breaks there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack import recordio
from gpu_pack.errors import BackendError
from gpu_pack.gpu import probe, settings
from gpu_pack.gpu.driver import Gpu
from gpu_pack.processes import worker_process
from tests.folders import write_picture
from tests.pipeline.test_create import published

pytest.importorskip("nvidia.dali")
pytest.importorskip("nvidia.nvimgcodec")


@pytest.fixture(autouse=True)
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is the CPU: the very graph and encoders, in their CPU mode."""
    from gpu_pack.gpu import graph  # noqa: F401 - sets the libraries' log levels before they are imported

    fields = {"number": 0, "name": "CPU mode", "memory": 1 << 30, "compute": (9, 0)}
    gpu = Gpu(**{name: fields[name] for name in Gpu._fields if name in fields})
    monkeypatch.setattr(probe, "probe", lambda: probe.Probe(True, "CPU mode", gpus=(gpu,)))
    small = settings.GpuSettings(device="cpu", processes=1, workers=2, batch_size=8, threads=1)
    monkeypatch.setattr(settings, "default_settings", lambda: small)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Sixty pictures: mostly JPEG, some PNG, some bad."""
    root = tmp_path / "mixed"
    for number in range(60):
        suffix = ".png" if number % 10 == 3 else ".jpg"
        path = root / f"c{number % 3}" / f"{number:02d}{suffix}"
        write_picture(path, number, width=80, height=60)
        if number % 10 == 7:
            path.write_bytes(path.read_bytes()[:-30])
    return root


def options(device: str, **more: Any) -> gpu_pack.CreateOptions:
    spec = gpu_pack.TransformSpec(size=32)
    return gpu_pack.CreateOptions(spec, device=gpu_pack.DeviceOptions(device, encoder="cpu", **more))  # type: ignore[arg-type]


def keys(rec: Path) -> list[int]:
    with recordio.MXIndexedRecordIO(str(rec.with_suffix(".idx")), str(rec), "r") as file:
        return list(file.keys)


@pytest.mark.parametrize("device", ["auto", "gpu", "hybrid"])
def test_every_device_packs_the_same_images_in_the_same_order(device: str, mixed: Path, tmp_path: Path) -> None:
    expected = gpu_pack.create(mixed, tmp_path / "cpu", options("cpu"))
    report = gpu_pack.create(mixed, tmp_path / device, options(device))
    assert report.device == ("gpu" if device == "auto" else device)
    assert (report.packed, report.rejected, report.rejects) == (54, 6, expected.rejects)
    assert keys(tmp_path / device / "train.rec") == keys(tmp_path / "cpu" / "train.rec")
    assert (tmp_path / device / "rejects.jsonl").read_bytes() == (tmp_path / "cpu" / "rejects.jsonl").read_bytes()
    assert sum(report.packed_by.values()) == 54
    if device != "hybrid":
        assert report.packed_by == {"cpu": 6, "gpu": 48}, "the PNGs get their verdict from the CPU"
    manifest = json.loads((tmp_path / device / "manifest.json").read_text())
    assert (manifest["run"]["encoder"], manifest["packed_by"]) == ("cpu", report.packed_by)


#: Code for a process whose GPU is gone after some batches, for all processes and for good.
_BREAKING = """
import sys; sys.path[:] = sys.argv[3:]
from pathlib import Path
from gpu_pack.processes import worker_main
if sys.argv[2] == "gpu_pack.gpu.open_workers":
    from gpu_pack.errors import BackendError
    from gpu_pack.gpu.open_workers import GpuWorker
    setup, transform = GpuWorker.__init__, GpuWorker.transform
    done, gone = Path({folder!r}, "done"), Path({folder!r}, "gone")
    def opened(self, *args):
        if gone.exists():
            raise BackendError("the device is gone")
        setup(self, *args)
    def transformed(self, images):
        with done.open("ab") as file:
            if file.tell() >= {batches}:
                gone.touch()
                raise BackendError("the device is gone")
            file.write(b".")
        return transform(self, images)
    GpuWorker.__init__, GpuWorker.transform = opened, transformed
worker_main.main()
"""


def break_after(monkeypatch: pytest.MonkeyPatch, batches: int, folder: Path) -> None:
    """The GPU is gone after some batches, and is not there again."""
    folder.mkdir()
    monkeypatch.setattr(worker_process, "_COMMAND", _BREAKING.format(batches=batches, folder=str(folder)))


@pytest.mark.parametrize("device", ["auto", "hybrid"])
@pytest.mark.parametrize("batches", [0, 3])
def test_the_cpu_finishes_when_the_device_breaks(
    device: str, batches: int, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_after(monkeypatch, batches, tmp_path / "gpu")
    report = gpu_pack.create(mixed, tmp_path / "out", options(device))
    assert (report.packed, report.rejected) == (54, 6)
    assert all("the device is gone" in sentence for sentence in report.broken)
    assert report.broken or device == "hybrid", "under hybrid the CPU may have been done before the GPU was asked"


def test_under_gpu_a_broken_device_stops_a_run_that_goes_on_later(mixed: Path, tmp_path: Path) -> None:
    gpu_pack.create(mixed, tmp_path / "undisturbed", options("gpu"))
    with pytest.MonkeyPatch.context() as patch:
        break_after(patch, 3, tmp_path / "gpu")
        with pytest.raises(BackendError, match="the device is gone"):
            gpu_pack.create(mixed, tmp_path / "out", options("gpu"))
    report = gpu_pack.create(mixed, tmp_path / "out", options("gpu"))
    assert report.packed == 54
    assert published(tmp_path / "out") == published(tmp_path / "undisturbed")


def test_several_gpus_share_one_stream(mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = probe.probe().gpus[0]
    both = (one, one._replace(number=1))
    monkeypatch.setattr(probe, "probe", lambda: probe.Probe(True, "CPU mode", gpus=both))
    report = gpu_pack.create(mixed, tmp_path / "both", options("gpu"))
    assert (report.packed, report.workers) == (54, 4)
    report = gpu_pack.create(mixed, tmp_path / "second", options("gpu", gpus=(1,)))
    assert (report.packed, report.workers) == (54, 2)
    with pytest.raises(gpu_pack.GpuPackError, match="--gpus 7: there are GPUs 0, 1"):
        gpu_pack.create(mixed, tmp_path / "none", options("gpu", gpus=(7,)))


@pytest.mark.parametrize("change", [{"encoding": "png", "quality": 3}, {"color": "unchanged"}, {"pass_through": True}])
def test_what_the_gpu_cannot_do_goes_to_the_cpu_saying_why(change: dict[str, Any], mixed: Path, tmp_path: Path) -> None:
    asked = options("auto")
    report = gpu_pack.create(mixed, tmp_path / "out", dataclasses.replace(asked, spec=gpu_pack.TransformSpec(**change)))
    assert report.device == "cpu" and "--" in report.reason
    asked = dataclasses.replace(options("gpu"), spec=gpu_pack.TransformSpec(**change))
    with pytest.raises(BackendError, match="--device gpu: --"):
        gpu_pack.create(mixed, tmp_path / "gpu", asked)
