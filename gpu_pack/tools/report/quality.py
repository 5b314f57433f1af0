"""The quality that a JPEG was encoded with, from its quantization table."""

from __future__ import annotations

#: The luminance table of the JPEG standard (ITU-T T.81, K.1), which nearly all encoders scale.
_STANDARD = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_DQT, _SOS = 0xDB, 0xDA


def _sum_at(quality: int) -> int:
    """The sum of the table at a quality of libjpeg's, 1 to 100."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(255, max(1, (value * scale + 50) // 100)) for value in _STANDARD)


_SUMS = {quality: _sum_at(quality) for quality in range(1, 101)}


def jpeg_quality(data: bytes) -> int | None:
    """libjpeg's quality, 1 to 100, whose table is nearest to a JPEG's; None without a table."""
    place = 2
    while data[place : place + 1] == b"\xff" and len(data) >= place + 4:
        code, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if code == _SOS:
            break
        if code == _DQT and len(data) >= place + 69 and data[place + 4] == 0:  # table 0, of bytes
            total = sum(data[place + 5 : place + 69])
            return min(_SUMS, key=lambda quality: (abs(_SUMS[quality] - total), -quality))
        place += 2 + length
    return None
