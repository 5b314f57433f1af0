"""Lines of a .lst: what the strict reader takes, what it says of the rest, and im2rec.py's own reading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpu_pack.errors import ListError, SourceError
from gpu_pack.formats import lst
from gpu_pack.types import Entry
from tests.recordio import cases

GOLDENS = Path(__file__).parents[2] / "recordio" / "goldens"


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("0\t1.000000\ta.jpg\n", Entry(0, (1.0,), "a.jpg")),
        ("7\t8\tfolder/b c.JPG", Entry(7, (8.0,), "folder/b c.JPG")),
        (" 5 \t -0.5 \t ü/é.png \r\n", Entry(5, (-0.5,), "ü/é.png")),
        ("18446744073709551615\t1e-3\t2\t3\tlast", Entry(2**64 - 1, (0.001, 2.0, 3.0), "last")),
        ("1\t16777216\ta", Entry(1, (16777216.0,), "a")),
        ("1\t33554432\ta", Entry(1, (33554432.0,), "a")),
        ("1\t16777217.5\ta", Entry(1, (16777217.5,), "a")),
        ("3470205707\t0\ta", Entry(3470205707, (0.0,), "a")),
    ],
)
def test_lines(line: str, entry: Entry) -> None:
    assert lst.parse_line(line, "x.lst", 1) == entry


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("a.jpg", "1 field, and a line needs key<TAB>label<TAB>path"),
        ("0 1 a.jpg", "tabs, not by blanks"),
        ("0\ta.jpg", "2 fields"),
        ("0\t1\t", "2 fields"),
        ("x\t1\ta.jpg", "key 'x' is no whole number"),
        ("-1\t1\ta.jpg", "key '-1' is no whole number from 0"),
        ("1.0\t1\ta.jpg", "key '1.0'"),
        ("1_0\t1\ta.jpg", "key '1_0'"),
        ("٣\t1\ta.jpg", "key "),
        ("9" * 5000 + "\t1\ta.jpg", "key '99999"),
        ("18446744073709551616\t1\ta.jpg", r"larger than 2\^64-1"),
        ("3470205706\t1\ta.jpg", "magic number"),
        (f"{3470205706 << 32}\t1\ta.jpg", "magic number"),
        ("1\t-1804698880\ta.jpg", "magic number"),
        ("1\t2\t-1804698880\ta.jpg", "magic number"),
        ("1\tcat\ta.jpg", "label 'cat' is no number"),
        ("1\t\ta.jpg", "label '' is no number"),
        ("1\t1_0\ta.jpg", "label '1_0'"),
        ("1\t٤\ta.jpg", "label "),
        ("1\tnan\ta.jpg", "not finite"),
        ("1\t1\t-inf\ta.jpg", "not finite"),
        ("1\t1e39\ta.jpg", "too large for float32"),
        ("1\t16777217\ta.jpg", "would become 16777216"),
        ("1\t-123456789\ta.jpg", "would become -123456792"),
        ("1\t1\ta\0.jpg", "NUL"),
        ("1\t1\ta\udcff.jpg", "not UTF-8"),
    ],
)
def test_lines_that_cannot_be_used_are_named(line: str, what: str) -> None:
    with pytest.raises(ListError, match=rf"^x\.lst:12: .*{what}"):
        lst.parse_line(line, "x.lst", 12)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_files_with_mark_blank_lines_and_either_line_end(tmp_path: Path, start: bytes, end: bytes) -> None:
    lines = ["0\t1\ta.jpg", "", "  ", "3\t2\tü.jpg"]
    path = tmp_path / "x.lst"
    path.write_bytes(start + end.join(line.encode() for line in lines))
    found = [(1, Entry(0, (1.0,), "a.jpg")), (4, Entry(3, (2.0,), "ü.jpg"))]
    assert list(lst.read_numbered(path)) == found
    assert list(lst.read_list(str(path))) == [entry for _, entry in found]


def test_an_empty_file_has_no_entries(tmp_path: Path) -> None:
    (tmp_path / "x.lst").touch()
    assert list(lst.read_list(tmp_path / "x.lst")) == []


def test_errors_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "x.lst"
    path.write_bytes(b"0\t1\ta.jpg\n\n1\t1\t\xff.jpg\n")
    with pytest.raises(ListError) as caught:
        list(lst.read_list(path))
    assert str(caught.value).startswith(f"{path}:3: ")
    str(caught.value).encode()  # printable, whatever the name was


@pytest.mark.parametrize("keys", [[0, 1, 2, 1], [5, 5], [2**40, 3, 2**40], [2**26, 2**26], [2**26 - 1, 0, 2**26 - 1]])
def test_repeated_keys_are_refused_when_asked(tmp_path: Path, keys: list[int]) -> None:
    path = tmp_path / "x.lst"
    path.write_text("".join(f"{key}\t0\ta.jpg\n" for key in keys))
    assert [entry.key for entry in lst.read_list(path)] == keys
    with pytest.raises(ListError, match=rf":{len(keys)}: key {keys[-1]} is on an earlier line"):
        list(lst.read_list(path, unique=True))
    path.write_text("".join(f"{key}\t0\ta.jpg\n" for key in keys[:-1]))
    assert [entry.key for entry in lst.read_list(path, unique=True)] == keys[:-1]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.lst", tmp_path):
        with pytest.raises(SourceError, match="cannot be read"):
            list(lst.read_list(path))
        with pytest.raises(SourceError, match="cannot be read"):
            list(lst.read_list_im2rec(path, print))


def test_a_line_without_end_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "x.lst").write_bytes(b"0\t1\ta.jpg\n" + b"\0" * 5000)
    with pytest.raises(ListError, match=r":2: the line has over 1000 characters"):
        list(lst.read_numbered(tmp_path / "x.lst", max_line=1000))


def test_reads_odd_lists_as_im2rec_does() -> None:
    said: list[str] = []
    entries = list(lst.read_list_im2rec(GOLDENS / "odd.lst", said.append))
    golden = json.loads((GOLDENS / "odd.json").read_text("utf-8"))
    # repr, because NaN is not equal to itself
    assert repr([[entry.key, entry.path, *entry.labels] for entry in entries]) == repr(golden["rows"])
    assert said == golden["printed"]


def test_reads_the_list_that_im2rec_wrote() -> None:
    entries = list(lst.read_list(GOLDENS / "im2rec.lst", unique=True))
    assert [(entry.key, entry.path) for entry in entries] == [row[:2] for row in cases.ROWS]
    for entry, row in zip(entries, cases.ROWS, strict=True):
        assert entry.labels == pytest.approx(row[2:], abs=1e-6)
