"""Whole records past damage, read with their payloads or by their headers alone."""

from __future__ import annotations

import io

import pytest

from gpu_pack.formats.salvage_scan import Damage, FoundRecord, salvage_scan
from gpu_pack.recordio import frame_image, scan_headers
from gpu_pack.recordio.framing import MAGIC, PART
from gpu_pack.recordio.scanning import reader
from gpu_pack.recordio.searched_file import SearchedFile

SIZES = (100, 203, 50, 77, 120, 300)


def some_records() -> tuple[bytearray, list[int]]:
    """Six records, and where they begin."""
    data = bytearray(b"".join(frame_image(key, (1.0,), bytes([key]) * size) for key, size in enumerate(SIZES)))
    return data, [info.offset for info in scan_headers(io.BytesIO(bytes(data)))]


def scanned(data: bytes, payloads: bool) -> list[tuple[object, ...]]:
    file = SearchedFile(reader(io.BytesIO(data)), len(data))
    return [
        (item.info.key, item.overlong) if isinstance(item, FoundRecord) else ("damage", item.offset, item.end)
        for item in salvage_scan(file, payloads=payloads)
    ]


@pytest.mark.parametrize("payloads", [True, False])
@pytest.mark.parametrize("number", range(5))
def test_a_length_that_reaches_over_other_records_costs_itself_alone(payloads: bool, number: int) -> None:
    data, offsets = some_records()
    length = offsets[number + 1] - offsets[number] - 8 + 40  # ends inside of the next one
    data[offsets[number] : offsets[number] + 8] = PART.pack(MAGIC, length)
    found = scanned(bytes(data), payloads)
    assert found == [(key, key == number) for key in range(6)]


@pytest.mark.parametrize("payloads", [True, False])
def test_a_place_without_records_is_damage_between_the_others(payloads: bool) -> None:
    data, offsets = some_records()
    data[offsets[2] : offsets[2] + 4] = b"oops"
    kept = [(0, False), (1, False), ("damage", offsets[2], offsets[3]), (3, False), (4, False), (5, False)]
    assert scanned(bytes(data), payloads) == kept


def test_a_file_that_is_something_else_is_named() -> None:
    data = b"version https://git-lfs.github.com/spec/v1\n"
    (item,) = salvage_scan(SearchedFile(reader(io.BytesIO(data)), len(data)), payloads=False)
    assert isinstance(item, Damage) and item.kind == "foreign" and "Git LFS" in item.reason
