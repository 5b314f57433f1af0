"""What opening any kind of source gives, and the files that it is opened from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gpu_pack.sources.found import Facts, Found
from gpu_pack.stores.store import Store


class SourceFiles(NamedTuple):
    """A folder, or files of one kind that make one set.

    Attributes:
        source: their name in messages.
        store: where they lie.
        paths: in the store; a folder's own is ``""`` or ends with ``/``.
    """

    source: str
    store: Store
    paths: list[str]


class OpenSource(NamedTuple):
    """A source that can be listed.

    Attributes:
        store: where the images lie.
        images: read once, lazily.
        facts: complete once ``images`` are read to the end.
    """

    store: Store
    images: Iterator[Found]
    facts: Facts
