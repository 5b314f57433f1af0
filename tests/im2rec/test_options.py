"""The command line: argparse's freedom, one sentence for what cannot be, and `gpu-pack im2rec` as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_pack.errors import UsageError
from gpu_pack.im2rec.options import Options, parse
from gpu_pack.im2rec.pack import device_options, make_spec
from tests.im2rec.helpers import make_root, records


def test_any_order_and_abbreviation() -> None:
    plain = parse(["--list", "--recursive", "--train-ratio", "0.8", "--exts", ".png", ".bmp", "--", "p", "r"])
    mixed = parse(["p", "--rec", "--train-r=0.8", "r", "--lis", "--ext", ".png", ".bmp"])
    assert plain == mixed
    assert Path(plain.prefix) == Path.cwd() / "p"


def test_defaults() -> None:
    options = parse(["p", "r"])
    assert options.exts == [".jpeg", ".jpg", ".png"]
    assert (options.quality, options.encoding, options.color, options.num_thread) == (95, ".jpg", 1, 1)
    assert (options.shuffle, options.device, options.workers) == (True, "cpu", None)
    assert device_options(options).workers is None
    spec = make_spec(options)
    assert (spec.size, spec.crop, spec.interp, spec.upscale) == (None, False, "linear", True)


@pytest.mark.parametrize(
    ("flags", "workers"),
    [(["--num-thread", "4"], 4), (["--num-thread", "4", "--workers", "2"], 2), (["--num-thread", "0"], None)],
)
def test_num_thread_is_the_number_of_workers(flags: list[str], workers: int | None) -> None:
    assert device_options(parse([*flags, "p", "r"])).workers == workers


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["p"], "the following arguments are required: root"),
        (["p", "r", "x"], "unrecognized arguments: x"),
        (["p", "r", "--colour", "1"], "unrecognized arguments: --colour"),
        (["p", "r", "--c", "1"], "ambiguous option"),
        (["p", "r", "--color", "2"], "--color: invalid choice:"),
        (["p", "r", "--resize", "big"], "--resize: invalid int value: 'big'"),
        (["p", "r", "--resize", "-1"], "--resize -1: the edge lies between 1 and 65500"),
        (["p", "r", "--chunks", "0"], "--chunks 0: at least 1"),
        (["p", "r", "--train-ratio", "nan"], "--train-ratio nan: a ratio is"),
        (["p", "r", "--test-ratio", "-0.1"], "--test-ratio -0.1: a ratio is"),
        (["p", "r", "--workers", "0"], "--workers 0: between 1 and 1024"),
        (["--list=1", "p", "r"], "--list=1: --list takes no value now"),
        (["--list", "True", "p", "r"], "--list True: --list takes no value now"),
        (["--rec=True", "p", "r"], "--rec=True: --recursive takes no value now"),
        (["p", "r", "--center-crop", "False"], "--center-crop False: --center-crop takes no value now"),
        (["p", "r", "x", "--list"], "unrecognized arguments: x"),
    ],
)
def test_what_cannot_be(argv: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(argv)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_may_be_called_true() -> None:
    options = parse(["--list", "True", "1"])
    assert (Path(options.prefix).name, Path(options.root).name, options.list) == ("True", "1", True)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    words = [sys.executable, "-m", "gpu_pack", "im2rec", *map(str, arguments)]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def test_the_two_lines_of_every_tutorial(tmp_path: Path) -> None:
    names = [f"{label}/{number}.jpg" for label in ("cat", "dog") for number in range(10)]
    root = make_root(tmp_path / "root", names)
    done = command("--list", "--train-ratio", 0.8, "--recursive", tmp_path / "data", root)
    assert (done.returncode, done.stdout) == (0, "cat 0\ndog 1\n")
    done = command("--resize", 224, "--center-crop", "--num-thread", 4, tmp_path / "data", root)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"Creating .rec file from {tmp_path / name}.lst in {tmp_path}" for name in ("data_train", "data_val")
    ]
    assert done.stderr.splitlines()[-1].startswith("20 images packed into data_train.rec, data_val.rec; 0 left out")
    for name, count in (("data_train", 16), ("data_val", 4)):
        assert len(records(tmp_path / name)) == count


def test_exit_statuses(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", ["1.jpg", "2.jpg"])
    (tmp_path / "data.lst").write_text("0\t0\t1.jpg\n1\t0\tnone.jpg\n")
    assert command(tmp_path / "data", root, "--color", "-1").returncode == 3
    assert command(tmp_path / "data", root, "--color", "-2").returncode == 2
    failed = command(tmp_path / "none", root)
    assert failed.returncode == 1
    assert failed.stderr.startswith("gpu-pack: Did not find a list file with prefix")


def test_help_is_argparse_s() -> None:
    done = command("--help")
    assert done.returncode == 0
    for name in Options.__dataclass_fields__:
        flag = {"shuffle": "--no-shuffle", "prefix": "prefix", "root": "root"}.get(name, "--" + name.replace("_", "-"))
        assert flag in done.stdout
    assert "Exit status" in done.stdout
