"""The format of a file, by its first 32 bytes."""

from __future__ import annotations

#: (offset, bytes, name); the first match wins. Unsupported formats are listed so that a reject can name them.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"II+\0", "tiff"),  # BigTIFF
    (0, b"MM\0+", "tiff"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (0, b"\xff\x4f\xff\x51", "jp2"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (0, b"\xff\x0a", "jxl"),
    (0, b"8BPS", "psd"),
    (0, b"v/1\x01", "exr"),
    (0, b"#?RADIANCE", "hdr"),
    (0, b"#?RGBE", "hdr"),
    (0, b"\0\0\1\0", "ico"),
    (0, b"DDS ", "dds"),
    (0, b"\x59\xa6\x6a\x95", "sun raster"),
)
_ISO_BRANDS = {
    b"avif": "avif",
    b"avis": "avif",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "heic"),
}
#: What is often found under an image's name; for the wording of rejects only.
_NOT_IMAGES: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "an HTML page (a failed download?)"),
    (b"<html", "an HTML page (a failed download?)"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"%pdf", "a PDF document"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"version https://git-lfs", "a Git LFS pointer (run: git lfs pull)"),
)


def sniff(data: bytes) -> str | None:
    """The format's name: ``jpeg``, ``png``, ``webp``, ``bmp``, ``tiff``, one that is not read, or None."""
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    head = data[:32]
    for offset, magic, name in _SIGNATURES:
        if head.startswith(magic, offset):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _ISO_BRANDS.get(head[8:12])
    if head[:2] == b"BM" and len(head) >= 18 and head[15:18] == b"\0\0\0":  # the header's size is small
        return "bmp"
    if head[:1] == b"P" and head[1:2] in b"1234567" and head[2:3] in (b" ", b"\n", b"\r", b"\t"):
        return "pnm"
    if head[:3] in (b"PF\n", b"Pf\n"):
        return "pfm"
    return None


def describe(data: bytes) -> str:
    """What unknown bytes begin with: in words if they are familiar, else in hexadecimal."""
    head = data[:32].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for magic, name in _NOT_IMAGES:
        if head.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        return "an ISO media file (a video?)"
    if not data.strip(b"\0"):
        return "nothing but zero bytes"
    start = data[:8]
    seen = start.hex(" ")
    return f"{seen} ({start.decode('ascii')!r})" if start.isascii() and start.decode("ascii").isprintable() else seen
