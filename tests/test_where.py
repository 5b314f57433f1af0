"""bench/where: the parts of an image's way, and the page that tells of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.where import page, parts, whole
from bench.where.__main__ import RESULTS

PHOTOS = Path(__file__).parent / "photos"


def test_the_page_is_what_was_measured() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.with_tables(text, json.loads(RESULTS.read_text())) == text


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="where: begin"):
        page.with_tables("# Speed\n", json.loads(RESULTS.read_text()))


def test_the_rest_is_what_the_parts_do_not_explain() -> None:
    results = json.loads(RESULTS.read_text())
    for way, rows in page.ways(results["parts"], results["whole"]).items():
        assert sum(rows.values()) == pytest.approx(results["whole"][way]["image"])
        assert {*rows} <= {*page.BOUNDS}, way


def test_every_part_is_measured(tmp_path: Path) -> None:
    photos = whole.photographs(PHOTOS)[:3]
    measured = parts.measure(photos, tmp_path / "written", rounds=2)
    assert {*measured} == {*json.loads(RESULTS.read_text())["parts"]}
    assert all(value > 0 for value in measured.values())
    written = (tmp_path / "written").stat().st_size
    assert written > sum(photo.stat().st_size for photo in photos)
