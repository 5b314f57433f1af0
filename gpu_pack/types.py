"""The values that all parts exchange, and the interfaces of workers.

Values that exist for every image are named tuples: at 20,000 images a second, making a frozen dataclass for each would
take a tenth of the interpreter's time. Options are dataclasses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, get_args

from gpu_pack.errors import BackendError, UsageError

Stage = Literal["read", "decode", "resize", "encode"]
Interp = Literal["antialias", "linear"]
Color = Literal["rgb", "gray", "unchanged"]
Encoding = Literal["jpg", "png"]
Depth = Literal["keep", "scale"]
Damage = Literal["reject", "keep"]
Formats = Literal["standard", "any"]
#: What becomes of files with the same bytes.
Duplicates = Literal["keep", "drop", "group"]
#: A reader that the files are laid out for; None: all that read MXNet's.
Target = Literal["insightface"]
#: What packs the shards: this machine, or a Ray cluster.
Engine = Literal["local", "ray"]
Device = Literal["auto", "gpu", "cpu", "hybrid"]
#: JPEG encoders of the GPU path: nvJPEG or gpu-pack's kernels on the device, or OpenCV on CPU threads.
EncoderName = Literal["auto", "nvjpeg", "cpu", "cuda"]

#: CPU workers that a run may have.
MAX_WORKERS = 1024
#: Pixels that an image may decode to: Pillow warns at half of it, and as RGB it takes 0.5 GiB.
DEFAULT_MAX_PIXELS = 178_956_970
#: OpenCV's own limit (CV_IO_MAX_IMAGE_PIXELS).
HARD_MAX_PIXELS = 1 << 30
#: By `TransformSpec.encoding`.
DEFAULT_QUALITY = {"jpg": 95, "png": 3}
#: libjpeg's largest edge in pixels.
MAX_EDGE = 65_500


class Container(NamedTuple):
    """A file with images inside of it, such as an archive.

    Attributes:
        path: in the store, as `Entry.path`.
        size, version: when it was listed; see `gpu_pack.stores.store.Stat`.
    """

    path: str
    size: int
    version: int


class Place(NamedTuple):
    """Where an image's bytes lie inside of a container.

    Attributes:
        container: the file.
        offset, length: of the bytes to be read there. For ``zip`` they begin with the member's local header, and may
            end behind its data.
        kind: ``raw``: the bytes are the image; ``zip``: a member of a zip, stored or deflated.
        crc: the CRC-32 of the image, where the container tells it.
    """

    container: Container
    offset: int
    length: int
    kind: Literal["raw", "zip"] = "raw"
    crc: int | None = None


class Entry(NamedTuple):
    """One line of a list.

    Attributes:
        key: the record's id, unique within the list, 0 <= key < 2**64.
        labels: one or more values; records hold them as float32.
        path: as the list has it: relative to the store unless absolute, with ``/`` between folders; inside of an
            archive ``archive.tar!/path``.
        size: of the image in bytes when it was listed; None if unknown.
        place: where it lies inside of another file; None for a file of its own.
    """

    key: int
    labels: tuple[float, ...]
    path: str
    size: int | None = None
    place: Place | None = None


def file_bytes(entry: Entry) -> int:
    """The size of an entry's file; 256 KiB if unknown."""
    return 256 << 10 if entry.size is None else entry.size


class Image(NamedTuple):
    """An entry with the bytes of its file, still encoded."""

    entry: Entry
    data: bytes


class Encoded(NamedTuple):
    """A finished image.

    Attributes:
        data: the encoded JPEG or PNG.
        width, height: of the encoded picture in pixels.
        backend: who made it: ``cpu``, ``gpu`` or ``pass-through``.
        notices: codes of notes and warnings about this image; see `gpu_pack.formats.notices`. One that comes several
            times counts as often.
        source: width and height of the upright picture before crop and resize; None where nothing was changed.
    """

    entry: Entry
    data: bytes
    width: int
    height: int
    backend: str
    notices: tuple[str, ...] = ()
    source: tuple[int, int] | None = None


class Rejected(NamedTuple):
    """An image that was not packed.

    Attributes:
        stage: where it failed.
        reason: why, in words that a person can act on.
        code: a stable name of the kind of reason; see `REJECT_CODES`.
    """

    entry: Entry
    stage: Stage
    reason: str
    code: str


Outcome = Encoded | Rejected

#: Why an image can be rejected, by code.
REJECT_CODES = {
    "missing": "there is no such file",
    "unreadable": "the file cannot be read, or is no regular file",
    "changed": "the file changed while packing",
    "name": "no .lst can hold its name, or no record its key or label",
    "duplicate": "another member of the archive has its name, or an earlier file its bytes (--duplicates drop)",
    "empty": "the file is empty",
    "not-image": "the file is no image",
    "unsupported": "an image of a format or kind that is not packed",
    "truncated": "the file was cut short",
    "damaged": "the file's structure or data is damaged",
    "blemished": "damaged, but with data for every pixel: --damage keep packs it",
    "too-large": "more pixels or bytes than allowed",
    "crashed": "the decoder crashed",
    "not-encoded": "the result cannot be encoded",
    "no-label": "its table, label file or WebDataset sample has no label for it",
    "no-boxes": "no object of the detection list is left in the crop",
    "boxes": "a detection list under a crop, with --boxes refuse",
}


@dataclass(frozen=True)
class TransformSpec:
    """How every image is transformed.

    Attributes:
        size: the shorter edge of the result in pixels; None keeps the picture's own.
        crop: cut out the centre square first (as im2rec does), so that the result is size x size.
        upscale: enlarge pictures that are smaller than ``size``; otherwise they keep their size.
        interp: ``linear`` is OpenCV's INTER_LINEAR, as in im2rec; ``antialias`` applies a triangular filter to shrink.
        color: all apply EXIF orientation; ``unchanged`` keeps channels and depth.
        encoding: ``jpg`` (baseline, 4:2:0) or ``png``.
        quality: JPEG quality 1-100, or PNG compression level 0-9. None becomes 95 for JPEG, 3 for PNG.
        pass_through: store the files unchanged after a check of their structure; no `Worker` is needed.
        max_pixels: larger pictures are rejected before they are decoded.
        other_formats: leave image formats whose headers gpu-pack does not read to OpenCV, or pass them through, as
            im2rec.py does, and everything else to its ways: ``unchanged`` keeps the orientation, and nothing is noted.
        background: a CSS colour that pictures with transparent pixels are laid on; None drops their alpha.
        depth: ``scale`` stretches 16-bit pictures that use fewer bits, by their own statement or by ``depth_bits``.
        depth_bits: bits that hold the largest value of all 16-bit pictures; None: each by its own largest.
        damage: ``keep`` packs damaged pictures that lose no pixel.
        formats: ``any`` packs whatever OpenCV decodes; ``standard`` JPEG, PNG, WebP, BMP and TIFF.

    Raises:
        UsageError: a value of the wrong type or out of range.
    """

    size: int | None = 224
    crop: bool = True
    upscale: bool = True
    interp: Interp = "antialias"
    color: Color = "rgb"
    encoding: Encoding = "jpg"
    quality: int = None  # type: ignore[assignment]  # a number after __post_init__
    pass_through: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    other_formats: bool = False
    background: str | None = None
    depth: Depth = "keep"
    depth_bits: int | None = None
    damage: Damage = "reject"
    formats: Formats = "standard"

    def __post_init__(self) -> None:
        if self.quality is None:
            object.__setattr__(self, "quality", DEFAULT_QUALITY.get(self.encoding))
        self._check_kinds()
        if self.background is not None:
            object.__setattr__(self, "background", _hexadecimal(self.background))
        low, high = (1, 100) if self.encoding == "jpg" else (0, 9)
        if not low <= self.quality <= high:
            kind = "JPEG quality" if self.encoding == "jpg" else "PNG compression level"
            raise UsageError(f"quality={self.quality} (--quality): a {kind} lies between {low} and {high}")
        if self.size is not None and not 1 <= self.size <= MAX_EDGE:
            raise UsageError(
                f"size={self.size} (--size): the edge lies between 1 and {MAX_EDGE} pixels, JPEG's largest"
            )
        if self.depth_bits is not None and not 1 <= self.depth_bits <= 16:
            raise UsageError(f"depth_bits={self.depth_bits}: between 1 and 16")
        if not 1 <= self.max_pixels <= HARD_MAX_PIXELS:
            raise UsageError(
                f"max_pixels={self.max_pixels} (--max-pixels): between 1 and {HARD_MAX_PIXELS}, OpenCV's own limit"
            )

    def _check_kinds(self) -> None:
        """Check types: otherwise a wrong one would reject every image."""
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name}={getattr(self, name)} (--{name}): choose {' or '.join(allowed)}")
        for name, (kind, words) in _KINDS.items():
            value = getattr(self, name)
            if type(value) is not kind and not (name in ("size", "depth_bits") and value is None):
                raise UsageError(f"{name}={value!r} (--{name.replace('_', '-')}): it takes {words}")


def _hexadecimal(colour: str) -> str:
    """A CSS colour, a name or ``#rgb`` or ``#rrggbb``, as ``#rrggbb`` in lower case."""
    import webcolors

    try:
        text = colour.strip().lower()
        if text == "rebeccapurple":  # the one name that CSS 4 added to those of CSS 3
            return "#663399"
        return str(webcolors.normalize_hex(text) if text.startswith("#") else webcolors.name_to_hex(text))
    except (AttributeError, ValueError):
        raise UsageError(
            f"background={colour!r} (--background): it takes a CSS colour: a name such as white, or #rrggbb"
        ) from None


_CHOICES = {
    "interp": get_args(Interp),
    "color": get_args(Color),
    "encoding": get_args(Encoding),
    "depth": get_args(Depth),
    "damage": get_args(Damage),
    "formats": get_args(Formats),
}
_KINDS: dict[str, tuple[type, str]] = {
    **dict.fromkeys(("crop", "upscale", "pass_through", "other_formats"), (bool, "True or False")),
    **dict.fromkeys(("quality", "max_pixels"), (int, "a whole number")),
    **dict.fromkeys(("size", "depth_bits"), (int, "a whole number, or None")),
}


class Worker(Protocol):
    """Transforms images. The engine calls each worker from one thread.

    Attributes:
        name: for messages and reports, such as ``cpu:3`` or ``gpu:0``.
        batch_size: the most images that it takes at once.
    """

    name: str
    batch_size: int

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        """Transform 1 to ``batch_size`` images; gives as many outcomes, in their order.

        A bad image is a `Rejected`, never an exception.

        Raises:
            BackendError: the device is broken; another worker may get the same images.
        """
        ...

    def close(self) -> None:
        """Free the worker's resources. Called once, from any thread, after the last transform."""
        ...


class EntryWorker(Protocol):
    """A worker that reads the files itself; otherwise as `Worker`."""

    name: str
    batch_size: int

    def transform(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Read and transform files; see `Worker.transform`. A file that cannot be read is a `Rejected`."""
        ...

    def close(self) -> None:
        """See `Worker.close`."""
        ...


AnyWorker = Worker | EntryWorker
Workers = Sequence[AnyWorker]
#: Called when the last worker broke; gives workers to continue with.
Rescue = Callable[[BackendError], Workers]
#: Bytes of files that workers hold or that wait for a worker.
DEFAULT_BYTES_IN_FLIGHT = 256 << 20
#: A batch ends with the image that reaches this many bytes of files.
DEFAULT_BATCH_BYTES = 64 << 20

#: Transforms one image on the CPU; GPU workers call it for images that their decoder refuses.
Codec = Callable[[Image], Outcome]


@dataclass
class Progress:
    """The progress of a command; ``on_progress`` gets it a few times a second.

    Attributes:
        done, total: in ``unit``; ``total`` is None if unknown.
        unit: ``images``, ``records``, ``files`` or ``bytes``.
        rejected: rejected images, or faults found.
        detail: a short text beside the count, such as the current file; mostly empty.
    """

    done: int = 0
    total: int | None = None
    unit: str = "images"
    rejected: int = 0
    detail: str = ""


OnProgress = Callable[[Progress], None]


def available_cores() -> int:
    """The number of cores that this process may use; containers and taskset can make it less than the machine's."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1
