"""Packing beyond the goldens: damaged images, interruption, what lies there already, clear refusals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_pack.errors import OutputLockedError, SourceError
from gpu_pack.gpu import settings
from gpu_pack.output.shard_writer import RecordWriter
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline import run as run_module
from gpu_pack.types import Encoded
from tests.im2rec.helpers import IMAGES, make_root, outputs, records, run, write_list

NAMES = [f"{number:02d}.jpg" for number in range(12)]
DAMAGED = {"02.jpg": "cut short", "05.jpg": "empty", "11.jpg": "not an image"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "root", NAMES)


def listed(folder: Path, name: str = "data", names: list[str] = NAMES) -> None:
    write_list(folder / f"{name}.lst", [(key, key % 3, path) for key, path in enumerate(names)])


def damage(root: Path) -> None:
    whole = (root / "02.jpg").read_bytes()
    (root / "02.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "05.jpg").write_bytes(b"")
    (root / "11.jpg").write_bytes(b"<html>404</html>")


@pytest.mark.parametrize("flags", [["--resize", 24], ["--pass-through"], ["--resize", 24, "--num-thread", 3]])
def test_damaged_images_are_left_out_and_named(
    flags: list[object], root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(tmp_path, "whole", [name for name in NAMES if name not in DAMAGED])
    assert run(*flags, tmp_path / "whole", root) == 0
    damage(root)
    listed(tmp_path)
    capsys.readouterr()
    assert run(*flags, tmp_path / "data", root) == 3
    said = capsys.readouterr().err.splitlines()
    for (name, reason), line in zip(DAMAGED.items(), said[-4:-1], strict=True):
        assert line.startswith(f"left out: {name} (key {int(name[:2])} of data.lst), at decode: ")
        assert reason in line
    assert said[-1].startswith("9 images packed into data.rec; 3 left out (see data.rejects.jsonl)")
    log = [json.loads(line) for line in (tmp_path / "data.rejects.jsonl").read_text().splitlines()]
    assert [line["path"] for line in log] == list(DAMAGED)
    assert [data for _, data in records(tmp_path / "data")] == [data for _, data in records(tmp_path / "whole")]


def test_a_later_run_without_rejects_takes_the_log_away(root: Path, tmp_path: Path) -> None:
    listed(tmp_path)
    (root / "03.jpg").rename(root / "moved.jpg")
    assert run("--resize", 24, tmp_path / "data", root) == 3
    (root / "moved.jpg").rename(root / "03.jpg")
    assert run("--resize", 24, tmp_path / "data", root) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.idx", "data.lst", "data.rec", "root"]
    assert [key for key, _ in records(tmp_path / "data")] == list(range(12))


def test_a_byte_order_mark_costs_no_line(root: Path, tmp_path: Path) -> None:
    (tmp_path / "data.lst").write_text("0\t1\t00.jpg\n1\t1\t01.jpg\n", encoding="utf-8-sig")
    assert run(tmp_path / "data", root) == 0
    assert [key for key, _ in records(tmp_path / "data")] == [0, 1]


def test_repeated_keys_are_told(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = (0, 7, 7, 0, 7, -1, -1)
    write_list(tmp_path / "data.lst", [(key, 1, name) for key, name in zip(keys, NAMES, strict=False)])
    assert run(tmp_path / "data", root) == 3
    told = [line for line in capsys.readouterr().err.splitlines() if "repeat an earlier key" in line]
    assert told == [
        f"{tmp_path / 'data.lst'}: lines that repeat an earlier key: 3, the first of them 7; by key, readers "
        "find only one of each"
    ]
    assert [key for key, _ in records(tmp_path / "data")] == [0, 7, 7, 0, 7], "im2rec.py packs them all"


def test_bad_lines_are_named_with_their_number(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.lst").write_text("0\t1\t00.jpg\n1 1 01.jpg\n2\tx\t02.jpg\n3\t1\t03.jpg\n")
    assert run(tmp_path / "data", root) == 0
    said = capsys.readouterr().err
    assert f"{tmp_path / 'data.lst'}:2: skipped: " in said
    assert f"{tmp_path / 'data.lst'}:3: skipped: " in said
    assert "2 images packed into data.rec; 0 left out, 2 bad lines skipped" in said


def test_keys_that_no_record_holds_are_left_out(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_list(tmp_path / "data.lst", [(key, 0, "00.jpg") for key in (-1, 2**64, 0xCED7230A, 5)])
    assert run(tmp_path / "data", root) == 3
    assert [key for key, _ in records(tmp_path / "data")] == [5]
    assert "3 left out" in capsys.readouterr().err.splitlines()[-1]
    assert len((tmp_path / "data.rejects.jsonl").read_text().splitlines()) == 3


class KilledError(Exception):
    """What stands for kill -9 within one process: nothing is cleaned up after it but locks."""


@pytest.fixture
def dies_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes the next run die after so many records."""

    def arrange(count: int) -> None:
        real, left = RecordWriter.append, iter(range(count))

        def append_or_die(self: RecordWriter, image: Encoded) -> None:
            if next(left, None) is None:
                monkeypatch.setattr(RecordWriter, "append", real)
                raise KilledError
            real(self, image)

        monkeypatch.setattr(RecordWriter, "append", append_or_die)

    return arrange


@pytest.mark.parametrize("count", range(0, 23, 3))
def test_an_interrupted_run_resumes(
    count: int, root: Path, tmp_path: Path, dies_at: Callable[[int], None], last_line: Callable[[], str]
) -> None:
    """Two lists whose keys are the same and repeat themselves, with rejects in between."""
    damage(root)
    for name in ("data", "data2"):
        write_list(tmp_path / f"{name}.lst", [(key % 5, key, path) for key, path in enumerate(NAMES)] + [(-1, 0, "x")])
    assert run("--resize", 24, tmp_path / "data", root) == 3
    expected = outputs(tmp_path)
    dies_at(count)
    if count < 18:
        with pytest.raises(KilledError):
            run("--resize", 24, tmp_path / "data", root)
        assert outputs(tmp_path) == expected
        assert (tmp_path / ".gpu-pack-im2rec-data").is_dir()
    last_line()
    assert run("--resize", 24, tmp_path / "data", root) == 3
    said = last_line()
    assert said.startswith("18 images packed")
    assert (f"({count} of them from before)" in said) == (0 < count < 18)
    assert "8 left out" in said
    assert outputs(tmp_path) == expected
    assert not (tmp_path / ".gpu-pack-im2rec-data").exists()


def test_other_options_start_anew_and_say_so(
    root: Path, tmp_path: Path, dies_at: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    listed(tmp_path)
    dies_at(5)
    with pytest.raises(KilledError):
        run("--resize", 24, tmp_path / "data", root)
    assert run("--pass-through", tmp_path / "data", root) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("starting anew")]
    assert len(said) == 1 and "pass_through was False, is True" in said[0] and "size was 24" in said[0]
    assert [data for _, data in records(tmp_path / "data")] == [(root / name).read_bytes() for name in NAMES]


@pytest.mark.parametrize(("device", "anew"), [("cpu", False), ("auto", True)])
def test_another_share_for_jpeg_engines_starts_anew_where_a_gpu_may_run(
    device: str,
    anew: bool,
    root: Path,
    tmp_path: Path,
    dies_at: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed(tmp_path)
    dies_at(5)
    with pytest.raises(KilledError):
        run("--resize", 24, "--device", device, tmp_path / "data", root)
    monkeypatch.setattr(settings, "default_settings", lambda: settings.GpuSettings(hw_decoder_load=0.5))
    assert run("--resize", 24, "--device", device, tmp_path / "data", root) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("starting anew")]
    assert [line.rpartition(": ")[2] for line in said] == ["options.hw_decoder_load was 1.0, is 0.5"] * anew


def test_an_image_that_changed_starts_anew(root: Path, tmp_path: Path, dies_at: Callable[[int], None]) -> None:
    listed(tmp_path)
    dies_at(2)
    with pytest.raises(KilledError):
        run("--pass-through", tmp_path / "data", root)
    shutil.copyfile(IMAGES / "root.jpg", root / "01.jpg")
    assert run("--pass-through", tmp_path / "data", root) == 0
    assert [data for _, data in records(tmp_path / "data")] == [(root / name).read_bytes() for name in NAMES]


def test_killed_while_publishing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_line: Callable[[], str]
) -> None:
    damage(root)
    listed(tmp_path)
    finish = Staging.finish_publishing
    monkeypatch.setattr(Staging, "finish_publishing", lambda self: None)
    run("--pass-through", tmp_path / "data", root)
    assert not (tmp_path / "data.rec").exists()
    monkeypatch.setattr(Staging, "finish_publishing", finish)
    real = run_module.pack_into
    monkeypatch.setattr(run_module, "pack_into", lambda *_: pytest.fail("packed once more"))
    assert run("--pass-through", tmp_path / "data", root) == 3
    assert "9 images packed" in last_line()
    assert len(records(tmp_path / "data")) == 9
    monkeypatch.setattr(run_module, "pack_into", real)
    assert run("--pass-through", tmp_path / "data", root) == 3


def test_a_second_run_on_the_prefix_is_refused(root: Path, tmp_path: Path) -> None:
    listed(tmp_path)
    with (
        Staging(tmp_path, ".gpu-pack-im2rec-data"),
        pytest.raises(OutputLockedError, match="another gpu-pack run"),
    ):
        run(tmp_path / "data", root)


def test_nothing_packable_leaves_earlier_records_alone(root: Path, tmp_path: Path) -> None:
    listed(tmp_path)
    assert run(tmp_path / "data", root) == 0
    before = outputs(tmp_path)
    (tmp_path / "wrong").mkdir()
    with pytest.raises(SourceError, match=r"none of the 12 listed images .* the right ROOT\? .*00.jpg.*no such file"):
        run(tmp_path / "data", tmp_path / "wrong")
    assert outputs(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_no_list(root: Path, tmp_path: Path) -> None:
    listed(tmp_path, "other")
    with pytest.raises(SourceError, match=r"prefix .*data; the lists there are other.lst: --list writes one"):
        run(tmp_path / "data", root)


def test_a_list_separated_by_blanks(root: Path, tmp_path: Path) -> None:
    (tmp_path / "data.lst").write_text("0 1 00.jpg\n")
    with pytest.raises(SourceError, match="no line of it can be used"):
        run(tmp_path / "data", root)


def test_kill_9(root: Path, tmp_path: Path) -> None:
    """A process that is killed outright, with the very bytes of a run that nothing disturbed afterwards."""
    names = NAMES * 100
    write_list(tmp_path / "data.lst", [(key, key % 3, path) for key, path in enumerate(names)])
    command = [sys.executable, "-m", "gpu_pack", "im2rec", "--resize", "100", str(tmp_path / "data"), str(root)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    growing = tmp_path / ".gpu-pack-im2rec-data" / "data.rec.partial"
    deadline = time.monotonic() + 60
    while not (growing.exists() and growing.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "data.rec").exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "of them from before" in done.stderr
    resumed = outputs(tmp_path)
    assert run("--resize", 100, tmp_path / "data", root) == 0
    assert outputs(tmp_path) == resumed
