"""The headers of images in records, of which no more is read than that takes."""

from __future__ import annotations

from contextlib import suppress

from gpu_pack.formats.image_headers import Header, ImageError, read_header, sniff
from gpu_pack.recordio.scanning import HeaderInfo, read_record
from gpu_pack.tools.rec_file import RecFile

#: Of a record; most JPEGs reach their first scan within it.
HEAD_BYTES = 4096
#: Most others do within this: a thumbnail, or a colour profile, comes before.
_MORE_BYTES = 64 << 10


def read_image_header(file: RecFile, info: HeaderInfo, length: int = HEAD_BYTES) -> Header | str | None:
    """The header of a record's image; only the format's name, or None, where there is none that can be read.

    Args:
        length: of the record, that is read at first.

    Raises:
        FormatError: the record cannot be read.
        SourceError: the file cannot be read.
    """
    if (begin := info.data_offset) is not None:
        for most in (length, _MORE_BYTES):
            head = file.read_at(begin, max(0, min(info.data_size, info.offset + most - begin)))
            if sniff(head) != "jpeg":
                break
            with suppress(ImageError):  # a JPEG's reader stops at the first scan
                return read_header(head)
    image = read_record(file.read_at, info.offset, file.size).payload[-info.data_size :] if info.data_size else b""
    try:
        return read_header(image)
    except ImageError:
        return sniff(image)
