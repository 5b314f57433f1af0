"""GPU path and CPU fallback agree: exactly on size, orientation, colour order and subsampling; closely on pixels."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from cpu_fallback.worker import CpuWorker
from gpu_pack.formats.image_headers import read_header
from gpu_pack.types import Encoded, TransformSpec
from tests.gpu.device import DEVICE
from tests.gpu.pictures import decoded, images, jpeg, oriented, photograph, psnr

#: DESIGN's bounds. Two JPEGs at quality 95 of the very same pixels are about 50 dB apart from each other; the filters
#: for shrinking differ a little more.
MEAN_DB, LEAST_DB = 40, 30
SIZES = [(500, 375), (375, 500), (640, 427), (300, 224), (224, 224), (160, 120), (225, 1024), (800, 600)]


@functools.cache
def photographs() -> list[bytes]:
    return [jpeg(photograph(*size, seed)) for seed, size in enumerate(SIZES)]


def both(open_worker, spec, datas, **settings):
    batch = images(datas)
    on_gpu = open_worker(spec, **settings).transform(batch)
    on_cpu = CpuWorker(spec).transform(batch)
    assert all(isinstance(outcome, Encoded) for outcome in on_gpu + on_cpu)
    assert [outcome[2:4] for outcome in on_gpu] == [outcome[2:4] for outcome in on_cpu]
    return on_gpu, on_cpu


@pytest.mark.parametrize("encoder", ["cpu", "nvjpeg"])
@pytest.mark.parametrize("interp", ["antialias", "linear"])
def test_pixels_are_close(open_worker, interp, encoder):
    on_gpu, on_cpu = both(open_worker, TransformSpec(interp=interp), photographs(), encoder=encoder)
    assert {outcome.backend for outcome in on_gpu} == {"gpu"}
    values = [psnr(decoded(one.data), decoded(other.data)) for one, other in zip(on_gpu, on_cpu, strict=True)]
    assert np.mean(values) >= MEAN_DB
    assert min(values) >= LEAST_DB


@pytest.mark.parametrize(
    "spec",
    [
        TransformSpec(color="gray"),
        TransformSpec(crop=False),
        TransformSpec(upscale=False),
        TransformSpec(size=None),
        TransformSpec(size=None, crop=False),
        TransformSpec(size=1),
        TransformSpec(size=301, crop=False, upscale=False, interp="linear", quality=60),
    ],
    ids=str,
)
@pytest.mark.parametrize("encoder", ["cpu", "nvjpeg"])
def test_every_geometry(open_worker, spec, encoder):
    on_gpu, on_cpu = both(open_worker, spec, photographs(), encoder=encoder)
    # In gray, one picture in a hundred has a mid-grey last pixel, and the codec packs it.
    if spec.size != 1:  # nvJPEG may refuse a single pixel, and the codec packs it
        assert [outcome.backend for outcome in on_gpu].count("gpu") >= len(SIZES) - 1
    for one, other in zip(on_gpu, on_cpu, strict=True):
        assert decoded(one.data).shape == decoded(other.data).shape
        assert psnr(decoded(one.data), decoded(other.data)) >= LEAST_DB


@pytest.mark.parametrize("encoder", ["cpu", "nvjpeg"])
@pytest.mark.parametrize("quality", [1, 50, 95, 100])
def test_files_are_baseline_and_420_at_the_quality_asked_for(open_worker, encoder, quality):
    spec = TransformSpec(quality=quality)
    on_gpu, on_cpu = both(open_worker, spec, [jpeg(photograph(300, 400), "4:4:4")], encoder=encoder)
    header = read_header(on_gpu[0].data)
    assert header.sampling == ((2, 2), (1, 1), (1, 1))
    assert not header.progressive
    if encoder == "cpu" or DEVICE == "cpu":  # nvJPEG may scale the tables in its own way
        assert quantisation(on_gpu[0].data) == quantisation(on_cpu[0].data)


def quantisation(data: bytes) -> list[bytes]:
    """The quantisation tables, by number; one segment may hold several."""
    tables, position = {}, 2
    while data[position + 1] != 0xDA:
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] == 0xDB:
            body = data[position + 4 : position + 2 + length]
            tables.update({body[at]: body[at + 1 : at + 65] for at in range(0, len(body), 65)})
        position += 2 + length
    return [tables[number] for number in sorted(tables)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(open_worker, orientation):
    picture = photograph(320, 240, orientation)
    picture[:60, :80] = (255, 0, 0)  # a corner that tells where it went
    on_gpu, on_cpu = both(open_worker, TransformSpec(crop=False, size=120), [oriented(jpeg(picture), orientation)])
    assert on_gpu[0].backend == "gpu"
    assert psnr(decoded(on_gpu[0].data), decoded(on_cpu[0].data)) >= LEAST_DB


@pytest.mark.parametrize("orientation", [3, 6])
def test_orientation_counts_beside_malformed_tags(open_worker, orientation):
    """nvImageCodec ignores it there, OpenCV does not."""
    picture = photograph(240, 240, 1)
    picture[:60, :80] = (255, 0, 0)
    data = oriented(jpeg(picture), orientation)
    count = data.index(b"II*\0") + 8
    malformed = data[:count] + b"\xff\x03" + data[count + 2 :]  # a directory of 1023 tags
    on_gpu, on_cpu = both(open_worker, TransformSpec(size=120), [malformed])
    assert on_gpu[0].backend == "gpu"
    assert psnr(decoded(on_gpu[0].data), decoded(on_cpu[0].data)) >= LEAST_DB


@pytest.mark.parametrize("encoder", ["cpu", "nvjpeg"])
def test_red_stays_red(open_worker, encoder):
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[:, :, 2] = 255  # OpenCV's order: blue, green, red
    (outcome,) = open_worker(TransformSpec(size=32), encoder=encoder).transform(images([jpeg(picture)]))
    blue, green, red = decoded(outcome.data)[16, 16]
    assert red > 250
    assert max(blue, green) < 5


def test_the_picture_as_it_is_stays_as_it_is(open_worker):
    """Without size and crop only the two JPEG codings stand between the file and the result."""
    on_gpu, on_cpu = both(open_worker, TransformSpec(size=None, crop=False), [jpeg(photograph(301, 203))])
    assert psnr(decoded(on_gpu[0].data), decoded(on_cpu[0].data)) > 45
