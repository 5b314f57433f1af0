"""RecordIO with the names and behaviour of ``mx.recordio`` (MXNet 1.9.1), and the framing beneath for direct use.

What differs from MXNet, on purpose: a malformed file raises `FormatError` with path and offset, readers and writers
are context managers, and a forked child that drops a writer never writes. URIs are local paths. Where MXNet raises
AssertionError, KeyError, RuntimeError or ValueError for a call that cannot be right, so does this module.
"""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any, NamedTuple

from gpu_pack.errors import FormatError, UsageError
from gpu_pack.recordio.files import MXIndexedRecordIO, MXRecordIO, read_index
from gpu_pack.recordio.framing import (
    HEADER_SIZE,
    MAGIC,
    MAGIC_BYTES,
    frame,
    frame_image,
    header_carries_magic,
    pack_header,
    unpack_header,
)
from gpu_pack.recordio.scanning import HeaderInfo, Record, scan, scan_headers

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "HEADER_SIZE",
    "MAGIC",
    "MAGIC_BYTES",
    "HeaderInfo",
    "IRHeader",
    "MXIndexedRecordIO",
    "MXRecordIO",
    "Record",
    "frame",
    "frame_image",
    "header_carries_magic",
    "pack",
    "pack_img",
    "read_index",
    "scan",
    "scan_headers",
    "unpack",
    "unpack_img",
]


_FLOAT32_OVERFLOW = 2.0**128 - 2.0**103  # from here on a number rounds to float32's infinity


class HEADER(NamedTuple):
    """What accompanies an image in its record; known as ``IRHeader``.

    Attributes:
        flag: 0 for one label, else how many labels there are; `pack` sets it.
        label: a number, or a 1-D float32 array of several.
        id: usually the .lst key, 0 <= id < 2**64.
        id2: the higher bits of the id; 0 as a rule.
    """

    flag: int
    label: Any
    id: int
    id2: int


IRHeader = HEADER


def pack(header: tuple[int, Any, int, int], s: bytes) -> bytes:
    """An image record's payload: the header, further labels, then the bytes ``s`` of the encoded image.

    A number becomes the single label with flag 0; anything else becomes a float32 array with its size as flag.

    Raises:
        FormatError: a value that the header cannot hold, e.g. a negative id.
    """
    _, label, key, id2 = IRHeader(*header)
    if isinstance(label, numbers.Number):
        return pack_header(0, _float32(label), key, id2) + s
    import numpy as np

    labels = np.asarray(label, dtype="<f4")
    return pack_header(labels.size, 0.0, key, id2) + labels.tobytes() + s


def _float32(label: Any) -> Any:
    """As MXNet's native struct does, a number too large for float32 becomes infinite."""
    try:
        value = float(label)
    except OverflowError:
        value = math.inf if label > 0 else -math.inf
    except TypeError:  # complex: packing says what is wrong
        return label
    return math.copysign(math.inf, value) if abs(value) >= _FLOAT32_OVERFLOW else value


def unpack(s: bytes) -> tuple[HEADER, bytes]:
    """``(header, image bytes)`` of a record; several labels come as a read-only 1-D float32 array.

    Raises:
        FormatError: under 24 bytes, or fewer than the labels that the header claims.
    """
    header = IRHeader(*unpack_header(s))
    if header.flag == 0:
        return header, s[HEADER_SIZE:]
    end = HEADER_SIZE + 4 * header.flag
    if end > len(s):
        raise FormatError(f"no image record: it claims {header.flag} labels in {len(s)} bytes")
    import numpy as np

    labels = np.frombuffer(s, "<f4", header.flag, HEADER_SIZE)
    return header._replace(label=labels), s[end:]


def unpack_img(s: bytes, iscolor: int = -1) -> tuple[HEADER, Any]:
    """``(header, image)``; the image is what ``cv2.imdecode(..., iscolor)`` gives: uint8 HxWx3 BGR, HxW grey, ...

    As in MXNet the image is None where OpenCV knows no such encoding.

    Raises:
        FormatError: a malformed header, no image bytes at all, or a picture that OpenCV refuses.
    """
    import cv2
    import numpy as np

    header, data = unpack(s)
    try:
        return header, cv2.imdecode(np.frombuffer(data, np.uint8), iscolor)
    except cv2.error as error:
        raise FormatError(f"record {header.id}: no image in its {len(data)} bytes ({error.err})") from None


def pack_img(
    header: tuple[int, Any, int, int], img: np.ndarray[Any, Any], quality: int = 95, img_fmt: str = ".jpg"
) -> bytes:
    """An image record's payload, ``img`` (uint8, HxWx3 BGR or HxW grey) encoded by OpenCV.

    Args:
        header: see `pack`.
        img: the picture.
        quality: 1-100 for JPEG, the compression level 0-9 for PNG.
        img_fmt: ``.jpg``, ``.jpeg`` or ``.png``, or any other suffix that OpenCV writes, with its own defaults.

    Raises:
        UsageError: a picture or a format that OpenCV does not encode.
        FormatError: see `pack`.
    """
    import cv2

    parameters = {
        ".JPG": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".JPEG": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".PNG": [cv2.IMWRITE_PNG_COMPRESSION, quality],
    }
    try:
        done, encoded = cv2.imencode(img_fmt, img, parameters.get(img_fmt.upper(), []))
    except cv2.error as error:
        raise UsageError(f"pack_img: OpenCV does not encode this picture as {img_fmt} ({error.err})") from None
    if not done:
        raise UsageError(f"pack_img: OpenCV does not encode this picture as {img_fmt}")
    return pack(header, encoded.tobytes())
