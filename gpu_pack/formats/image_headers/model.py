"""The values that the header readers return and the error that they raise."""

from __future__ import annotations

from typing import NamedTuple

from gpu_pack.types import Stage


class ImageError(Exception):
    """An image that cannot be packed; workers turn it into a `gpu_pack.types.Rejected`.

    Attributes:
        reason: one sentence for a person, without the file's name.
        stage: where on the way it failed.
        code: see `gpu_pack.types.REJECT_CODES`.
    """

    def __init__(self, reason: str, stage: Stage = "decode", code: str = "damaged") -> None:
        super().__init__(reason)
        self.reason = reason
        self.stage: Stage = stage
        self.code = code

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, Stage, str]]:
        return type(self), (self.reason, self.stage, self.code)


class Header(NamedTuple):
    """What an encoded image says about itself.

    Attributes:
        format: ``jpeg``, ``png``, ``webp``, ``bmp`` or ``tiff``, by content; or a format whose header is not read.
        width, height: in pixels as stored, before the orientation is applied.
        orientation: EXIF's 1 to 8, 1 where there is none (5 to 8 swap width and height).
        components: channels as stored (JPEG: 1 gray, 3 colour, 4 CMYK or YCCK; a palette counts as 1).
        precision: bits a component.
        progressive: JPEG: any frame but baseline (SOF0). False for other formats.
        sampling: JPEG: the (horizontal, vertical) factors of each component; empty for other formats.
        restarts: JPEG: whether restart markers divide its scans. False for other formats.
        kind: JPEG: in words, a kind that some decoders refuse, such as ``lossless``; mostly empty.
        alpha: whether pixels may be transparent.
        premultiplied: TIFF: whether OpenCV gives 8-bit colours multiplied by alpha, as libtiff does where the file says
            what its extra channel is.
        pages: pages or frames, previews not counted.
        significant: PNG: the bits of a component that are used, as sBIT states; 0 where it does not.
        body: where `check_complete` begins (JPEG: the byte after the first SOS marker's code).
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    components: int = 3
    precision: int = 8
    progressive: bool = False
    sampling: tuple[tuple[int, int], ...] = ()
    restarts: bool = False
    body: int = 0
    kind: str = ""
    alpha: bool = False
    pages: int = 1
    significant: int = 0
    premultiplied: bool = False

    @property
    def upright_size(self) -> tuple[int, int]:
        """``(width, height)`` after the orientation is applied."""
        return (self.height, self.width) if self.orientation > 4 else (self.width, self.height)
