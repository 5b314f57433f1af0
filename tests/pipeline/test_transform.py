"""`gpu_pack.transform`: the engine alone, over bytes and paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import gpu_pack
from gpu_pack import Encoded, Rejected, UsageError, transform


def size_of(outcome: Encoded | Rejected) -> tuple[int, ...]:
    assert isinstance(outcome, Encoded), outcome
    image = cv2.imdecode(np.frombuffer(outcome.data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None and image.shape[:2] == (outcome.height, outcome.width)
    return image.shape


def test_bytes_and_paths_in_order_with_bad_images_as_values(photos: Path, tmp_path: Path) -> None:
    paths = sorted(photos.rglob("*.jpg"))
    images = [paths[0], (str(paths[1]), 4), paths[2].read_bytes(), (paths[3].read_bytes(), (1, 2.5)), b"junk", "no.jpg"]
    outcomes = list(transform(images, size=16, device="cpu", workers=2, batch_size=2))
    assert [outcome.entry.key for outcome in outcomes] == [0, 1, 2, 3, 4, 5]
    assert [outcome.entry.labels for outcome in outcomes] == [(0.0,), (4.0,), (0.0,), (1.0, 2.5), (0.0,), (0.0,)]
    assert [size_of(outcome) for outcome in outcomes[:4]] == [(16, 16, 3)] * 4
    junk, missing = outcomes[4:]
    assert isinstance(junk, Rejected) and junk.stage == "decode"
    assert isinstance(missing, Rejected) and (missing.stage, missing.reason) == ("read", "no such file")


def test_the_same_pixels_as_create(photos: Path, tmp_path: Path) -> None:
    options = {"size": 20, "encoding": "png", "color": "gray", "device": "cpu"}
    gpu_pack.create(photos, tmp_path / "out", shuffle=False, **options)  # type: ignore[arg-type]
    packed = [data for data, _ in gpu_pack.RecordDataset(tmp_path / "out/train.rec", decode=False)]
    outcomes = list(transform(sorted(photos.rglob("*.jpg")), **options))  # type: ignore[arg-type]
    assert len(packed) == 30 and packed == [outcome.data for outcome in outcomes if isinstance(outcome, Encoded)]


def test_images_are_taken_as_they_are_needed(photos: Path) -> None:
    data = next(photos.rglob("*.jpg")).read_bytes()
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield data + bytes(1 << 20)  # 256 MiB are in flight at once

    outcomes = transform(endless(), size=16, workers=1)
    assert size_of(next(outcomes)) == (16, 16, 3)
    outcomes.close()  # type: ignore[attr-defined]
    assert 1 <= taken < 2000


def test_the_callers_own_error_comes_through(photos: Path) -> None:
    def failing() -> Iterator[Path]:
        yield next(photos.rglob("*.jpg"))
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        list(transform(failing(), size=16))


def test_wrong_options_are_refused_before_the_first_image() -> None:
    with pytest.raises(UsageError, match="workers"):
        transform([], workers=0)
    with pytest.raises(TypeError, match="no option 'shards'"):
        transform([], shards=2)  # type: ignore[call-arg]


def test_labels_may_be_numpys(photos: Path) -> None:
    image = (photos / "ant/00.jpg").read_bytes()
    labels = (3, 1.5, np.int64(3), np.float32(1.5), np.array([1, 2]), [1, 2])
    found = [outcome.entry.labels for outcome in transform([(image, label) for label in labels], size=16)]
    assert found == [(3.0,), (1.5,), (3.0,), (1.5,), (1.0, 2.0), (1.0, 2.0)]
