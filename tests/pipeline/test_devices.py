"""Devices as create uses them: the GPU path in DALI's CPU mode behind a probe that says yes, and what breaks there."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack import recordio
from gpu_pack.errors import BackendError
from gpu_pack.gpu import gpu_processes, probe, settings
from gpu_pack.gpu.gpu_processes import gpu_worker_groups
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.pack_shards import pack_shards
from gpu_pack.pipeline.plan import begin
from gpu_pack.processes.process_group import WorkerGroup
from tests.folders import write_picture
from tests.gpu import codecs
from tests.gpu.device import probe_of
from tests.pipeline.outputs import published
from tests.pipeline.runs import plan_of

pytest.importorskip("nvidia.dali")
pytest.importorskip("nvidia.nvimgcodec")


@pytest.fixture(autouse=True, scope="module")
def a_gpu() -> Iterator[None]:
    """A GPU that is the CPU: the same graph and encoders, in their CPU mode."""
    small = settings.GpuSettings(device="cpu", processes=1, workers=2, batch_size=8, threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "probe", probe_of)
        patch.setattr(settings, "default_settings", lambda: small)
        yield


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures: mostly JPEG, some PNG, some cut short, one with a Huffman table that makes DALI raise."""
    root = tmp_path_factory.mktemp("mixed")
    for number in range(60):
        suffix = ".png" if number % 10 == 3 else ".jpg"
        path = root / f"c{number % 3}" / f"{number:02d}{suffix}"
        write_picture(path, number, width=80, height=60)
        data = path.read_bytes()
        if number == 57:
            table = data.index(b"\xff\xc4") + 5
            path.write_bytes(data[:table] + b"\x7f" * 16 + data[table + 16 :])
        elif number % 10 == 7:
            path.write_bytes(data[:-30])
    return root


@pytest.fixture(scope="module")
def run(mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, gpu_pack.Report]]:
    """A function from a device to what it publishes if nothing breaks, and its report; each runs once."""

    @functools.cache
    def run_once(device: str) -> tuple[Path, gpu_pack.Report]:
        out = tmp_path_factory.mktemp(device) / "out"
        return out, gpu_pack.create(mixed, out, options(device))

    return run_once


def options(device: str, **more: Any) -> gpu_pack.CreateOptions:
    spec = gpu_pack.TransformSpec(size=32)
    return gpu_pack.CreateOptions(spec, device=gpu_pack.DeviceOptions(device, encoder="cpu", **more))  # type: ignore[arg-type]


def keys(rec: Path) -> list[int]:
    with recordio.MXIndexedRecordIO(str(rec.with_suffix(".idx")), str(rec), "r") as file:
        return list(file.keys)


@pytest.mark.parametrize("device", ["auto", "gpu", "hybrid"])
def test_every_device_packs_the_same_images_in_the_same_order(
    device: str, run: Callable[[str], tuple[Path, gpu_pack.Report]]
) -> None:
    by_cpu, _ = run("cpu")
    out, report = run(device)
    assert report.device == ("gpu" if device == "auto" else device)
    assert (report.packed, report.rejected) == (54, 6)
    assert keys(out / "train.rec") == keys(by_cpu / "train.rec")
    assert (out / "rejects.jsonl").read_bytes() == (by_cpu / "rejects.jsonl").read_bytes()
    assert sum(report.packed_by.values()) == 54
    if device != "hybrid":
        assert report.packed_by == {"cpu": 6, "gpu": 48}, "the CPU packs the PNGs"
        assert report.batch_failures == {"Failed to decode an image": 1}, "the batch with the bad Huffman table"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["run"]["jpeg_engines"] == report.jpeg_engines
    assert report.jpeg_engines, "unknown in the CPU mode"
    assert (manifest["run"]["encoder"], manifest["packed_by"]) == ("cpu", report.packed_by)


def break_after(calls: int, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """The GPU is gone, and cannot be set up again, once its workers have asked the CPU codec that many times."""

    def groups(spec: gpu_pack.TransformSpec, make_codec: object, *arguments: Any) -> list[WorkerGroup]:
        return gpu_worker_groups(spec, functools.partial(codecs.breaking, folder, calls), *arguments)

    patch.setattr(gpu_processes, "gpu_worker_groups", groups)


@pytest.mark.parametrize(("device", "calls"), [("auto", 3), ("hybrid", 0)])
def test_the_cpu_finishes_when_the_device_breaks(
    device: str, calls: int, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_after(calls, tmp_path, monkeypatch)
    report = gpu_pack.create(mixed, tmp_path / "out", options(device))
    assert (report.packed, report.rejected) == (54, 6)
    assert all("the device is gone" in sentence for sentence in report.broken)
    assert report.broken or device == "hybrid", "under hybrid the CPU may have finished before the GPU was asked"


def test_under_gpu_a_broken_device_stops_a_run_that_can_be_resumed(
    mixed: Path, run: Callable[[str], tuple[Path, gpu_pack.Report]], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        break_after(3, tmp_path, patch)
        with pytest.raises(BackendError, match="the device is gone"):
            gpu_pack.create(mixed, tmp_path / "out", options("gpu"))
    report = gpu_pack.create(mixed, tmp_path / "out", options("gpu"))
    assert report.packed == 54
    assert published(tmp_path / "out") == published(run("gpu")[0])


def split(patch: pytest.MonkeyPatch, load: float, **changes: Any) -> None:
    """A share of the pictures is for the JPEG engines."""
    changed = dataclasses.replace(settings.default_settings(), hw_decoder_load=load, **changes)
    patch.setattr(settings, "default_settings", lambda: changed)


def test_a_run_between_engines_and_cuda_is_resumed_with_other_batches_and_processes(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(state: gpu_pack.Progress) -> None:
        if state.done >= 20:
            raise KeyboardInterrupt

    def asked(**more: Any) -> gpu_pack.CreateOptions:
        return dataclasses.replace(options("gpu", **more), division=gpu_pack.Division(shards=2))

    split(monkeypatch, 0.5)
    gpu_pack.create(mixed, tmp_path / "whole", asked())
    with pytest.raises(KeyboardInterrupt):
        gpu_pack.create(mixed, tmp_path / "out", asked(), progress=interrupt)
    split(monkeypatch, 0.75)
    with pytest.raises(
        gpu_pack.GpuPackError, match=r"options\.hw_decoder_load was 0\.5, is 0\.75: undo that to resume"
    ):
        gpu_pack.create(mixed, tmp_path / "out", asked())
    split(monkeypatch, 0.5, processes=2)
    report = gpu_pack.create(mixed, tmp_path / "out", asked(batch_size=3))
    assert (report.packed, report.packed_by) == (54, {"cpu": 6, "gpu": 48})
    assert 0 < report.resumed < 54
    whole = published(tmp_path / "whole")
    assert published(tmp_path / "out") == whole
    assert json.loads(whole["manifest.json"])["options"]["hw_decoder_load"] == 0.5


def test_runs_that_need_no_gpu_know_nothing_of_its_engines(mixed: Path, tmp_path: Path) -> None:
    spec = gpu_pack.TransformSpec(encoding="png", quality=3)
    cases = {"cpu": options("cpu"), "png": dataclasses.replace(options("auto"), spec=spec), "gpu": options("auto")}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in cases}
    for load in (0.5, 0.75):
        with pytest.MonkeyPatch.context() as patch:
            split(patch, load)
            for name, asked in cases.items():
                found[name].append(plan_of(mixed, tmp_path / "out", asked).identity)
    assert [name for name, (one, other) in found.items() if one != other] == ["gpu"]


@pytest.mark.parametrize("encoder", ["cpu", "nvjpeg"])
def test_a_run_keeps_the_encoder_that_it_began_with(encoder: str, mixed: Path, tmp_path: Path) -> None:
    """Whichever is faster today: each writes other bytes."""
    automatic = dataclasses.replace(options("gpu"), device=gpu_pack.DeviceOptions("gpu"))
    plan = plan_of(mixed, tmp_path / "out", automatic)
    with Staging(plan.out, plan.staging) as staging:
        begin(plan, staging)
        staging.note_once("encoder", encoder)
    assert gpu_pack.create(mixed, tmp_path / "out", automatic).encoder == encoder


def test_processes_of_one_run_take_the_encoder_of_the_first(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(mixed, tmp_path / "out", options("gpu"))
    opened: list[str | None] = []

    def groups(*arguments: Any) -> list[WorkerGroup]:
        if not opened:  # while this process sets up its encoder, another one has done so
            Staging(plan.out, plan.staging, locked=False).note_once("encoder", "nvjpeg")
        found = gpu_worker_groups(*arguments)
        opened.append(found[0].encoder)
        return found

    monkeypatch.setattr(gpu_processes, "gpu_worker_groups", groups)
    assert pack_shards(plan).encoder == "nvjpeg"
    assert opened == ["cpu", "nvjpeg"]


def test_several_gpus_share_one_stream(mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "probe", lambda: probe_of(2))
    report = gpu_pack.create(mixed, tmp_path / "both", options("gpu"))
    assert (report.packed, report.workers) == (54, 4)
    report = gpu_pack.create(mixed, tmp_path / "second", options("gpu", gpus=(1,)))
    assert (report.packed, report.workers) == (54, 2)
    with pytest.raises(gpu_pack.GpuPackError, match=r"gpus=7 \(--gpus\): there are GPUs 0, 1"):
        gpu_pack.create(mixed, tmp_path / "none", options("gpu", gpus=(7,)))


@pytest.mark.parametrize("change", [{"encoding": "png", "quality": 3}, {"color": "unchanged"}, {"pass_through": True}])
def test_what_the_gpu_cannot_do_goes_to_the_cpu_saying_why(change: dict[str, Any], mixed: Path, tmp_path: Path) -> None:
    asked = options("auto")
    report = gpu_pack.create(mixed, tmp_path / "out", dataclasses.replace(asked, spec=gpu_pack.TransformSpec(**change)))
    assert report.device == "cpu" and "--" in report.reason
    asked = dataclasses.replace(options("gpu"), spec=gpu_pack.TransformSpec(**change))
    with pytest.raises(BackendError, match=r"device=gpu \(--device\): --"):
        gpu_pack.create(mixed, tmp_path / "gpu", asked)
