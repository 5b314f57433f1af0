"""GPU workers in processes: what a run gets of them, and what a picture costs that takes a process down."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from cpu_fallback.cpu_processes import cpu_worker_setup
from cpu_fallback.worker import make_codec
from gpu_pack.errors import BackendError
from gpu_pack.gpu.gpu_processes import gpu_worker_groups
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.pipeline.engine import Engine
from gpu_pack.processes import worker_process
from gpu_pack.processes.process_group import WorkerGroup
from gpu_pack.types import Encoded, Entry, Rejected, TransformSpec
from tests.gpu.conftest import DEVICE, need_dali
from tests.gpu.pictures import images, jpeg, photograph, png

SPEC = TransformSpec(size=32)
SETTINGS = GpuSettings(processes=2, workers=1, batch_size=4, threads=1, encoder="cpu", device=DEVICE)
#: Crashes like native code when a file comes by that holds a word.
_CRASHING = """
import os, sys; sys.path[:] = sys.argv[3:]
from gpu_pack.processes import worker_main
if sys.argv[2] == "gpu_pack.gpu.open_workers":
    from gpu_pack.gpu.open_workers import GpuWorker
    real = GpuWorker.transform
    def transform(self, images):
        if any(b"crash" in image.data for image in images):
            os.kill(os.getpid(), 11)
        return real(self, images)
    GpuWorker.transform = transform
worker_main.main()
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Entry]:
    """Sixteen pictures, one of them a PNG, one none at all."""
    datas = [jpeg(photograph(60 + seed, 50, seed)) for seed in range(14)] + [png(photograph(50, 40)), b"no picture"]
    listed = []
    for image in images(datas):
        path = tmp_path / f"{image.entry.key}"
        path.write_bytes(image.data)
        listed.append(image.entry._replace(path=path.name, size=len(image.data)))
    return listed


@pytest.fixture
def groups(tmp_path: Path) -> Iterator[Callable[..., list[WorkerGroup]]]:
    need_dali()
    opened: list[WorkerGroup] = []

    def open_them(images: int | None = None, **changes) -> list[WorkerGroup]:
        settings = dataclasses.replace(SETTINGS, **changes)
        opened.extend(gpu_worker_groups(SPEC, make_codec, cpu_worker_setup(SPEC, str(tmp_path)), [0], settings, images))
        return opened

    yield open_them
    for group in opened:
        group.close()


def test_several_processes_make_what_one_worker_makes(groups, files, open_worker, tmp_path) -> None:
    found = groups()
    outcomes = list(Engine([channel for group in found for channel in group.channels()]).run(files * 5))
    datas = [tmp_path.joinpath(entry.path).read_bytes() for entry in files]
    expected = open_worker(SPEC).transform(images(datas))
    assert [outcome._replace(entry=None) for outcome in outcomes] == [one._replace(entry=None) for one in expected] * 5
    assert {outcome.backend for outcome in outcomes if isinstance(outcome, Encoded)} == {"gpu", "cpu"}


def test_all_processes_take_the_encoder_of_the_first(groups) -> None:
    found = groups(encoder="auto")
    assert len(found) == 2
    assert {group.encoder for group in found} in ({"cpu"}, {"nvjpeg"})
    assert {group.setup.make.args[3].encoder for group in found} == {found[0].encoder}, "those that replace them, too"


def test_an_interruption_does_not_wait_for_those_that_are_being_set_up(groups, monkeypatch, tmp_path) -> None:
    hanging = (
        "import sys, os, time; sys.path[:] = sys.argv[3:]; import gpu_pack.gpu.open_workers as w\nreal = w.open_workers\n"
        f"def setup(*a):\n    if os.path.exists({str(tmp_path / 'first')!r}): time.sleep(60)\n"
        f"    open({str(tmp_path / 'first')!r}, 'w').close()\n    return real(*a)\n"
        "w.open_workers = setup\nfrom gpu_pack.processes.worker_main import main; main()"
    )
    monkeypatch.setattr(worker_process, "_COMMAND", hanging)
    raised: list[float] = []

    def interrupted(*args: object) -> None:
        raised.append(time.monotonic())
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        groups()
    assert time.monotonic() - raised[0] < 2


def test_a_few_images_start_one_process(groups) -> None:
    assert len(groups(images=7)) == 1


def test_a_picture_that_crashes_the_process_goes_to_the_cpu(groups, files, tmp_path, monkeypatch) -> None:
    """With its batch; every other image is the GPU's as before."""
    monkeypatch.setattr(worker_process, "_COMMAND", _CRASHING)
    bad = tmp_path / files[5].path
    bad.write_bytes(bad.read_bytes()[:-2] + b"crash\xff\xd9")
    files[5] = files[5]._replace(size=bad.stat().st_size)
    outcomes = list(Engine(groups(processes=1)[0].channels()).run(files))
    assert [outcome.entry for outcome in outcomes] == files
    assert [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Rejected)] == [15]
    backends = [outcome.backend for outcome in outcomes if isinstance(outcome, Encoded)]
    assert backends == ["gpu"] * 4 + ["cpu"] * 4 + ["gpu"] * 6 + ["cpu"]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("raise SystemExit(3)", "gpu:0: it cannot be set up: its process ended with exit status 3"),
        (
            "import sys; sys.path[:] = sys.argv[3:]; import gpu_pack.gpu.open_workers as w\n"
            "def fail(*a): raise OSError('no driver')\nw.Graph = fail\nfrom gpu_pack.processes.worker_main import main; main()",
            "gpu:0: it cannot be set up: no driver",
        ),
        (
            "import sys; sys.path[:] = sys.argv[3:]; sys.modules['nvidia.nvimgcodec'] = None\n"
            "from gpu_pack.processes.worker_main import main; main()",
            "gpu:0: it cannot be set up: .*nvimgcodec",
        ),
    ],
)
def test_processes_that_cannot_be_set_up_say_why(groups, monkeypatch, command: str, reason: str) -> None:
    monkeypatch.setattr(worker_process, "_COMMAND", command)
    with pytest.raises(BackendError, match=reason):
        groups()
