"""What every kind of source yields: its images, and what else it tells."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from gpu_pack.formats.notices import Notice
from gpu_pack.stores.store import Stat
from gpu_pack.types import Place

#: The name of a class, or label values.
Label = str | tuple[float, ...]


class Found(NamedTuple):
    """One image of a source, before its class has a number.

    Attributes:
        path: as `Entry.path`.
        stat: of the file; of an image in an archive its own size, and the version of the archive.
        label: the name of its class, or label values; () for a reject whose label is not known.
        place: where it lies inside of another file.
        split: the name of its split, in a source that is divided already.
        key: its own record id, in a source that has such ids.
        refused: the reason and the code of a reject, for an image that is not to be read.
    """

    path: str
    stat: Stat
    label: Label
    place: Place | None = None
    split: str | None = None
    key: int | None = None
    refused: tuple[str, str] | None = None


@dataclass
class Facts:
    """What a source tells besides its images; complete once these have been read to the end.

    Attributes:
        source: its name in messages.
        class_names: of folders, also of empty ones, in any order; None where the images' labels tell all.
        numbered: names by label, where labels are numbers that have names; told with the first image.
        splits: names in order, of a source that is divided already.
        splits_bind: they are not to be divided anew.
        ordered: the order of its images was chosen by someone: it is kept unless a division asks for another.
        records: how many images are out of records, for which they were encoded before.
        skipped: how many files were no images, by suffix.
        notices: notes and warnings.
    """

    source: str
    class_names: list[str] | None = None
    numbered: tuple[str, ...] | None = None
    splits: list[str] = field(default_factory=list)
    splits_bind: bool = True
    ordered: bool = False
    records: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    notices: list[Notice] = field(default_factory=list)
