"""Command lines in this process: what they are refused for, and that one follows another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_pack.cli.main import run
from gpu_pack.errors import GpuPackError, SourceError, UsageError


def test_several_commands_in_one_process(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, out = str(packed.parent / "photos"), str(tmp_path / "out")
    assert run(["create", photos, out, "--size", "16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["packed"] == 30
    assert run(["verify", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 30
    assert run(["im2rec", "--list", "--recursive", str(tmp_path / "my"), photos]) == 0
    assert run(["create", photos, out, "--size", "16", "--dry-run"]) == 0
    assert "dry run: nothing was written" in capsys.readouterr().err
    assert run(["inspect", out]) == 0


def test_help_lists_every_command_on_a_line_and_each_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    names = ("create", "im2rec", "verify", "inspect", "report", "extract", "index", "merge", "divide", "sagemaker")
    for name in (*names, "doctor"):
        (line,) = [line for line in shown.splitlines() if line.startswith(f"  {name} ")]
        assert line.endswith(".") and not line.endswith("..."), line
        assert run([name, "--help"]) == 0
        assert capsys.readouterr().out.lower().lstrip().startswith(f"usage: gpu-pack {name} ")
    assert run([]) == 2
    nothing = capsys.readouterr()
    assert nothing.err == shown and nothing.out == ""


@pytest.mark.parametrize(("command", "other"), [("create", "tools"), ("im2rec", "create")])
def test_what_people_wait_for_does_not_wait_for_other_commands(command: str, other: str) -> None:
    code = (
        f"import sys; from gpu_pack.cli.main import run; run([{command!r}, '--help']); "
        f"sys.exit('gpu_pack.cli.{other}' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("creat", "No such command 'creat'"),
        ("--creat", "--creat"),
        ("create", "Missing argument"),
        ("create photos out --no-such-option", "--no-such-option"),
        ("create photos out --color cmyk", "--color"),
        ("create photos out --seed x", "--seed"),
        ("verify", "Missing argument"),
    ],
)
def test_what_the_parser_refuses_names_the_help(line: str, sentence: str) -> None:
    with pytest.raises(UsageError, match="--help tells more") as caught:
        run(line.split())
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "needles"),
    [
        ("--split a=0.7 --split b=0.7", ["--split", "sum to 1.4"]),
        ("--split a", ["NAME=FRACTION"]),
        ("--size 100 --resize 50", ["size=100 (--size) and resize=50 (--resize)"]),
        ("--pass-through --size 100", ["pass_through=True (--pass-through)", "size=100 (--size) would change"]),
        ("--pass-through --encoding png", ["(--pass-through)", "(--encoding) would change"]),
        ("--pass-through --no-crop", ["(--pass-through)", "crop=False (--no-crop) would change"]),
        ("--pass-through --upscale", ["(--pass-through)", "upscale=True (--upscale) would change"]),
        ("--quality 101", ["between 1 and 100"]),
        ("--encoding png --quality 95", ["between 0 and 9"]),
        ("--size 0", ["--size"]),
        ("--resize 0", ["resize=0 (--resize)"]),
        ("--resize 100 --crop", ["resize=100 (--resize) does not crop"]),
        ("--workers 0", ["--workers"]),
        ("--batch-size 0", ["--batch-size"]),
        ("--gpus 0 --device cpu", ["--gpus", "--device"]),
        ("--gpus a", ["gpus=a (--gpus)"]),
        ("--shards 0", ["--shards"]),
        ("--shards 300", ["30 images, fewer than shards=300 (--shards)", "fewer shards"]),
    ],
)
def test_options_that_cannot_be_right(options: str, needles: list[str], packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        run(["create", str(packed.parent / "photos"), str(tmp_path / "out"), *options.split()])
    assert all(needle in str(caught.value) for needle in needles), caught.value
    assert not (tmp_path / "out").exists()


def test_an_empty_argument_is_not_the_current_folder() -> None:
    for arguments in (("create", "photos", ""), ("create", "", "out"), ("verify", "")):
        with pytest.raises(UsageError, match="an argument is empty: is a variable of the shell not set"):
            run(arguments)


def test_names_that_the_system_refuses(packed: Path, tmp_path: Path) -> None:
    photos = str(packed.parent / "photos")
    with pytest.raises(UsageError, match="at most 200 bytes"):
        run(["create", photos, str(tmp_path / "out"), "--split", "x" * 300 + "=1"])
    (tmp_path / "loop").symlink_to("loop")
    for source, out in ((photos, tmp_path / "loop"), (tmp_path / "loop", tmp_path / "out")):
        with pytest.raises(GpuPackError) as caught:
            run(["create", str(source), str(out), "--quiet"])
        assert "loop" in str(caught.value)


def test_names_that_would_steer_the_terminal(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        run(["create", "no\x1b[31msuch", "out"])
    assert run(["inspect", str(packed)]) == 0
    assert "\x1b" not in capsys.readouterr().out
