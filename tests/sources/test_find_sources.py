"""Patterns, and what a user names as a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_pack.errors import SourceError, UsageError
from gpu_pack.sources.braces import expand_braces
from gpu_pack.sources.find_sources import locate
from gpu_pack.sources.source_options import SourceOptions


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a-{008..011}.tar", ["a-008.tar", "a-009.tar", "a-010.tar", "a-011.tar"]),
        ("{b,a}/{1..2}", ["b/1", "b/2", "a/1", "a/2"]),
        ("{2..0}", ["2", "1", "0"]),
        ("a{b}c{}", ["a{b}c{}"]),
        ("plain", ["plain"]),
    ],
)
def test_braces(text: str, names: list[str]) -> None:
    assert expand_braces(text) == names


@pytest.mark.parametrize("text", ["{0..99999999}", "{0..2000}{0..2000}"])
def test_braces_that_stand_for_too_many(text: str) -> None:
    with pytest.raises(UsageError, match="over 1,000,000 names"):
        expand_braces(text)


def test_patterns_stand_for_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a1", "a2", "b", "[x]"):
        (tmp_path / name).mkdir()

    def found(*given: str) -> list[str]:
        return [each.files.source for each in locate(given, SourceOptions())]

    assert found("a*", "b", "[x]") == ["a1", "a2", "b", "[x]"]
    assert found("{b,a1}") == ["b", "a1"]
    with pytest.raises(SourceError, match=r"c\*: no file or folder fits this pattern"):
        found("c*")
    with pytest.raises(SourceError, match="a3: no such folder or file"):
        found("a{1..3}")
