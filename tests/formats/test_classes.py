"""classes.txt, written and read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_pack.errors import SourceError
from gpu_pack.formats.classes import format_classes, read_classes


def test_names_are_read_as_they_were_written(tmp_path: Path) -> None:
    names = ("ant", "bee bee", "K\u00e4fer", " blanks ")
    (tmp_path / "classes.txt").write_bytes(format_classes(names))
    assert read_classes(tmp_path / "classes.txt") == names


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no class names"), (b"a\n\nb\n", ":2: a blank line"), (b"a\nb\na\n", ":3: class 'a' is on line 1")],
)
def test_classes_files_that_cannot_be_right(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_classes(tmp_path / "classes.txt")


def test_classes_files_of_other_systems(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbfcat\r\ndog\r\n")
    assert read_classes(tmp_path / "classes.txt") == ("cat", "dog")
