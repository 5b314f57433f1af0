"""The contact sheet: pictures of every class in one picture, with the class below each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_pack.errors import SourceError, UsageError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import read_classes
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.atomic_file import write_atomically
from gpu_pack.stores.data_path import DataPath, PathLike, data_path
from gpu_pack.tools.faults import Faults
from gpu_pack.tools.findings.pictures import read_headers
from gpu_pack.tools.locate import locate
from gpu_pack.tools.report.samples import Sample, choose_rows, read_samples
from gpu_pack.tools.report.thumbnails import shrunk

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

#: Pictures on a sheet, and of a class.
MOST, EACH = 240, 12
#: Pixels: of a picture's longer edge, of the text below, and between pictures.
_EDGE, _TEXT, _GAP = 112, 18, 8
#: Columns; few pictures have half of them.
_COLUMNS, _FEW = 12, 24
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_PAPER, _INK = 255, (70, 70, 70)


@dataclass(frozen=True)
class Sheet:
    """A contact sheet that was written: the file, its pictures, and the size in pixels."""

    file: str
    pictures: int
    width: int
    height: int

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return asdict(self)


def draw_sheet(path: PathLike, file: str | Path, *, endpoint_url: str | None = None, anonymous: bool = False) -> Sheet:
    """Draw some pictures of each class of a dataset or .rec file, at most 240, into a picture file.

    Args:
        path: a folder or a .rec file, or its address.
        endpoint_url, anonymous: see `gpu_pack.stores.address.StoreOptions`.
        file: .png, .jpg or .webp; replaced if it is there.

    Raises:
        SourceError: nothing there, or no picture in it.
        UsageError: another suffix.
        OutputError: the file cannot be written.
    """
    import cv2

    from cpu_fallback.opencv import configure_opencv

    file = Path(file)
    if file.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{file} (--sheet): name a file with one of the suffixes {', '.join(_SUFFIXES)}")
    configure_opencv()
    located = locate(data_path(path, StoreOptions(endpoint_url, anonymous)))
    pictures = read_headers(located.targets)
    rows = choose_rows(pictures, MOST, EACH)
    samples = read_samples(pictures, rows)
    if not samples:
        raise SourceError(f"{path}: no picture in it")
    pixels = _draw([samples[row] for row in rows if row in samples], class_names(located.folder))
    done, data = cv2.imencode(file.suffix, pixels)
    assert done
    write_atomically(file, data.tobytes())
    return Sheet(str(file), len(samples), pixels.shape[1], pixels.shape[0])


def class_names(folder: DataPath) -> tuple[str, ...]:
    """The names in a folder's classes.txt; none where there is none that can be read."""
    path = folder / CLASSES
    with Faults().collect(path):
        return read_classes(path) if path.exists() else ()
    return ()


def class_of(labels: Sequence[float], classes: Sequence[str]) -> str:
    """The class of a record, or its label in figures."""
    label = labels[0]
    if label.is_integer() and 0 <= label < len(classes) and len(labels) == 1:
        return classes[int(label)]
    text = " ".join(f"{value:.9g}" for value in labels[:4])
    return text + " ..." if len(labels) > 4 else text


def _draw(samples: Sequence[Sample], classes: Sequence[str]) -> Pixels:
    import numpy as np

    columns = min(len(samples), _COLUMNS if len(samples) > _FEW else _COLUMNS // 2)
    rows = -(-len(samples) // columns)
    across, down = _EDGE + _GAP, _EDGE + _TEXT + _GAP
    sheet = np.full((rows * down + _GAP, columns * across + _GAP, 3), _PAPER, np.uint8)
    for place, sample in enumerate(samples):
        row, column = divmod(place, columns)
        y, x = _GAP + row * down, _GAP + column * across
        pixels = shrunk(sample.data, _EDGE)
        if pixels is not None:
            height, width = pixels.shape[:2]
            top, left = y + (_EDGE - height) // 2, x + (_EDGE - width) // 2
            sheet[top : top + height, left : left + width] = pixels
        _write(sheet, class_of(sample.labels, classes), x, y + _EDGE + _TEXT - 5)
    return sheet


def _write(sheet: Pixels, text: str, x: int, y: int) -> None:
    """A line of text, shortened to a picture's width. OpenCV's fonts have ASCII only."""
    import cv2

    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.4
    plain = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text[:40])
    while cv2.getTextSize(plain, font, scale, 1)[0][0] > _EDGE:
        plain = plain[:-3] + "." if plain.endswith(".") else plain[:-2] + "."
    cv2.putText(sheet, plain, (x, y), font, scale, _INK, 1, cv2.LINE_AA)
