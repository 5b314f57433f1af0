"""The headers of images in records, of which no more is read than that takes."""

from __future__ import annotations

from contextlib import suppress

from gpu_pack.formats.image_headers import Header, ImageError, read_header, sniff
from gpu_pack.recordio.framing import MAX_RECORD, PART, WHOLE
from gpu_pack.recordio.scanning import HeaderInfo, read_record
from gpu_pack.tools.rec_file import RecFile

#: Most JPEGs reach their first scan within it.
HEAD_BYTES = 4096


def read_image_header(file: RecFile, info: HeaderInfo) -> Header | str | None:
    """The header of a record's image; only the format's name, or None, where there is none that can be read.

    Raises:
        FormatError: the record cannot be read.
        SourceError: the file cannot be read.
    """
    _, word = PART.unpack(file.read_at(info.offset, PART.size))
    if word >> 29 == WHOLE:
        begin = info.offset + PART.size + (word & (MAX_RECORD - 1)) - info.data_size
        head = file.read_at(begin, max(0, min(info.data_size, info.offset + HEAD_BYTES - begin)))
        with suppress(ImageError):
            if sniff(head) == "jpeg":  # whose reader stops at the first scan
                return read_header(head)
    image = read_record(file.read_at, info.offset, file.size).payload[-info.data_size :] if info.data_size else b""
    try:
        return read_header(image)
    except ImageError:
        return sniff(image)
