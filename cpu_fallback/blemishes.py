"""Files that `examine` refuses: the exact reason, and JPEGs that lack nothing but their end-of-image marker."""

from __future__ import annotations

from cpu_fallback.jpeg import strictly_decoded
from cpu_fallback.opencv_formats import unread
from gpu_pack.formats.image_headers import SUPPORTED, Header, ImageError, examine, read_header, sniff, too_large
from gpu_pack.formats.image_headers.scan import scans_complete
from gpu_pack.types import TransformSpec

_END = b"\xff\xd9"


def explained(data: bytes, error: ImageError, spec: TransformSpec) -> tuple[bytes, Header]:
    """A whole JPEG that lacks its end marker, with one, and its header, under ``damage="keep"``.

    Args:
        error: from `examine`.

    Raises:
        ImageError: ``error``, or a more exact one.
    """
    name = sniff(data)
    if error.code == "unsupported" and name is not None and name not in SUPPORTED:
        raise unread(name) from None
    if error.code != "truncated" or name != "jpeg":
        raise error
    header = read_header(data)
    if header.width * header.height > spec.max_pixels:
        raise too_large(*header.upright_size, spec.max_pixels) from None
    ended = with_end(data, header)
    if ended is None:
        raise error
    if spec.damage != "keep":
        raise ImageError("its end-of-image marker is missing, but no pixel: --damage keep packs it", code="blemished")
    return ended, examine(ended, spec.max_pixels)


def with_end(data: bytes, header: Header) -> bytes | None:
    """A JPEG that lacks nothing but its end marker, with one; None if picture data is missing too.

    Args:
        header: from `read_header`; `check_complete` has found the file cut short.
    """
    if header.format != "jpeg" or header.kind:  # arithmetic decoders do not notice a cut
        return None
    ended = data.rstrip(b"\xff") + _END
    try:
        whole = scans_complete(ended, header) and strictly_decoded(ended, header)
    except ImageError:
        return None
    return ended if whole else None
