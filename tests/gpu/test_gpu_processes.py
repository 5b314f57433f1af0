"""GPU workers in processes: what a run gets of them, and what an image costs that crashes a process."""

from __future__ import annotations

import dataclasses
import os
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
    found = groups(encoder="auto")
    encoder = found[0].encoder
    assert encoder in ("cpu", "nvjpeg")
    assert [group.encoder for group in found] == [encoder] * 2, "all take that of the first"
    assert {group.setup.make.args[3].encoder for group in found} == {encoder}, "those that replace them, too"
    outcomes = list(Engine([channel for group in found for channel in group.channels()]).run(files * 5))
    datas = [tmp_path.joinpath(entry.path).read_bytes() for entry in files]
    expected = open_worker(SPEC, encoder=encoder).transform(images(datas))
    assert [outcome._replace(entry=None) for outcome in outcomes] == [one._replace(entry=None) for one in expected] * 5
    assert {outcome.backend for outcome in outcomes if isinstance(outcome, Encoded)} == {"gpu", "cpu"}


def test_an_interruption_does_not_wait_for_those_that_are_being_set_up(groups, tmp_path) -> None:
    main_thread = threading.main_thread().ident

    def interrupt() -> None:
        while not (tmp_path / "hanging").exists():
            time.sleep(0.01)
        signal.pthread_kill(main_thread, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt, daemon=True)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        groups(codec=partial(codecs.hanging, tmp_path))
    interrupter.join()
    assert not (tmp_path / "finished").exists()


def test_a_failure_does_not_wait_for_those_that_are_being_set_up(groups, tmp_path) -> None:
    with pytest.raises(BackendError, match=r"gpu:0: it cannot be set up: OSError: no driver"):
        groups(processes=3, codec=partial(codecs.failing_beside_hanging, tmp_path))
    assert not (tmp_path / "finished").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "hanging").read_text()), 0)


FULL = "a GPU's memory was full at set-up, so each has "


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="counts processes in /proc")
def test_full_memory_at_set_up_halves_the_processes(groups, tmp_path) -> None:
    found = groups(codec=partial(codecs.filling, tmp_path, 1), processes=4)
    assert len(found) == 1
    assert found[0].failures == {FULL + "1 process with batches of 4": 2}


def test_full_memory_of_one_process_halves_the_batch(groups, tmp_path) -> None:
    found = groups(codec=partial(codecs.refusing_twice, tmp_path), processes=1)
    assert [group.batch_size for group in found] == [1]
    assert found[0].failures == {FULL + "1 process with batches of 1": 2}


def test_memory_that_is_full_whatever_is_tried(groups) -> None:
    with pytest.raises(BackendError, match=r"gpu:0: it cannot be set up: .*out of memory"):
        groups(codec=codecs.always_full)


def test_an_image_that_crashes_the_process_goes_to_the_cpu(groups, files, tmp_path) -> None:
    """With its batch; every other image is the GPU's as before. A few images start one process."""
    crashing = jpeg(photograph(65, 50), progressive=True)
    crashing = crashing[:2] + b"\xff\xfe\x00\x07crash" + crashing[2:]
    tmp_path.joinpath(files[5].path).write_bytes(crashing)
    files[5] = files[5]._replace(size=len(crashing))
    (group,) = groups(images=7, codec=codecs.crashing)
    outcomes = list(Engine(group.channels()).run(files))
    assert [outcome.entry for outcome in outcomes] == files
    assert [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Rejected)] == [15]
    backends = [outcome.backend for outcome in outcomes if isinstance(outcome, Encoded)]
    assert backends == ["gpu"] * 4 + ["cpu"] * 4 + ["gpu"] * 6 + ["cpu"]


def test_a_process_that_ends_while_it_is_set_up(groups) -> None:
    with pytest.raises(BackendError, match="gpu:0: it cannot be set up: its process ended with exit status 3"):
        groups(processes=1, codec=codecs.exiting)
