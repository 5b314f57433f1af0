"""GPU workers in processes: what a run gets of them, and what an image costs that crashes a process."""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from cpu_fallback.cpu_processes import cpu_worker_setup
from cpu_fallback.worker import make_codec
from gpu_pack.errors import BackendError
from gpu_pack.gpu.gpu_processes import MakeCodec, gpu_worker_groups
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.pipeline.engine import Engine
from gpu_pack.processes.process_group import WorkerGroup
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Encoded, Entry, Rejected, TransformSpec
from tests.gpu import codecs
from tests.gpu.device import DEVICE, need_dali
from tests.gpu.pictures import images, jpeg, photograph, png

SPEC = TransformSpec(size=32)
SETTINGS = GpuSettings(processes=2, workers=1, batch_size=4, threads=1, encoder="cpu", device=DEVICE)


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

    fallback = cpu_worker_setup(SPEC, LocalStore(str(tmp_path)))

    def open_them(images: int | None = None, codec: MakeCodec = make_codec, **changes) -> list[WorkerGroup]:
        settings = dataclasses.replace(SETTINGS, **changes)
        opened.extend(gpu_worker_groups(SPEC, codec, fallback, [0], settings, images))
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


def test_an_interruption_does_not_wait_for_those_that_are_being_set_up(groups, tmp_path) -> None:
    main_thread = threading.main_thread().ident

    def interrupt() -> None:
        while not (tmp_path / "hanging").exists():
            time.sleep(0.01)
        signal.pthread_kill(main_thread, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        groups(codec=partial(codecs.hanging, tmp_path))
    interrupter.join()
    assert not (tmp_path / "finished").exists()


def test_a_few_images_start_one_process(groups) -> None:
    assert len(groups(images=7)) == 1


def test_an_image_that_crashes_the_process_goes_to_the_cpu(groups, files, tmp_path) -> None:
    """With its batch; every other image is the GPU's as before."""
    crashing = jpeg(photograph(65, 50), progressive=True)
    crashing = crashing[:2] + b"\xff\xfe\x00\x07crash" + crashing[2:]
    tmp_path.joinpath(files[5].path).write_bytes(crashing)
    files[5] = files[5]._replace(size=len(crashing))
    outcomes = list(Engine(groups(processes=1, codec=codecs.crashing)[0].channels()).run(files))
    assert [outcome.entry for outcome in outcomes] == files
    assert [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Rejected)] == [15]
    backends = [outcome.backend for outcome in outcomes if isinstance(outcome, Encoded)]
    assert backends == ["gpu"] * 4 + ["cpu"] * 4 + ["gpu"] * 6 + ["cpu"]


@pytest.mark.parametrize(
    ("codec", "reason"),
    [
        (codecs.exiting, "gpu:0: it cannot be set up: its process ended with exit status 3"),
        (codecs.failing, "gpu:0: it cannot be set up: OSError: no driver"),
    ],
)
def test_processes_that_cannot_be_set_up_say_why(groups, codec: MakeCodec, reason: str) -> None:
    with pytest.raises(BackendError, match=reason):
        groups(codec=codec)
