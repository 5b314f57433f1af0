"""The contract of a backend, once: a backend's tests inherit `BackendContract` and set ``make_worker``.

Sizes, orientation, colour order, crop origin and subsampling are exact. Pixels are close: JPEG decoders may differ by
a few levels, and a triangular filter can be approximated. `assert_close` owns these tolerances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from gpu_pack.errors import BackendError
from gpu_pack.formats.image_headers import read_header
from gpu_pack.geometry import crop_resize
from gpu_pack.types import Encoded, Entry, Image, Outcome, Rejected, TransformSpec, Worker
from tests import pictures
from tests.pictures import Pixels, jpeg, photo

SIZES = ((320, 240), (240, 320), (301, 301), (500, 375), (333, 500), (1201, 803))
GEOMETRIES = (
    TransformSpec(size=64),
    TransformSpec(size=64, interp="linear"),
    TransformSpec(size=225, crop=False),
    TransformSpec(size=None),
    TransformSpec(size=None, crop=False),
    TransformSpec(size=350, upscale=False),
)


def psnr(one: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio in dB of two pictures of one shape; infinite where they are equal."""
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def assert_close(pairs: Sequence[tuple[Pixels, Pixels]]) -> None:
    """The pictures agree as closely as backends must: 40 dB in the mean, none under 30.

    40 dB is an error of 2.5 levels, below what JPEG itself adds at quality 90. Where a picture is all edges, the
    approximations of the filter show more; 30 dB (8 levels) is still far above what a shift by a pixel or swapped
    colours would give.
    """
    ratios = [psnr(one, other) for one, other in pairs]
    assert min(ratios) >= 30, ratios
    assert np.mean([min(ratio, 60) for ratio in ratios]) >= 40, ratios


def triangular(pixels: Pixels, width: int, height: int) -> Pixels:
    """A resize by the triangular filter, widened by the shrink: plain matrices, the textbook's definition."""
    down, across = _triangle(pixels.shape[0], height), _triangle(pixels.shape[1], width)
    exact = np.einsum("ih,hwc,jw->ijc", down, pixels.astype(np.float64), across, optimize=True)
    return np.rint(exact).astype(np.uint8)


def _triangle(source: int, target: int) -> np.ndarray:
    """Weights, target x source: each row a triangle around its pixel's centre, summing to 1."""
    scale = source / target
    centres = (np.arange(target)[:, None] + 0.5) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(source)[None] - centres) / max(scale, 1))
    return weights / weights.sum(axis=1, keepdims=True)


def reference(pixels: Pixels, spec: TransformSpec) -> Pixels:
    """What ``spec`` makes of upright BGR pixels, after one round through JPEG as the result has had."""
    wanted = crop_resize(pixels.shape[1], pixels.shape[0], spec)
    part = pixels[wanted.y : wanted.y + wanted.box_height, wanted.x : wanted.x + wanted.box_width]
    if wanted.scales and spec.interp == "antialias":
        part = triangular(part, wanted.width, wanted.height)
    elif wanted.scales:
        part = cv2.resize(part, (wanted.width, wanted.height), interpolation=cv2.INTER_LINEAR)
    return decoded(jpeg(part, spec.quality))


def decoded(data: bytes, flags: int = cv2.IMREAD_COLOR) -> Pixels:
    """The pixels of an image file, BGR."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    assert pixels is not None
    return pixels


class BackendContract:
    """Inherit, name the class Test..., set ``backend_name`` and ``make_worker``."""

    #: What `Encoded.backend` may say; images that the device's decoder leaves to the CPU codec say ``cpu``.
    backend_name = "cpu"
    #: Specs are given to one worker each, which lives as long as the class.
    _workers: dict[TransformSpec, Worker]

    def make_worker(self, spec: TransformSpec) -> Worker:
        """A fresh worker for ``spec``."""
        raise NotImplementedError

    @classmethod
    def setup_class(cls) -> None:
        cls._workers = {}

    @classmethod
    def teardown_class(cls) -> None:
        for worker in cls._workers.values():
            worker.close()

    def run(self, spec: TransformSpec, *files: bytes) -> list[Outcome]:
        """The outcomes of image files, in batches as large as the worker likes them."""
        worker = self._workers.get(spec)
        if worker is None:
            worker = self._workers[spec] = self.make_worker(spec)
        images = [Image(Entry(key, (0.0,), f"{key}.jpg"), data) for key, data in enumerate(files)]
        outcomes: list[Outcome] = []
        for start in range(0, len(images), worker.batch_size):
            outcomes += worker.transform(images[start : start + worker.batch_size])
        assert [outcome.entry for outcome in outcomes] == [image.entry for image in images]
        return outcomes

    def packed(self, spec: TransformSpec, *files: bytes) -> list[Encoded]:
        """The outcomes of image files that are all packed."""
        outcomes = self.run(spec, *files)
        rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
        assert not rejected
        encoded = [outcome for outcome in outcomes if isinstance(outcome, Encoded)]
        for outcome in encoded:
            header = read_header(outcome.data)
            assert (header.width, header.height) == (outcome.width, outcome.height)
            assert outcome.backend in (self.backend_name, "cpu")
        return encoded

    # Geometry

    @pytest.mark.parametrize("spec", GEOMETRIES, ids=lambda spec: f"{spec.size}-{spec.crop}-{spec.interp}")
    def test_size_is_the_plans(self, spec: TransformSpec) -> None:
        outcomes = self.packed(spec, *(jpeg(photo(*size)) for size in SIZES))
        for size, outcome in zip(SIZES, outcomes, strict=True):
            wanted = crop_resize(*size, spec)
            assert (outcome.width, outcome.height) == (wanted.width, wanted.height)

    @pytest.mark.parametrize("width, height", [(1, 1), (1, 9), (7, 2), (2000, 8), (8, 2000)])
    def test_tiny_and_lengthy_pictures(self, width: int, height: int) -> None:
        pixels = photo(width, height)
        for spec in (TransformSpec(size=32), TransformSpec(size=32, upscale=False)):
            (outcome,) = self.packed(spec, jpeg(pixels))
            wanted = crop_resize(width, height, spec)
            assert (outcome.width, outcome.height) == (wanted.width, wanted.height)
            assert_close([(decoded(outcome.data), reference(decoded(jpeg(pixels)), spec))])

    @pytest.mark.parametrize("width, height", [(101, 64), (64, 101), (150, 149), (96, 203)])
    def test_crop_begins_where_the_plan_says(self, width: int, height: int) -> None:
        steps = np.linspace(0, 255, max(width, height)).astype(np.uint8)
        ramp = np.broadcast_to(steps[None, :width] if width > height else steps[:height, None], (height, width))
        pixels = np.repeat(np.ascontiguousarray(ramp)[..., None], 3, axis=2)
        wanted = crop_resize(width, height, spec := TransformSpec(size=None))
        cut = decoded(self.packed(spec, jpeg(pixels, 100))[0].data).astype(int)
        # A pixel's shift is worth more than a level: the exact place must be the nearest.
        distances = {
            shift: np.abs(_shifted(pixels, wanted.x, wanted.y, wanted.width, shift) - cut).mean()
            for shift in (-1, 0, 1)
        }
        assert min(distances, key=lambda shift: distances[shift]) == 0, distances

    @pytest.mark.parametrize("interp", ["antialias", "linear"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_orientation_is_applied(self, orientation: int, interp: str) -> None:
        pixels = pictures.quadrants(96, 64)
        spec = TransformSpec(size=48, crop=False, interp=interp)
        (outcome,) = self.packed(spec, jpeg(pixels, 95, orientation))
        wanted = reference(pictures.upright(pixels, orientation), spec)
        assert (outcome.height, outcome.width) == wanted.shape[:2]
        assert_quadrants_equal(decoded(outcome.data), wanted)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_orientation_of_a_large_picture(self, orientation: int) -> None:
        pixels = photo(1203, 805)  # large enough for a decode at reduced scale, and no multiple of it
        file = jpeg(pixels, 95, orientation)
        spec = TransformSpec(size=64)
        (outcome,) = self.packed(spec, file)
        assert_close([(decoded(outcome.data), reference(pictures.upright(pixels, orientation), spec))])

    def test_the_size_before_the_crop_is_told(self) -> None:
        files = [
            jpeg(photo(60, 40)),
            jpeg(photo(60, 40), 95, 6),
            jpeg(photo(805, 603), 95, 6),
            pictures.png(photo(60, 40)),
        ]
        outcomes = self.packed(TransformSpec(size=32), *files)
        assert [outcome.source for outcome in outcomes] == [(60, 40), (40, 60), (603, 805), (60, 40)]

    def test_small_pictures_grow_unless_told_not_to(self) -> None:
        file = jpeg(photo(60, 40))
        assert self.packed(TransformSpec(size=64), file)[0].width == 64
        (kept,) = self.packed(TransformSpec(size=64, upscale=False, crop=False), file)
        assert (kept.width, kept.height) == (60, 40)

    # Kinds of pictures, in and out

    @pytest.mark.parametrize("colour", [pictures.RED, pictures.GREEN, pictures.BLUE])
    def test_colours_keep_their_order(self, colour: tuple[int, int, int]) -> None:
        flat = np.full((80, 80, 3), colour, np.uint8)
        for file in (jpeg(flat), pictures.png(flat)):
            assert_flat(decoded(self.packed(TransformSpec(size=32), file)[0].data), colour)

    def test_result_is_baseline_jpeg_420(self) -> None:
        sampled_444 = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
        files = [jpeg(photo(99, 77)), jpeg(photo(99, 77), 95, None, *sampled_444), pictures.png(photo(99, 77))]
        for outcome in self.packed(TransformSpec(size=64), *files):
            header = read_header(outcome.data)
            assert (header.format, header.progressive, header.precision) == ("jpeg", False, 8)
            assert header.sampling == ((2, 2), (1, 1), (1, 1))

    def test_every_kind_of_input_becomes_rgb(self) -> None:
        pixels = photo(120, 90)
        alpha = np.dstack((pixels, np.full((90, 120), 200, np.uint8)))
        files = {
            "progressive": pictures.progressive(pixels),
            "png": pictures.png(pixels),
            "alpha": pictures.png(alpha),
            "16 bit": pictures.png(pixels.astype(np.uint16) * 257),
            "webp": pictures.webp(pixels, 101),
            "bmp": pictures.bmp(pixels),
            "tiff": pictures.tiff(pixels),
        }
        spec = TransformSpec(size=48)
        outcomes = self.packed(spec, *files.values())
        assert all(read_header(outcome.data).components == 3 for outcome in outcomes)
        assert_close([(decoded(outcome.data), reference(pixels, spec)) for outcome in outcomes])

    def test_gray_becomes_rgb(self) -> None:
        gray = cv2.cvtColor(photo(120, 90), cv2.COLOR_BGR2GRAY)
        spec = TransformSpec(size=48)
        wanted = reference(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), spec)
        for outcome in self.packed(spec, jpeg(gray), pictures.png(gray)):
            assert read_header(outcome.data).components == 3
            assert_close([(decoded(outcome.data), wanted)])

    def test_palette_becomes_rgb(self) -> None:
        file = pictures.palette_png(np.full((60, 50), 1, np.uint8), [(0, 0, 0), (255, 0, 0)])
        (outcome,) = self.packed(TransformSpec(size=32), file)
        assert_flat(decoded(outcome.data), pictures.RED)

    def test_cmyk_becomes_rgb(self) -> None:
        planes = np.full((64, 64, 4), 255, np.uint8)  # inverted: no ink at all
        planes[..., 1:3] = 0  # full magenta and yellow are red
        (outcome,) = self.packed(TransformSpec(size=32), pictures.cmyk_jpeg(planes))
        assert read_header(outcome.data).components == 3
        assert_flat(decoded(outcome.data), pictures.RED)

    def test_gray_result(self) -> None:
        pixels = photo(120, 90)
        (outcome,) = self.packed(spec := TransformSpec(size=48, color="gray"), jpeg(pixels))
        assert read_header(outcome.data).components == 1
        wanted = cv2.cvtColor(reference(pixels, spec), cv2.COLOR_BGR2GRAY)
        assert_close([(decoded(outcome.data, cv2.IMREAD_GRAYSCALE), wanted)])

    def test_png_result_is_lossless(self) -> None:
        pixels = photo(64, 64)
        spec = TransformSpec(size=64, encoding="png", quality=3)
        (outcome,) = self.packed(spec, pictures.png(pixels))
        assert read_header(outcome.data).format == "png"
        assert np.array_equal(decoded(outcome.data), pixels)

    def test_quality_is_the_jpegs(self) -> None:
        pixels = photo(200, 200)
        sizes = {}
        for quality in (30, 75, 95):
            (outcome,) = self.packed(spec := TransformSpec(size=64, quality=quality), jpeg(pixels))
            sizes[quality] = len(outcome.data)
            own = len(jpeg(reference(pixels, spec), quality))
            assert 0.8 < len(outcome.data) / own < 1.25  # the same tables; the Huffman codes may differ
        assert sizes[30] < sizes[75] < sizes[95]

    def test_pass_through_is_not_a_workers(self) -> None:
        """Nothing is decoded, so there is nothing for a worker to do."""
        with pytest.raises(BackendError, match="--pass-through decodes nothing"):
            self.make_worker(TransformSpec(pass_through=True))

    # Agreement

    @pytest.mark.parametrize("interp", ["antialias", "linear"])
    def test_pixels_agree_with_the_definition(self, interp: str) -> None:
        spec = TransformSpec(size=112, interp=interp)
        sources = [photo(*size, seed) for seed, size in enumerate([*SIZES, (113, 140), (60, 80), (1800, 1500)])]
        files = [jpeg(pixels, 98) for pixels in sources]
        outcomes = self.packed(spec, *files)
        assert_close(
            [
                (decoded(outcome.data), reference(decoded(file), spec))
                for outcome, file in zip(outcomes, files, strict=True)
            ]
        )

    # Batches

    def test_batch_of_one(self) -> None:
        assert len(self.packed(TransformSpec(size=64), jpeg(photo(100, 80)))) == 1

    def test_bytes_do_not_depend_on_the_company(self) -> None:
        spec = TransformSpec(size=64)
        files = [jpeg(photo(90 + 37 * number, 250 - 11 * number, number)) for number in range(9)]
        together = [outcome.data for outcome in self.packed(spec, *files)]
        assert [outcome.data for outcome in self.packed(spec, *files)] == together
        assert [outcome.data for outcome in self.packed(spec, *files[::-1])] == together[::-1]
        assert [self.packed(spec, file)[0].data for file in files] == together

    @pytest.mark.parametrize("kind", ["truncated", "stub", "damaged", "empty", "text", "gif", "bomb"])
    def test_a_bad_file_costs_only_itself(self, kind: str) -> None:
        spec = TransformSpec(size=64)
        good = [jpeg(photo(120 + 9 * number, 100, number)) for number in range(5)]
        alone = self.packed(spec, *good)
        outcomes = self.run(spec, *good[:2], bad_file(kind), *good[2:])
        rejected = outcomes.pop(2)
        assert isinstance(rejected, Rejected), kind
        assert rejected.stage in ("decode", "resize", "encode")
        assert rejected.reason and "\n" not in rejected.reason
        assert [outcome.data for outcome in outcomes if isinstance(outcome, Encoded)] == [one.data for one in alone]

    def test_a_batch_of_nothing_but_bad_files(self) -> None:
        outcomes = self.run(TransformSpec(size=64), *(bad_file(kind) for kind in ("empty", "text", "truncated")))
        assert all(isinstance(outcome, Rejected) for outcome in outcomes)


def bad_file(kind: str) -> bytes:
    """A file that must be rejected."""
    whole = jpeg(photo(160, 120))
    noise = np.random.default_rng(1).integers(0, 256, 2048, np.uint8).tobytes()
    files = {
        "truncated": whole[: len(whole) * 2 // 3],
        "stub": whole[:300],
        "damaged": whole[: len(whole) // 2] + noise + whole[len(whole) // 2 + 2048 :],
        "empty": b"",
        "text": b"<!DOCTYPE html><title>404</title>",
        "gif": b"GIF89a" + bytes(50),
        "bomb": pictures.bomb(60_000, 60_000),
    }
    return files[kind]


def assert_flat(pixels: Pixels, colour: tuple[int, int, int]) -> None:
    """Every pixel is ``colour`` (BGR), within what the conversion to YCbCr and back costs."""
    assert np.abs(pixels.astype(int) - colour).max() <= 4


def assert_quadrants_equal(pixels: Pixels, wanted: Pixels) -> None:
    """The four corners agree; the seams between flat colours are blurred by chroma subsampling and left out."""
    height, width = wanted.shape[0] // 4, wanted.shape[1] // 4
    for rows in (slice(height), slice(-height, None)):
        for columns in (slice(width), slice(-width, None)):
            assert np.abs(pixels[rows, columns].astype(int) - wanted[rows, columns]).max() <= 12


def _shifted(pixels: Pixels, x: int, y: int, side: int, shift: int) -> Pixels:
    """The square that begins ``shift`` pixels along the longer edge from (x, y); edges repeat."""
    if pixels.shape[1] > pixels.shape[0]:
        return pixels[:, np.clip(np.arange(x + shift, x + shift + side), 0, pixels.shape[1] - 1)].astype(int)
    return pixels[np.clip(np.arange(y + shift, y + shift + side), 0, pixels.shape[0] - 1)].astype(int)
