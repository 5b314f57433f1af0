"""Notes and warnings of a run: every code, with its level and its sentence.

A note tells what was recognised, or done as asked; a warning tells what may train wrongly. Codes are stable; the README
lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["note", "warning"]

#: By code: the level, and the sentence. ``{count}`` and ``{example}`` stand for a notice's own values.
NOTICES: dict[str, tuple[Level, str]] = {
    "presplit": (
        "note",
        "the source is divided already, and its folders become splits with one list of classes: {example}",
    ),
    "split-anew": ("note", "the splits of the records are given up, as --split divides all of them anew: {example}"),
    "split-left-out": ("note", "split folders without class folders are left out: {example}"),
    "archive-root": ("note", "everything lies in one folder, {example}, and the folders in it are the classes"),
    "archives-as-classes": (
        "note",
        "archives without folders in them give their names to classes: {count:,}, such as {example}",
    ),
    "archive-backslashes": (
        "note",
        "names in zips with backslashes between folders, which are read as slashes: {count:,}, such as {example}",
    ),
    "sample-images": (
        "note",
        "further images of WebDataset samples, which are not packed: {count:,}, such as {example}; --image-key names "
        "those that are",
    ),
    "list-backslashes": ("note", "paths of the list with backslashes between folders: {count:,}, such as {example}"),
    "list-dialect": ("note", "the list was read as {example}"),
    "table-columns": ("note", "columns of the table: {example}"),
    "labels-unused": (
        "note",
        "rows of the label file that name no image of the source: {count:,}, such as {example}",
    ),
    "boxes-dropped": ("note", "objects dropped, as the crop cuts off their centre: {count:,}, the first in {example}"),
    "exif-orientation": (
        "note",
        "pictures with an EXIF orientation, which not every reader applies: {count:,}, such as {example}",
    ),
    "metadata-records": ("note", "records without a picture, taken for metadata: {count:,}, such as {example}"),
    "re-encoded": (
        "note",
        "pictures out of records, which lose a little as they are encoded as JPEG again: {count:,}; --pass-through "
        "keeps them as they are",
    ),
    "keys-renumbered": (
        "note",
        "keys that come twice, so that all records are numbered anew from 0: {count:,}, such as {example}",
    ),
    "beside-unused": ("note", "files beside records that are not used: {count:,}, such as {example}"),
    "no-manifest": (
        "note",
        "no manifest beside {example} (paths without one: {count:,}): what the structure does not show, such as a bit "
        "inside a picture, goes unnoticed",
    ),
    "no-index": (
        "note",
        "there is no index beside {example} (files without one: {count:,}); `gpu-pack index` makes it from the records",
    ),
    "unfinished-run": ("note", "{example}: another run is writing there, or was interrupted"),
    "keys-changed": ("note", "records with another key than before: {count:,}, such as {example}"),
    "labels-changed": (
        "note",
        "records whose label number changed, as the classes' names say: {count:,}, such as {example}",
    ),
    "metadata-left-out": (
        "note",
        "records without a picture, left out, since they tell of the whole file that they come from: {count:,}, such "
        "as {example}",
    ),
    "rejects-left": ("note", "rejects of the inputs, which are not copied: {count:,}, in {example}"),
    "options-differ": (
        "warning",
        "the pictures come from runs with different options ({count:,}): {example}",
    ),
    "numeric-classes": (
        "warning",
        "class folders with whole numbers for names are labelled in the order of the text, {example}: "
        "--class-order natural takes the numbers' order",
    ),
    "classes-missing": ("warning", "classes that not every split has: {count:,}; missing are {example}"),
    "class-untrained": (
        "warning",
        "classes with images in other splits but none in train: {count:,}, such as {example}",
    ),
    "label-order": (
        "warning",
        "lines of the label file are for the images in the order of their names as text, {example}, which is not that "
        "of the numbers in them",
    ),
    "archive-damaged": (
        "warning",
        "damaged archives, whose members may be lost, about {count:,} of them; the first in {example}",
    ),
    "faces-unaligned": (
        "warning",
        "faces of the list that are not aligned, packed as they are: {count:,}, such as {example}",
    ),
    "boxes-kept": (
        "warning",
        "pictures cropped without their boxes, which stay as they are: {count:,}, such as {example}",
    ),
    "alpha-dropped": (
        "warning",
        "pictures whose transparent pixels are dropped: {count:,}, such as {example}; --background COLOUR lays them on "
        "a colour",
    ),
    "depth-unused": (
        "warning",
        "16-bit pictures that use fewer bits and become nearly black: {count:,}, such as {example}; --depth scale "
        "stretches them",
    ),
    "more-pages": (
        "warning",
        "pictures with further pages or frames, which are not packed: {count:,}, such as {example}",
    ),
    "blemish-kept": (
        "warning",
        "damaged pictures packed, as they have data for every pixel: {count:,}, such as {example}",
    ),
    "records-incomplete": (
        "warning",
        "records that seem to be incomplete: {count:,}, such as {example}; `gpu-pack verify` tells what is missing",
    ),
    "other-region": (
        "warning",
        "the dataset and its copy lie in different regions, between which copies are slower and charged: {example}",
    ),
    "repeated-keys": (
        "warning",
        "records with the id of an earlier one: {count:,}, such as {example}; their keys are their positions, and "
        "`gpu-pack index --rekey` writes an .idx that says so (with --overwrite where there is one)",
    ),
}


@dataclass(frozen=True)
class Notice:
    """One note or warning.

    Attributes:
        code: a key of `NOTICES`.
        count: how many images, lines, classes or folders it is about.
        example: one of them.
    """

    code: str
    count: int = 1
    example: str = ""

    @property
    def level(self) -> Level:
        return NOTICES[self.code][0]

    @property
    def message(self) -> str:
        """One sentence."""
        return NOTICES[self.code][1].format(count=self.count, example=self.example)

    def to_json(self) -> dict[str, Any]:
        """Plain values: code, message, count, example."""
        return {"code": self.code, "message": self.message, **asdict(self)}


def merge_notices(notices: Iterable[Notice]) -> list[Notice]:
    """One notice a code: the counts added up, the first example."""
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for each in notices:
        counts[each.code] += each.count
        examples.setdefault(each.code, each.example)
    return [Notice(code, counts[code], example) for code, example in examples.items()]


def select(notices: Iterable[Notice], level: Level) -> list[dict[str, Any]]:
    """The notices of one level, as plain values."""
    return [each.to_json() for each in notices if each.level == level]


def lines(notes: Iterable[Mapping[str, Any]], warnings: Iterable[Mapping[str, Any]]) -> list[str]:
    """What a person reads: a line each."""
    return [f"note: {each['message']}" for each in notes] + [f"warning: {each['message']}" for each in warnings]
