"""Crop box and resized size: one arithmetic for every backend.

The numbers are im2rec.py's (MXNet 1.9.1): the centre square first, ``(long - short) // 2`` from the start of the longer
edge; then the shorter edge is scaled to ``size``, and the longer one to ``long * size // short``.
"""

from __future__ import annotations

from typing import NamedTuple

from gpu_pack.types import TransformSpec


class CropResize(NamedTuple):
    """Which part of a picture is used, and the size it is scaled to; in pixels of the upright (EXIF-rotated) picture.

    Attributes:
        x, y, box_width, box_height: the part that is used.
        width, height: the size that it is scaled to.
    """

    x: int
    y: int
    box_width: int
    box_height: int
    width: int
    height: int

    @property
    def scales(self) -> bool:
        """Whether anything is resized."""
        return (self.box_width, self.box_height) != (self.width, self.height)

    @property
    def shrinks(self) -> bool:
        """Whether the shorter edge of the result has fewer pixels than that of the part it comes from."""
        return min(self.box_width, self.box_height) > min(self.width, self.height)


def crop_resize(width: int, height: int, spec: TransformSpec) -> CropResize:
    """The crop box and the final size of a ``width`` x ``height`` picture (both at least 1)."""
    x, y, box_width, box_height = centre_square(width, height) if spec.crop else (0, 0, width, height)
    out_width, out_height = shorter_edge_to(box_width, box_height, spec.size, spec.upscale)
    return CropResize(x, y, box_width, box_height, out_width, out_height)


def centre_square(width: int, height: int) -> tuple[int, int, int, int]:
    """``(x, y, side, side)`` of the largest centred square."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


def shorter_edge_to(width: int, height: int, size: int | None, upscale: bool = True) -> tuple[int, int]:
    """``(width, height)`` with the shorter edge scaled to ``size``; unchanged where that would enlarge and may not."""
    short = min(width, height)
    if size is None or (not upscale and short < size):
        return width, height
    if height > width:
        return size, height * size // width
    return width * size // height, size
