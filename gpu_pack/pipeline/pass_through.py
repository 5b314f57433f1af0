"""Files that become records as they are (``--pass-through``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy  # noqa: F401  # with it, framing looks for magic numbers six times as fast, and without the GIL

from gpu_pack.formats.image_headers import ImageError, examine
from gpu_pack.types import Encoded, Image, Outcome, Rejected, TransformSpec


class PassThroughWorker:
    """A `gpu_pack.types.Worker` that checks the structure of each file and returns its bytes unchanged.

    Args:
        spec: its ``max_pixels`` and ``other_formats`` decide what is rejected.
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
        try:
            header = examine(image.data, self._spec.max_pixels, self._spec.other_formats)
        except ImageError as error:
            return Rejected(image.entry, error.stage, error.reason)
        return Encoded(image.entry, image.data, *header.upright_size, "pass-through")
