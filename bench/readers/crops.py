"""The crops that all contenders get, read without any library: a .rec and its .idx."""

from __future__ import annotations

from pathlib import Path

REC, IDX = "train.rec", "train.idx"
#: Height and width.
SIZE = 224
_HEAD = 32


class Crops:
    """``crops[i]`` is ``(JPEG, label)``; the file is held in memory."""

    def __init__(self, folder: Path) -> None:
        self._data = (folder / REC).read_bytes()
        self._offsets = [int(line.split("\t")[1]) for line in (folder / IDX).read_text().splitlines()]

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, place: int) -> tuple[bytes, int]:
        begin = self._offsets[place]
        length = int.from_bytes(self._data[begin + 4 : begin + 8], "little")
        assert length < 1 << 29, "a record in parts"
        return self._data[begin + _HEAD : begin + 8 + length], self.label(place)

    def label(self, place: int) -> int:
        """The record's id stands for its label: another one for each, so that a sum tells whether all came."""
        begin = self._offsets[place]
        return int.from_bytes(self._data[begin + 16 : begin + 24], "little")

    def labels(self) -> int:
        """Their sum."""
        return sum(map(self.label, range(len(self))))


def write_files(crops: Crops, folder: Path) -> list[Path]:
    """Each crop as a file, for writers that take files."""
    folder.mkdir(parents=True)
    paths = [folder / f"{place:06d}.jpg" for place in range(len(crops))]
    for place, path in enumerate(paths):
        path.write_bytes(crops[place][0])
    return paths


def link(source: Path, folder: Path) -> None:
    """The .rec and .idx themselves, for contenders that read these."""
    for name in (REC, IDX):
        (folder / name).symlink_to(source / name)
