"""The command line of `python -m bench`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import Options, parse
from bench.contenders import CONTENDERS, SCRIPTS
from bench.environments import REQUIREMENTS
from bench.workloads import WORKLOADS


def test_names_are_taken_in_the_tables_order_and_the_folder_is_not_told(tmp_path: Path) -> None:
    given = ["--only", "opencv,gpu-pack", "--workloads", "large,imagenet", "--minutes", "2", "--work", str(tmp_path)]
    options = parse([f"{tmp_path}/", *given])
    assert isinstance(options, Options)
    assert options.only == ("gpu-pack", "opencv") and options.workloads == ("imagenet", "large")
    flags = "--minutes 2 --only opencv,gpu-pack --workloads large,imagenet"
    assert options.command == f"python -m bench PHOTOS {flags}"


def test_without_names_everything_takes_part(tmp_path: Path) -> None:
    options = parse([str(tmp_path)])
    assert isinstance(options, Options)
    assert options.only == tuple(CONTENDERS) and options.workloads == (*WORKLOADS, "reading")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "gpu-pakc"], "--only gpu-pakc: choose from gpu-pack,"),
        (["--workloads", "moon"], "--workloads moon: choose from imagenet,"),
        (["--minutes", "0"], "--minutes and --rounds: more than nothing"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        parse([str(tmp_path), *arguments])
    assert raised.value.code == 2 and told in capsys.readouterr().err


def test_a_missing_folder_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["nowhere"])
    assert "PHOTOS: name a folder" in capsys.readouterr().err


def test_every_contender_has_its_script_requirements_and_workload() -> None:
    for contender in CONTENDERS.values():
        assert (SCRIPTS / f"{contender.script}.py").exists()
        if contender.environment:
            lines = (REQUIREMENTS / f"{contender.environment}.txt").read_text().splitlines()
            pins = [line for line in lines if not line.startswith("#")]
            assert pins and all("==" in pin for pin in pins)
    taking_part = {case.contender for workload in WORKLOADS.values() for case in workload.cases(2)}
    assert taking_part == set(CONTENDERS)
