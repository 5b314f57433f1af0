"""Kinds of sources are known in every place that has to know them."""

from __future__ import annotations

from typing import get_args

from gpu_pack.sources import list_source, source_options
from gpu_pack.sources.recognize import SETS


def test_every_kind_can_be_opened_and_has_words() -> None:
    kinds = {*get_args(source_options.SourceFormat)} - {"auto"}
    assert kinds == {*list_source._OPENERS} and kinds <= {*source_options._WORDS}
    assert kinds >= SETS and {kind for about in source_options._ABOUT.values() for kind in about} <= {
        *source_options._WORDS
    }
