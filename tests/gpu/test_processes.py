"""GPU workers in processes: what a run gets of them, and what a picture costs that takes a process down."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from cpu_fallback.process import process_opening
from cpu_fallback.worker import make_codec
from gpu_pack.engine import Engine
from gpu_pack.errors import BackendError
from gpu_pack.gpu.processes import gpu_crews
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.interface import Encoded, Entry, Rejected, TransformSpec
from gpu_pack.remote import process
from gpu_pack.remote.worker import Crew
from tests.gpu.conftest import DEVICE, need_dali
from tests.gpu.pictures import images, jpeg, photograph, png

SPEC = TransformSpec(size=32)
SETTINGS = GpuSettings(processes=2, workers=1, batch_size=4, threads=1, encoder="cpu", device=DEVICE)
#: Crashes like native code when a file comes by that holds a word.
_CRASHING = """
import os, sys; sys.path[:] = sys.argv[3:]
from gpu_pack.remote import child
if sys.argv[2] == "gpu_pack.gpu.worker":
    from gpu_pack.gpu.worker import GpuWorker
    real = GpuWorker.transform
    def transform(self, images):
        if any(b"crash" in image.data for image in images):
            os.kill(os.getpid(), 11)
        return real(self, images)
    GpuWorker.transform = transform
child.main()
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
def crews(tmp_path: Path) -> Iterator[Callable[..., list[Crew]]]:
    need_dali()
    opened: list[Crew] = []

    def open_them(images: int | None = None, **changes) -> list[Crew]:
        settings = dataclasses.replace(SETTINGS, **changes)
        opened.extend(gpu_crews(SPEC, make_codec, process_opening(SPEC, str(tmp_path)), [0], settings, images))
        return opened

    yield open_them
    for crew in opened:
        crew.close()


def test_several_processes_make_what_one_worker_makes(crews, files, open_worker, tmp_path) -> None:
    found = crews()
    outcomes = list(Engine([lane for crew in found for lane in crew.lanes()]).run(files * 5))
    datas = [tmp_path.joinpath(entry.path).read_bytes() for entry in files]
    expected = open_worker(SPEC).transform(images(datas))
    assert [outcome._replace(entry=None) for outcome in outcomes] == [one._replace(entry=None) for one in expected] * 5
    assert {outcome.backend for outcome in outcomes if isinstance(outcome, Encoded)} == {"gpu", "cpu"}


def test_all_processes_take_the_encoder_of_the_first(crews) -> None:
    found = crews(encoder="auto")
    assert len(found) == 2
    assert {crew.encoder for crew in found} in ({"cpu"}, {"nvjpeg"})
    assert {crew.opening.make.args[3].encoder for crew in found} == {found[0].encoder}, "those that replace them, too"


def test_an_interruption_does_not_wait_for_those_that_are_being_set_up(crews, monkeypatch, tmp_path) -> None:
    hanging = (
        "import sys, os, time; sys.path[:] = sys.argv[3:]; import gpu_pack.gpu.worker as w\nreal = w.open_workers\n"
        f"def opening(*a):\n    if os.path.exists({str(tmp_path / 'first')!r}): time.sleep(60)\n"
        f"    open({str(tmp_path / 'first')!r}, 'w').close()\n    return real(*a)\n"
        "w.open_workers = opening\nfrom gpu_pack.remote.child import main; main()"
    )
    monkeypatch.setattr(process, "_COMMAND", hanging)
    raised: list[float] = []

    def interrupted(*args: object) -> None:
        raised.append(time.monotonic())
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        crews()
    assert time.monotonic() - raised[0] < 2


def test_a_few_images_start_one_process(crews) -> None:
    assert len(crews(images=7)) == 1


def test_a_picture_that_crashes_the_process_goes_to_the_cpu(crews, files, tmp_path, monkeypatch) -> None:
    """With its batch; every other image is the GPU's as before."""
    monkeypatch.setattr(process, "_COMMAND", _CRASHING)
    bad = tmp_path / files[5].path
    bad.write_bytes(bad.read_bytes()[:-2] + b"crash\xff\xd9")
    files[5] = files[5]._replace(size=bad.stat().st_size)
    outcomes = list(Engine(crews(processes=1)[0].lanes()).run(files))
    assert [outcome.entry for outcome in outcomes] == files
    assert [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Rejected)] == [15]
    backends = [outcome.backend for outcome in outcomes if isinstance(outcome, Encoded)]
    assert backends == ["gpu"] * 4 + ["cpu"] * 4 + ["gpu"] * 6 + ["cpu"]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("raise SystemExit(3)", "gpu:0: it cannot be set up: its process ended with exit status 3"),
        (
            "import sys; sys.path[:] = sys.argv[3:]; import gpu_pack.gpu.worker as w\n"
            "def fail(*a): raise OSError('no driver')\nw.Graph = fail\nfrom gpu_pack.remote.child import main; main()",
            "gpu:0: it cannot be set up: no driver",
        ),
        (
            "import sys; sys.path[:] = sys.argv[3:]; sys.modules['nvidia.nvimgcodec'] = None\n"
            "from gpu_pack.remote.child import main; main()",
            "gpu:0: it cannot be set up: .*nvimgcodec",
        ),
    ],
)
def test_processes_that_cannot_be_set_up_say_why(crews, monkeypatch, command: str, reason: str) -> None:
    monkeypatch.setattr(process, "_COMMAND", command)
    with pytest.raises(BackendError, match=reason):
        crews()
