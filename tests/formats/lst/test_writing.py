"""Entries to lines: im2rec.py's bytes, the shortest labels, and the names that no line can hold."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pack.errors import ListError
from gpu_pack.formats import lst
from gpu_pack.types import Entry
from tests.recordio import cases, strategies

GOLDENS = Path(__file__).parents[2] / "recordio" / "goldens"

labels = strategies.labels.filter(math.isfinite)
names = st.text(st.characters(exclude_categories=[]), max_size=12)
entries = st.builds(
    Entry,
    strategies.keys,
    st.lists(labels, min_size=1, max_size=4).map(tuple),
    names.filter(bool),
    st.none(),
    st.none(),
)


def test_rows_are_written_as_im2rec_writes_them() -> None:
    rows = [(row[0], "\t".join(f"{label:f}" for label in row[2:]), row[1]) for row in cases.ROWS]
    written = b"".join(lst.format_rows(rows))  # type: ignore[arg-type]
    assert written == (GOLDENS / "im2rec.lst").read_bytes()


def test_labels_are_written_in_their_shortest_form() -> None:
    entries = [Entry(1, (8.0, 0.5, -2.0, 1e-9, 3e38), "a.jpg"), Entry(2, (0,), "ü.jpg")]
    assert b"".join(lst.format_list(entries)) == "1\t8\t0.5\t-2\t1e-09\t3e+38\ta.jpg\n2\t0\tü.jpg\n".encode()


def test_long_lists_come_in_pieces() -> None:
    entries = [Entry(key, (0.0,), "a.jpg") for key in range(17_000)]
    pieces = list(lst.format_list(entries))
    assert len(pieces) > 1 and all(piece.endswith(b"\n") for piece in pieces)
    lines = b"".join(pieces).decode().splitlines()
    assert [lst.parse_line(line, "x.lst", 1) for line in lines] == entries


@settings(max_examples=60)
@given(st.lists(entries, max_size=5))
def test_what_is_listable_comes_back_and_the_rest_is_refused(rows: list[Entry]) -> None:
    if any(lst.unlistable_reason(row.path) for row in rows):
        with pytest.raises(ListError, match="cannot stand in"):
            list(lst.format_list(rows))
        return
    text = b"".join(lst.format_list(rows)).decode()
    lines = io.StringIO(text, newline=None).readlines()
    assert [lst.parse_line(line, "x", 1) for line in lines] == rows


@pytest.mark.parametrize("name", ["a.jpg", "a b.jpg", "ü/é\u3000x.jpg", "#.jpg", "a\\b.jpg", "'\"", "🐈.png", "\x7f"])
def test_listable(name: str) -> None:
    assert lst.unlistable_reason(name) is None


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
def test_unlistable(name: str, why: str) -> None:
    reason = lst.unlistable_reason(name)
    assert reason is not None
    assert why in reason
