"""What becomes of the boxes of a detection list where a picture is cropped or resized (``--boxes``)."""

from __future__ import annotations

from typing import Literal

from gpu_pack.formats.boxes import is_detection, move_boxes
from gpu_pack.geometry import crop_resize
from gpu_pack.types import Encoded, Outcome, Rejected, TransformSpec

#: ``move`` the boxes with the picture; ``keep`` them, with a warning; ``refuse`` pictures that the crop cuts.
Boxes = Literal["move", "keep", "refuse"]


def place_boxes(outcome: Outcome, spec: TransformSpec, boxes: Boxes | None) -> Outcome:
    """An outcome with the labels that its record gets, or the reject that it becomes; other labels stay.

    Args:
        boxes: None leaves all labels alone without a word.
    """
    if boxes is None or not isinstance(outcome, Encoded) or outcome.source is None:
        return outcome
    entry = outcome.entry
    if not is_detection(entry.labels):
        return outcome
    part = crop_resize(*outcome.source, spec)
    cut = (part.box_width, part.box_height) != outcome.source
    if boxes == "keep":
        return outcome._replace(notices=(*outcome.notices, "boxes-kept")) if cut else outcome
    if boxes == "refuse" and cut:
        return Rejected(entry, "resize", "the crop would move its boxes: see --boxes refuse", "boxes")
    moved = move_boxes(entry.labels, outcome.source, part)
    if not moved.objects:
        reason = "no object of its list has its centre in the crop: --no-crop keeps the whole picture"
        return Rejected(entry, "resize", reason, "no-boxes")
    notices = (*outcome.notices, *("boxes-dropped",) * moved.dropped)
    return outcome._replace(entry=entry._replace(labels=moved.labels), notices=notices)
