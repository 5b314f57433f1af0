"""Findings: copies, leakage, label conflicts, pictures without contents, and classes that are small or missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpu_pack.tools.faults import Faults
from gpu_pack.tools.findings.kinds import LOOKS
from gpu_pack.tools.findings.looks import BLURRED, FINE
from gpu_pack.tools.findings.near import near_groups
from gpu_pack.tools.findings.paths import paths_of
from gpu_pack.tools.findings.pictures import Pictures, read_pictures
from gpu_pack.tools.locate import Target
from gpu_pack.types import OnProgress, Progress

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

#: A class with fewer pictures is small: of nine, a tenth for validation is none.
SMALL_CLASS = 10
#: One picture: split, key, and path by the .lst, or None.
Member = dict[str, Any]
Group = list[Member]


@dataclass
class Findings:
    """What may spoil a training run; complete.

    Attributes:
        pictures: how many were looked at.
        exact_duplicates: groups of pictures with the same bytes.
        near_duplicates: groups of pictures that look alike, of which not all have the same bytes.
        leakage: the groups of either kind that lie in several splits.
        label_conflicts: the groups of either kind whose pictures have different labels, each with its label and class;
            of pictures with one label each.
        black, white: pictures that are nearly so. blank: of one tone. blurred: without a sharp edge.
        small_classes: label, class and count of each with fewer than `SMALL_CLASS` pictures.
        missing_labels: split, label and class of each label that another split has.
    """

    pictures: int = 0
    exact_duplicates: list[Group] = field(default_factory=list)
    near_duplicates: list[Group] = field(default_factory=list)
    leakage: list[Group] = field(default_factory=list)
    label_conflicts: list[Group] = field(default_factory=list)
    black: list[Member] = field(default_factory=list)
    white: list[Member] = field(default_factory=list)
    blank: list[Member] = field(default_factory=list)
    blurred: list[Member] = field(default_factory=list)
    small_classes: list[dict[str, Any]] = field(default_factory=list)
    missing_labels: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class FoundRows:
    """Findings as rows of `Pictures`: groups by name, and single pictures by name."""

    groups: dict[str, list[Array]]
    singles: dict[str, Array]


def find(
    targets: Sequence[Target], classes: Sequence[str] | None, on_progress: OnProgress, workers: int | None = None
) -> Findings:
    """Read and compare all pictures of some .rec files.

    Args:
        classes: names by label.
        on_progress: called a few times a second.
        workers: threads; None for one a core.

    Raises:
        SourceError: a file cannot be read.
    """
    pictures = read_pictures(targets, on_progress, workers)
    return describe(pictures, find_rows(pictures, on_progress, workers), classes)


def find_rows(pictures: Pictures, on_progress: OnProgress, workers: int | None = None) -> FoundRows:
    """Compare the pictures."""
    import numpy as np

    count = len(pictures)
    _, earliest, inverse = np.unique(pictures.digests, axis=0, return_index=True, return_inverse=True)
    same = earliest[inverse.reshape(-1)]  # the first row with the same bytes
    judged = np.flatnonzero(
        (same == np.arange(count)) & ((pictures.kinds == FINE) | (pictures.kinds == BLURRED))
    )  # the hash of a blank picture is noise

    def on_step(done: int, steps: int) -> None:
        on_progress(Progress(count * done // steps, count, "records", detail="compared"))

    alike = np.arange(count)
    alike[judged] = judged[near_groups(pictures.hashes[judged], on_step, workers)]
    alike = alike[same]
    exact, near = list(_groups(same)), [rows for rows in _groups(alike) if len(np.unique(same[rows])) > 1]
    splits = _split_numbers(pictures)
    leakage = [rows for rows in _groups(alike) if len(np.unique(splits[rows])) > 1]
    conflicts = [rows for rows in _groups(alike) if _differ(pictures, rows)]
    return FoundRows(
        {"exact_duplicates": exact, "near_duplicates": near, "leakage": leakage, "label_conflicts": conflicts},
        {name: np.flatnonzero(pictures.kinds == kind) for name, kind in LOOKS.items()},
    )


def describe(pictures: Pictures, found: FoundRows, classes: Sequence[str] | None) -> Findings:
    """The findings with keys and paths."""
    import numpy as np

    rows = [rows for groups in found.groups.values() for rows in groups] + list(found.singles.values())
    wanted = np.unique(np.concatenate(rows)) if rows else np.empty(0, np.int64)
    members = dict(zip(wanted.tolist(), _members(pictures, wanted), strict=True))
    groups: dict[str, Any] = {
        name: [[members[row] for row in rows.tolist()] for rows in groups] for name, groups in found.groups.items()
    }
    groups["label_conflicts"] = [
        [{**members[row], **_named(pictures.labels[row], classes)} for row in rows.tolist()]
        for rows in found.groups["label_conflicts"]
    ]
    singles: dict[str, Any] = {name: [members[row] for row in rows.tolist()] for name, rows in found.singles.items()}
    small, missing = _class_findings(pictures, classes)
    return Findings(len(pictures), **groups, **singles, small_classes=small, missing_labels=missing)


def _groups(numbers: Array) -> Iterator[Array]:
    """The rows of each number that comes more than once, by their first row."""
    import numpy as np

    _, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    several = np.flatnonzero(counts[inverse] > 1)
    order = several[np.argsort(numbers[several], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []
    return iter(sorted(groups, key=lambda rows: int(rows[0])))


def _differ(pictures: Pictures, rows: Array) -> bool:
    """Whether pictures have different labels; those with several labels are not judged."""
    labels = [pictures.labels[row] for row in rows.tolist()]
    return len({label for label in labels if label == label}) > 1


def _named(label: float, classes: Sequence[str] | None) -> dict[str, Any]:
    """A label, and its class or None."""
    if label != label:
        return {"label": None, "class": None}
    name = classes[int(label)] if classes and label.is_integer() and 0 <= label < len(classes) else None
    return {"label": int(label) if label.is_integer() else label, "class": name}


def class_or_label(item: Mapping[str, Any]) -> str:
    """The class of a finding, or its label where it has none."""
    return str(item["label"] if item["class"] is None else item["class"])


def _split_numbers(pictures: Pictures) -> Array:
    """The split of each row, as a number."""
    import numpy as np

    names = pictures.splits
    numbers = [names.index(name) for name in names]
    return np.repeat(np.array(numbers, np.int64), np.diff(pictures.starts))


def _members(pictures: Pictures, wanted: Array) -> Iterator[Member]:
    """Split, key and path of rows, which ascend."""
    import numpy as np

    files = np.searchsorted(pictures.starts, wanted, side="right") - 1
    for number in np.unique(files).tolist():
        rows = wanted[files == number].tolist()
        target = pictures.targets[number]
        keys = [pictures.keys[row] for row in rows]
        paths = {} if number in pictures.positions else paths_of(target.lst, keys, Faults())
        yield from ({"split": target.split_name, "key": key, "path": paths.get(key)} for key in keys)


def _class_findings(
    pictures: Pictures, classes: Sequence[str] | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Small classes, and labels that splits lack; none where labels are measurements."""
    import numpy as np

    labels, splits = np.array(pictures.labels, np.float32), _split_numbers(pictures)
    known = np.isfinite(labels)
    values, inverse, counts = np.unique(labels[known], return_inverse=True, return_counts=True)
    whole = bool(np.all(values == np.floor(values)))
    if not len(values) or (classes is None and not (whole and 2 * len(values) < known.sum())):
        return [], []

    every: list[float] = values.tolist()
    small = [
        {**_named(label, classes), "count": int(count)}
        for label, count in zip(every, counts, strict=True)
        if count < SMALL_CLASS
    ]
    missing = []
    for number in np.unique(splits[known]).tolist():
        held = np.bincount(inverse[splits[known] == number], minlength=len(values))
        missing += [
            {"split": pictures.splits[number], **_named(every[place], classes)} for place in np.flatnonzero(held == 0)
        ]
    return small, missing
