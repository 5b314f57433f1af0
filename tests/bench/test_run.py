"""`python -m bench` end to end on a few pictures: gpu-pack and the bare loop, resumed, and rendered."""

from __future__ import annotations

import json
import struct
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from bench import executor, figures, readme, runner, session
from bench.__main__ import main
from bench.contenders import CONTENDERS
from bench.state import OtherRunError, State
from bench.workloads import WORKLOADS

PHOTOS = Path(__file__).parents[1] / "photos"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few images, and the bare loop in this environment."""
    contenders, workloads = dict(CONTENDERS), dict(WORKLOADS)
    contenders["opencv"] = replace(contenders["opencv"], environment=None)
    for name in ("imagenet", "pass-through"):
        workloads[name] = replace(workloads[name], probe=4, most=24)
    for user in (session, executor, figures):
        monkeypatch.setattr(user, "CONTENDERS", contenders)
    for user in (session, runner, figures):
        monkeypatch.setattr(user, "WORKLOADS", workloads)


def arguments(tmp_path: Path, *more: str) -> list[str]:
    folders = [
        "--work",
        str(tmp_path / "work"),
        "--envs",
        str(tmp_path / "envs"),
        "--results",
        str(tmp_path / "results"),
    ]
    return [str(PHOTOS), *folders, "--minutes", "3", "--rounds", "2", *more]


@pytest.mark.usefixtures("small")
def test_a_run_and_its_resumption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--only", "gpu-pack,opencv", "--workloads", "imagenet,damaged"]
    assert main(arguments(tmp_path, *chosen)) == 0
    results = json.loads((tmp_path / "results/bench.json").read_text())
    first, damaged = results["workloads"]
    assert first["count"] == 24 and [row["contender"] for row in first["rows"]] == ["gpu-pack", "opencv"]
    for row in first["rows"]:
        assert row["runs"] == 2 and row["per_second"]["median"] > 0 and row["cpu_seconds_per_thousand"] > 0
        assert row["output_bytes"] > 24 * 1000 and row["other_size"] == 0
        assert row["psnr"]["triangle"][0] > 25 and row["psnr"]["lanczos"][1] > 15
    assert first["rows"][0]["ratio"]["median"] == 1
    ours, bare = (row["told"] for row in damaged["rows"])
    assert ours == "leaves out all three; names each" and bare.startswith("stops, exit status 1")
    page = (tmp_path / "results/bench.md").read_text()
    assert "## ImageNet-like photos to 224 x 224: 24 images, 2 rounds" in page and "| bare OpenCV loop |" in page

    state = tmp_path / "work/state.jsonl"
    whole = state.read_bytes()
    lines = whole.splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if b'"round"' in line and b'"imagenet"' in line)
    state.write_bytes(b"".join(lines[:last] + lines[last + 1 :]) + b'{"kind": "run", "workl')
    capsys.readouterr()
    assert main(arguments(tmp_path, *chosen)) == 0
    done = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("imagenet", "damaged"))]
    assert done == ["imagenet: opencv, 24 images, round 2"]
    assert json.loads((tmp_path / "results/bench.json").read_text())["workloads"][1] == damaged


@pytest.mark.usefixtures("small")
def test_pass_through_keeps_the_files(tmp_path: Path) -> None:
    assert main(arguments(tmp_path, "--only", "gpu-pack", "--workloads", "pass-through", "--rounds", "1")) == 0
    (row,) = json.loads((tmp_path / "results/bench.json").read_text())["workloads"][0]["rows"]
    assert row["files_kept"] == row["files"] == 4


@pytest.mark.usefixtures("small")
def test_no_time_is_status_3_and_told_in_the_table(tmp_path: Path) -> None:
    given = arguments(tmp_path, "--only", "gpu-pack", "--workloads", "imagenet", "--minutes", "0.0001")
    assert main(given) == 3


def test_a_folder_without_a_photograph_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A BMP of two million columns, which OpenCV refuses by an exception, and text."""
    (tmp_path / "photos").mkdir()
    wide = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 1000, 0, 54, 40, 2_000_000, 1, 1, 24, 0, 0, 0, 0, 0, 0)
    (tmp_path / "photos/wide.bmp").write_bytes(wide + bytes(946))
    (tmp_path / "photos/text.jpg").write_text("no picture")
    given = ["--only", "gpu-pack", "--workloads", "imagenet"]
    assert main([str(tmp_path / "photos"), *arguments(tmp_path, *given)[1:]]) == 2
    assert "no photograph that OpenCV decodes" in capsys.readouterr().err


def test_state_of_another_run_is_refused(tmp_path: Path) -> None:
    State(tmp_path / "state.jsonl", {"photographs": "a", "cores": [0]}).add({"kind": "run", "row": "x"})
    assert State(tmp_path / "state.jsonl", {"photographs": "a", "cores": [0]}).first(row="x") == {
        "kind": "run",
        "row": "x",
    }
    with pytest.raises(OtherRunError, match=r"another run.*photographs"):
        State(tmp_path / "state.jsonl", {"photographs": "b", "cores": [0]})


def test_recorded_results_are_rendered(tmp_path: Path) -> None:
    recorded = Path(__file__).with_name("recorded.json").read_text()
    (tmp_path / "bench.json").write_text(recorded)
    assert main(["--render", str(tmp_path / "bench.json")]) == 0
    page = (tmp_path / "bench.md").read_text()
    assert "| im2rec.py | 700 (690 to 710) | 0.70 (0.69 to 0.71) | 820 |" in page
    assert "| FFCV | no matching distribution \\| for ffcv |" in page
    chart = ElementTree.fromstring((tmp_path / "bench.svg").read_text())
    texts = [element.text or "" for element in chart.iter("{http://www.w3.org/2000/svg}text")]
    assert "im2rec.py" in texts and "700 images/s, x 0.70" in texts and not any("FFCV" in text for text in texts)
    style = next(chart.iter("{http://www.w3.org/2000/svg}style")).text
    assert style and "prefers-color-scheme: dark" in style


def test_the_readme_carries_what_was_measured() -> None:
    page = readme.PAGE.read_text(encoding="utf-8")
    results = json.loads((readme.PAGE.parent / "bench/results/bench.json").read_text(encoding="utf-8"))
    assert readme.with_tables(page, results) == page


def test_every_tool_has_a_line_in_the_readme_with_what_it_does_about_damage() -> None:
    recorded = json.loads(Path(__file__).with_name("recorded.json").read_text())
    text = readme.with_tables(f"before {readme.BEGIN} old {readme.END} after", recorded)
    assert text.startswith("before ") and text.endswith(" after") and " old " not in text
    assert "| gpu-pack create | 1,000 | 1.00 | 1.50 | 90 | 34.8 (27.8) | leaves out all three; names each |" in text
    assert "| FFCV | no matching distribution \\| for ffcv | | | | | |" in text
    with pytest.raises(ValueError, match="<!-- bench -->"):
        readme.with_tables("no marks", recorded)
