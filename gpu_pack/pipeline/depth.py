"""``--depth scale``: one factor for all 16-bit pictures of a run, found before the first is packed."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from gpu_pack.formats.image_headers import ImageError, examine
from gpu_pack.sources.listing import Listing, entries
from gpu_pack.types import Image, TransformSpec, available_cores

#: Files that a thread reads and decodes in one go.
_BATCH = 32


def with_depth_bits(spec: TransformSpec, listing: Listing, rows: Iterable[int], workers: int | None) -> TransformSpec:
    """The spec with the smallest number of bits that holds every value of the set; unchanged without such pictures.

    Args:
        rows: of the listing that are packed.
        workers: threads; None for one a core.
    """
    if spec.depth != "scale":
        return spec
    from cpu_fallback.opencv import configure_opencv

    configure_opencv()
    wanted = array("I", rows)
    batches = (wanted[start : start + _BATCH] for start in range(0, len(wanted), _BATCH))
    with ThreadPoolExecutor(workers or available_cores()) as pool:
        most = max(pool.map(lambda batch: _bits(spec, listing, batch), batches), default=0)
    return replace(spec, depth_bits=most or None)


def _bits(spec: TransformSpec, listing: Listing, rows: array[int]) -> int:
    """The bits that the largest value of some pictures takes; those that cannot be packed do not count."""
    from cpu_fallback.depth_and_alpha import deep_bits

    most = 0
    for image in listing.store.read_many(entries(listing, rows)):
        if isinstance(image, Image):
            try:
                header = examine(image.data, spec.max_pixels, others_too=spec.formats == "any")
                most = max(most, deep_bits(image.data, header))
            except ImageError:
                continue
    return most
