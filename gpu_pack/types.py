"""The vocabulary that every part speaks: the values that travel, and the Worker protocol.

The values are named tuples rather than dataclasses because several of them are made for every image: at 20,000
images a second, a frozen dataclass alone would cost a tenth of the interpreter. Options, made once, are dataclasses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, get_args

from gpu_pack.errors import BackendError, UsageError

Stage = Literal["read", "decode", "resize", "encode"]
Interp = Literal["antialias", "linear"]
Color = Literal["rgb", "gray", "unchanged"]
Encoding = Literal["jpg", "png"]

#: What an image may decode to unless the user raises it: a 2 GiB RGB picture is 715 million pixels, Pillow warns at 89.
DEFAULT_MAX_PIXELS = 178_956_970
#: OpenCV refuses above 2**30 pixels whatever we allow (CV_IO_MAX_IMAGE_PIXELS).
HARD_MAX_PIXELS = 1 << 30
#: libjpeg's largest edge in pixels.
MAX_EDGE = 65_500


class Entry(NamedTuple):
    """One line of a list.

    Attributes:
        key: the record's id, unique within the list, 0 <= key < 2**64.
        labels: one or more label values, each exact in float32 or rounded to it.
        path: as the list names it, relative to the root unless absolute, with ``/`` between folders.
        size: the file's size in bytes when it was listed; None where nobody looked.
    """

    key: int
    labels: tuple[float, ...]
    path: str
    size: int | None = None


#: What a file counts for whose size nobody looked up.
_UNKNOWN_BYTES = 256 << 10


def file_bytes(entry: Entry) -> int:
    """How large an entry's file is, or may be."""
    return _UNKNOWN_BYTES if entry.size is None else entry.size


class Image(NamedTuple):
    """An entry with the bytes of its file, still encoded."""

    entry: Entry
    data: bytes


class Encoded(NamedTuple):
    """A finished image.

    Attributes:
        data: the encoded JPEG or PNG.
        width, height: of the encoded picture in pixels.
        backend: who made it: ``cpu`` or ``gpu``.
    """

    entry: Entry
    data: bytes
    width: int
    height: int
    backend: str


class Rejected(NamedTuple):
    """An image that was not packed, and why, in words that a person can act on."""

    entry: Entry
    stage: Stage
    reason: str


Outcome = Encoded | Rejected


class Framed(NamedTuple):
    """A run of files that became records as they are.

    Attributes:
        pieces: the records' bytes, one after the other, in one buffer or several.
        keys, lengths: of each record, in order; the length in bytes, with head and padding.
        rejected: the files among them that became none.
    """

    pieces: Sequence[bytes | memoryview]
    keys: list[int]
    lengths: list[int]
    rejected: list[Rejected]


@dataclass(frozen=True)
class TransformSpec:
    """What happens to every image.

    Attributes:
        size: the shorter edge of the result in pixels; None keeps the picture's own.
        crop: cut the centre square first (as im2rec does), so that the result is size x size.
        upscale: enlarge pictures that are smaller than ``size``; otherwise they stay as they are.
        interp: ``linear`` is OpenCV's INTER_LINEAR, im2rec's; ``antialias`` filters when it shrinks.
        color: ``rgb`` and ``gray`` apply EXIF orientation; ``unchanged`` keeps channels, depth and orientation.
        encoding: ``jpg`` (baseline, 4:2:0) or ``png``.
        quality: JPEG quality 1-100, or PNG compression level 0-9.
        pass_through: store the file as it is; only its structure is checked. Needs no `Worker`, and none does it.
        max_pixels: pictures that would decode to more are rejected.
        other_formats: leave formats that gpu-pack knows by name only to OpenCV, or pass them through, as im2rec.py
            does; otherwise they are rejected.

    Raises:
        UsageError: a value out of range.
    """

    size: int | None = 224
    crop: bool = True
    upscale: bool = True
    interp: Interp = "antialias"
    color: Color = "rgb"
    encoding: Encoding = "jpg"
    quality: int = 95
    pass_through: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    other_formats: bool = False

    def __post_init__(self) -> None:
        self._check_kinds()
        low, high = (1, 100) if self.encoding == "jpg" else (0, 9)
        if not low <= self.quality <= high:
            kind = "JPEG quality" if self.encoding == "jpg" else "PNG compression level"
            raise UsageError(f"--quality {self.quality}: a {kind} lies between {low} and {high}")
        if self.size is not None and not 1 <= self.size <= MAX_EDGE:
            raise UsageError(f"--size {self.size}: the edge lies between 1 and {MAX_EDGE} pixels, JPEG's largest")
        if not 1 <= self.max_pixels <= HARD_MAX_PIXELS:
            raise UsageError(f"--max-pixels {self.max_pixels}: between 1 and {HARD_MAX_PIXELS}, OpenCV's own limit")

    def _check_kinds(self) -> None:
        """Types too: what Python's callers get wrong here would only show in every single image."""
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"--{name} {getattr(self, name)}: choose {' or '.join(allowed)}")
        for name, (kind, words) in _KINDS.items():
            value = getattr(self, name)
            if type(value) is not kind and not (name == "size" and value is None):
                raise UsageError(f"{name} is {value!r}: it takes {words}")


_CHOICES = {"interp": get_args(Interp), "color": get_args(Color), "encoding": get_args(Encoding)}
_KINDS: dict[str, tuple[type, str]] = {
    **dict.fromkeys(("crop", "upscale", "pass_through", "other_formats"), (bool, "True or False")),
    **dict.fromkeys(("quality", "max_pixels"), (int, "a whole number")),
    "size": (int, "a whole number, or None"),
}


class Worker(Protocol):
    """Something that turns images into outcomes; the engine calls each worker from one thread of its own.

    Attributes:
        name: for messages and reports, e.g. ``cpu`` or ``gpu:0``.
        batch_size: how many images it likes at once.
    """

    name: str
    batch_size: int

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        """The outcomes of 1 to ``batch_size`` images: same length, same order.

        A bad image is a `Rejected`, never an exception.

        Raises:
            BackendError: the device is broken; the same images may be given to another worker.
        """
        ...

    def close(self) -> None:
        """Free what the worker holds. Called once, from any thread, after the last transform."""
        ...


class EntryWorker(Protocol):
    """A `Worker` that reads the files itself, in another process.

    Attributes:
        name, batch_size: see `Worker`.
    """

    name: str
    batch_size: int

    def transform(self, entries: Sequence[Entry]) -> list[Outcome]:
        """The outcomes of the entries' files: see `Worker.transform`. One that cannot be read is a `Rejected`, too."""
        ...

    def close(self) -> None:
        """See `Worker.close`."""
        ...


AnyWorker = Worker | EntryWorker
Workers = Sequence[AnyWorker]
#: Called when the last worker broke; gives others to go on with.
Rescue = Callable[[BackendError], Workers]
#: Encoded bytes that may be with the workers or waiting for their turn.
DEFAULT_BYTES_IN_FLIGHT = 256 << 20

#: One image's outcome, by the CPU codec: what a GPU worker asks about an image that its own decoder refuses.
Codec = Callable[[Image], Outcome]
