"""Files that become records as they are (``--pass-through``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy  # noqa: F401  # with it, framing looks for magic numbers six times as fast, and without the GIL

from gpu_pack.formats.image_headers import SUPPORTED, ImageError, examine
from gpu_pack.types import Encoded, Image, Outcome, Rejected, TransformSpec


class PassThroughWorker:
    """A `gpu_pack.types.Worker` that checks the structure of each file and returns its bytes unchanged.

    Args:
        spec: its ``max_pixels``, ``damage``, ``formats`` and ``other_formats`` decide what is rejected.
        name: see `gpu_pack.types.Worker`.
    """

    batch_size = 32

    def __init__(self, spec: TransformSpec, name: str = "pass-through") -> None:
        self.name = name
        self._spec = spec

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        """See `gpu_pack.types.Worker.transform`."""
        return [self._pass(image) for image in images]

    def close(self) -> None:
        """Nothing is held."""

    def _pass(self, image: Image) -> Outcome:
        spec = self._spec
        try:
            header = examine(
                image.data, spec.max_pixels, unchecked_others=spec.other_formats, others_too=spec.formats == "any"
            )
            if header.format not in SUPPORTED and not spec.other_formats:
                _refuse_unread(header.format)
        except ImageError as error:
            return self._refused(image, error)
        turned = header.orientation != 1 and not spec.other_formats
        notices = ("exif-orientation",) if turned else ()
        return Encoded(image.entry, image.data, *header.upright_size, "pass-through", notices)

    def _refused(self, image: Image, error: ImageError) -> Outcome:
        """A reject, or under ``damage="keep"`` a picture that lacks only its end marker, with one.

        Most readers decode from memory, and OpenCV and so MXNet then refuse a JPEG without it.
        """
        if not self._spec.other_formats:
            from cpu_fallback.blemishes import explained  # OpenCV, for the few files that are refused

            try:
                data, header = explained(image.data, error, self._spec)
                return Encoded(image.entry, data, *header.upright_size, "pass-through", ("blemish-kept",))
            except ImageError as better:
                error = better
        return Rejected(image.entry, error.stage, error.reason, error.code)


def _refuse_unread(name: str) -> None:
    """Raise `ImageError` for a format that the installed OpenCV does not decode."""
    from cpu_fallback.opencv_formats import decodes, unread

    if not decodes(name):
        raise unread(name)
