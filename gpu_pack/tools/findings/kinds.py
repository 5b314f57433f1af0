"""What is looked for among pictures, in the order in which people read of it, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gpu_pack.tools.findings.looks import BLACK, BLANK, BLURRED, WHITE


class Kind(NamedTuple):
    """One kind of finding.

    Attributes:
        title: its heading.
        meaning: one sentence about it.
        words: what its pictures are, after "pictures".
    """

    title: str
    meaning: str
    words: str


#: Of groups of pictures, by the attribute of `gpu_pack.tools.findings.find.Findings`.
GROUPS: Mapping[str, Kind] = {
    "leakage": Kind(
        "Leakage",
        "Pictures that lie in several splits, as they are or changed: validation tests memory.",
        "in several splits, which spoils validation",
    ),
    "label_conflicts": Kind(
        "Label conflicts",
        "The same picture, as it is or changed, with different labels: one is wrong.",
        "with conflicting labels",
    ),
    "exact_duplicates": Kind(
        "Exact duplicates",
        "Pictures with the same bytes: create --duplicates drop leaves one.",
        "with the same bytes",
    ),
    "near_duplicates": Kind(
        "Near-duplicates",
        "Pictures that look alike: encoded again, resized, brighter, or cropped.",
        "that look alike",
    ),
}
#: Of single pictures.
SINGLES: Mapping[str, Kind] = {
    "black": Kind("Nearly black", "Nothing to see but black.", "nearly black"),
    "white": Kind("Nearly white", "Nothing to see but white.", "nearly white"),
    "blank": Kind("Blank", "One tone all over.", "blank"),
    "blurred": Kind("Very blurred", "No sharp edge anywhere.", "very blurred"),
}
#: What `gpu_pack.tools.findings.looks.look_at` calls them.
LOOKS: Mapping[str, int] = {"black": BLACK, "white": WHITE, "blank": BLANK, "blurred": BLURRED}
