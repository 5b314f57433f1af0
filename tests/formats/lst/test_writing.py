"""Entries to lines: im2rec.py's bytes, the shortest labels, and the names that no line can carry."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_pack.errors import ListError
from gpu_pack.formats import lst
from gpu_pack.types import Entry
from tests.recordio import cases

GOLDENS = Path(__file__).parents[2] / "recordio" / "goldens"

MAGIC_LABEL = -1804698880.0
keys = st.integers(0, 2**64 - 1).filter(lambda key: 0xCED7230A not in (key & 0xFFFFFFFF, key >> 32))
labels = st.floats(width=32, allow_nan=False, allow_infinity=False).filter(lambda value: value != MAGIC_LABEL)
names = st.text(st.characters(exclude_categories=[]), max_size=12)
entries = st.builds(Entry, keys, st.lists(labels, min_size=1, max_size=4).map(tuple), names.filter(bool), st.none())


def test_writes_the_bytes_of_im2rec(tmp_path: Path) -> None:
    rows = [Entry(row[0], row[2:], row[1]) for row in cases.ROWS]  # type: ignore[arg-type]
    lst.write_list(tmp_path / "x.lst", rows, "%f")
    assert (tmp_path / "x.lst").read_bytes() == (GOLDENS / "im2rec.lst").read_bytes()


def test_writes_labels_bare_by_default() -> None:
    out = io.StringIO()
    lst.write_list(out, [Entry(1, (8.0, 0.5, -2.0, 1e-9, 3e38), "a.jpg"), Entry(2, (0,), "b.jpg")])
    assert out.getvalue() == "1\t8\t0.5\t-2\t1e-09\t3e+38\ta.jpg\n2\t0\tb.jpg\n"


@given(st.lists(entries, max_size=5))
def test_what_is_nameable_comes_back_and_the_rest_is_refused(rows: list[Entry]) -> None:
    unlistable = [row for row in rows if lst.nameable_error(row.path)]
    out = io.StringIO()
    if unlistable:
        with pytest.raises(ListError, match="cannot stand in"):
            lst.write_list(out, rows)
        return
    lst.write_list(out, rows)
    lines = io.StringIO(out.getvalue(), newline=None).readlines()
    assert [lst.parse_line(line, "x", 1) for line in lines] == rows


@pytest.mark.parametrize("name", ["a.jpg", "a b.jpg", "ü/é\u3000x.jpg", "#.jpg", "a\\b.jpg", "'\"", "🐈.png", "\x7f"])
def test_nameable(name: str) -> None:
    assert lst.nameable_error(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("a\tb", "tab"),
        ("a\nb", "line feed"),
        ("a\rb", "carriage return"),
        ("a\0b", "NUL"),
        (" a", "begins or ends with a blank"),
        ("a ", "begins or ends with a blank"),
        ("a\u3000", "begins or ends with a blank"),
        ("\x1fa", "begins or ends with a blank"),
        ("a\udcff", "not UTF-8"),
    ],
)
def test_not_nameable(name: str, why: str) -> None:
    reason = lst.nameable_error(name)
    assert reason is not None
    assert why in reason


def test_a_path_is_overwritten_as_utf8_with_line_feeds(tmp_path: Path) -> None:
    path = tmp_path / "x.lst"
    path.write_text("something longer that was there before")
    lst.write_list(str(path), [Entry(0, (1.0,), "ü.jpg")])
    assert path.read_bytes() == "0\t1\tü.jpg\n".encode()
