"""Lines of an .idx, written and read."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from gpu_pack.errors import FormatError
from gpu_pack.recordio.index import format_index, parse_index_line, read_index


def test_a_long_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    keys, offsets = array("Q", range(5, 70_005)), array("Q", range(0, 280_000, 4))
    pieces = list(format_index(keys, offsets))
    assert pieces[0].startswith(b"5\t0\n6\t4\n") and len(pieces) == 2
    (tmp_path / "a.idx").write_bytes(b"".join(pieces))
    assert list(read_index(tmp_path / "a.idx")) == list(zip(keys, offsets, strict=True))
    assert list(format_index([], [])) == []


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (b"3\t16\n", (3, 16)),
        (b" 3\t16\r\n", (3, 16)),
        (b"18446744073709551615\t9223372036854775807\n", (2**64 - 1, 2**63 - 1)),
        (b"18446744073709551616\t0\n", None),
        (b"0\t9223372036854775808\n", None),
        (b"0\t" + b"0" * 21, None),
        (b"-1\t0\n", None),
        (b"cat\t0\n", None),
        (b"3 16\n", None),
        (b"3\t16\t0\n", None),
        (b"\n", None),
    ],
)
def test_lines_of_integer_keys(line: bytes, entry: tuple[int, int] | None) -> None:
    assert parse_index_line(line) == entry


@pytest.mark.parametrize(
    ("index", "line", "offset"),
    [
        (b"0\t0\n1\n", 2, 4),
        (b"zero\t0\n", 1, 0),
        (b"0\tx\n", 1, 0),
        (b"0\t-1\n", 1, 0),
        (b"0\t9223372036854775808\n", 1, 0),
        (b"\n\n\xff\t0\n", 3, 2),
        (b"0 0\n", 1, 0),
        (b"0\t0\n" + b"\0" * 100_000, 2, 4),
    ],
)
def test_a_malformed_index_is_named_by_line(tmp_path: Path, index: bytes, line: int, offset: int) -> None:
    path = tmp_path / "a.idx"
    path.write_bytes(index)
    with pytest.raises(FormatError, match=f"line {line} of the index") as caught:
        list(read_index(path))
    assert (caught.value.path, caught.value.offset) == (str(path), offset)


def test_blank_lines_and_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.idx").write_bytes(b"0\t0\r\n\r\n1\t8\r\n\n")
    assert list(read_index(tmp_path / "a.idx")) == [(0, 0), (1, 8)]
