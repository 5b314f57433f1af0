"""RecordIO with the names and behaviour of ``mx.recordio`` (MXNet 1.9.1), and the functions that they are made of.

Differences from MXNet: a malformed file raises `FormatError` with path and offset, readers and writers are context
managers, a forked child that drops a writer never writes, and URIs are local paths. Wrong calls raise what MXNet
raises: AssertionError, KeyError, RuntimeError or ValueError.
"""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any, NamedTuple

from gpu_pack.errors import FormatError, UsageError
from gpu_pack.recordio.files import MXIndexedRecordIO, MXRecordIO
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
from gpu_pack.recordio.index import read_index
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


#: The smallest number that float32 rounds to infinity.
_FLOAT32_OVERFLOW = 2.0**128 - 2.0**103


class HEADER(NamedTuple):
    """The header of an image record, also named ``IRHeader``.

    Attributes:
        flag: 0 for one label, otherwise the number of labels; `pack` sets it.
        label: a number, or a 1-D float32 array.
        id: usually the .lst key, 0 <= id < 2**64.
        id2: further bits of the id; usually 0.
    """

    flag: int
    label: Any
    id: int
    id2: int


IRHeader = HEADER


def pack(header: tuple[int, Any, int, int], s: bytes) -> bytes:
    """An image record's payload: the header, the labels if there are several, and the encoded image ``s``.

    A number is the single label, with flag 0; anything else becomes a float32 array, with its size as flag.

    Raises:
        FormatError: a value that the header cannot hold, such as a negative id.
    """
    _, label, key, id2 = IRHeader(*header)
    if isinstance(label, numbers.Number):
        return pack_header(0, _float32(label), key, id2) + s
    import numpy as np

    labels = np.asarray(label, dtype="<f4")
    return pack_header(labels.size, 0.0, key, id2) + labels.tobytes() + s


def _float32(label: Any) -> Any:
    """The label as float32 holds it; one too large becomes infinite, as in MXNet."""
    try:
        value = float(label)
    except OverflowError:
        value = math.inf if label > 0 else -math.inf
    except TypeError:  # complex: packing refuses it
        return label
    return math.copysign(math.inf, value) if abs(value) >= _FLOAT32_OVERFLOW else value


def unpack(s: bytes) -> tuple[HEADER, bytes]:
    """``(header, encoded image)`` of a record; several labels are a read-only 1-D float32 array.

    Raises:
        FormatError: fewer bytes than the header and its labels have.
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
    """``(header, image)``, the image by ``cv2.imdecode(..., iscolor)``: mostly uint8, HxWx3 BGR or HxW gray.

    As in MXNet, the image is None if OpenCV does not know its encoding.

    Raises:
        FormatError: a malformed header, an empty image, or one that OpenCV refuses.
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
    """An image record's payload, encoded by OpenCV.

    Args:
        header: see `pack`.
        img: uint8, HxWx3 BGR or HxW gray.
        quality: of a JPEG, 1-100; of a PNG, its compression level 0-9.
        img_fmt: ``.jpg``, ``.jpeg``, ``.png``, or another suffix that OpenCV writes, with its defaults.

    Raises:
        UsageError: OpenCV cannot encode the picture, or the format.
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
