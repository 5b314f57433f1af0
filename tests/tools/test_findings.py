"""Findings: copies are found however they were changed, different pictures are not, and nothing costs a square."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import gpu_pack
from gpu_pack.tools.findings.find import Findings, find
from gpu_pack.tools.findings.looks import BLACK, BLANK, BLURRED, FINE, TINY, UNREADABLE, WHITE, look_at
from gpu_pack.tools.findings.near import NEAR, bits_by_table, near_groups
from gpu_pack.tools.locate import locate
from gpu_pack.types import Progress
from tests.folders import Run
from tests.pictures import jpeg, photo
from tests.tools import foreign_records

PHOTOS = sorted((Path(__file__).parents[1] / "photos").glob("*/*.*g"))


def cropped(pixels: np.ndarray) -> np.ndarray:
    """The central square at 224, as create makes it."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    return cv2.resize(pixels[y : y + side, x : x + side], (224, 224), interpolation=cv2.INTER_AREA)


def without_edges(pixels: np.ndarray, share: float) -> np.ndarray:
    """The picture without this share of each edge."""
    height, width = (round(side * share) for side in pixels.shape[:2])
    return pixels[height : pixels.shape[0] - height, width : pixels.shape[1] - width]


def distances(one: list[bytes], other: list[bytes]) -> np.ndarray:
    """Bits that differ, of every picture from every other."""
    first, second = look_at(one)[0], look_at(other)[0]
    return np.unpackbits((first[:, None] ^ second[None]).view(np.uint8), axis=2).sum(axis=2)


@pytest.fixture(scope="module")
def originals() -> list[np.ndarray]:
    return [cv2.imread(str(path)) for path in PHOTOS]


def test_a_changed_copy_is_near_and_another_photograph_is_not(originals: list[np.ndarray]) -> None:
    crops = [jpeg(cropped(pixels)) for pixels in originals]
    between = distances(crops, crops)
    assert between[~np.eye(len(crops), dtype=bool)].min() > NEAR + 10
    ways = {
        "quality 40": [jpeg(cropped(pixels), 40) for pixels in originals],
        "half the size": [
            jpeg(cropped(cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)))
            for pixels in originals
        ],
        "brighter": [jpeg(cropped(cv2.convertScaleAbs(pixels, alpha=1.1, beta=8))) for pixels in originals],
        "a little cropped": [jpeg(cropped(without_edges(pixels, 0.01))) for pixels in originals],
    }
    for way, copies in ways.items():
        assert np.diag(distances(crops, copies)).max() <= NEAR, way


def test_what_a_picture_is() -> None:
    fine = photo(224, 224)
    digit = np.zeros((28, 28, 3), np.uint8)
    digit[4:24, 13:15] = 255
    pictures = {
        "black": (np.full_like(fine, 12), BLACK),
        "white": (np.full_like(fine, 245), WHITE),
        "gray": (np.full_like(fine, 120), BLANK),
        "blurred": (cv2.GaussianBlur(fine, (0, 0), 6), BLURRED),
        "fine": (fine, FINE),
        "dark": (fine // 4, FINE),
        "digit": (digit, TINY),
        "small": (fine[:40, :40], FINE),
    }
    found = look_at([jpeg(pixels) for pixels, _ in pictures.values()])[1]
    assert dict(zip(pictures, found.tolist(), strict=True)) == {name: kind for name, (_, kind) in pictures.items()}
    assert look_at([b"", b"junk", jpeg(fine)[:2000]])[1].tolist() == [UNREADABLE] * 3
    png = cv2.imencode(".png", np.full((50, 90), 255, np.uint8))[1].tobytes()
    assert look_at([png])[1].tolist() == [WHITE]


def test_the_photographs_are_all_fine(originals: list[np.ndarray]) -> None:
    assert look_at([jpeg(cropped(pixels)) for pixels in originals])[1].tolist() == [FINE] * len(originals)


def flip(word: int, bits: list[int]) -> int:
    return word ^ sum(1 << bit for bit in bits)


def test_every_pair_within_eight_bits_is_met() -> None:
    random = np.random.default_rng(3)
    hashes = random.integers(0, 2**64, (6000, 4), np.uint64)
    for row in range(1000):
        other = hashes[row].copy()
        bits = random.choice(64, row % 9, replace=False)
        other[0] = flip(int(other[0]), bits.tolist())
        hashes[5999 - row] = other
    groups = near_groups(hashes, lambda done, steps: None)
    expected = np.arange(6000)
    expected[5000:] = np.arange(999, -1, -1)
    assert groups.tolist() == expected.tolist()


def test_a_bit_too_many_is_another_picture() -> None:
    hashes = np.zeros((2, 4), np.uint64)
    hashes[1, 1], hashes[1, 2] = (1 << 64) - 1, 0xFF
    steps: list[tuple[int, int]] = []
    assert near_groups(hashes, lambda *step: steps.append(step)).tolist() == [0, 0]
    assert steps[-1] == (165, 165)
    hashes[1, 2] = 0x1FF
    assert near_groups(hashes, lambda *step: None).tolist() == [0, 1]


def test_bits_are_counted_without_a_recent_numpy() -> None:
    words = np.array([[0, 1], [(1 << 64) - 1, 0x8001000100010001]], np.uint64)
    assert bits_by_table(words).tolist() == [[0, 1], [64, 5]]


def test_likeness_carries_on_and_a_large_group_costs_no_square() -> None:
    chain = np.zeros((20_000, 4), np.uint64)
    chain[:, 3] = np.random.default_rng(0).integers(0, 1 << 30, 20_000, np.uint64)
    assert not near_groups(chain, lambda *step: None, workers=1).any()


@pytest.fixture
def spoiled(tmp_path: Path) -> Path:
    """Two splits of two classes with one of everything."""
    source = tmp_path / "source"
    for number in range(24):
        path = source / ("val" if number > 19 else "train") / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(photo(224, 224, number)))
    train = source / "train"
    shutil.copy(train / "a" / "0.jpg", train / "b" / "copy.jpg")
    (source / "val" / "b" / "leak.jpg").write_bytes(jpeg(without_edges(photo(224, 224, 1), 0.02), 60))
    (train / "rare").mkdir()
    for number, (name, gray) in enumerate({"black": 3, "white": 250, "blank": 99}.items()):
        (train / "rare" / f"{name}.jpg").write_bytes(jpeg(np.full((224, 224, 3), gray + number, np.uint8)))
    (train / "rare" / "blurred.jpg").write_bytes(jpeg(cv2.GaussianBlur(photo(224, 224, 50), (0, 0), 8)))
    gpu_pack.create(source, tmp_path / "out", device="cpu", workers=2)
    return tmp_path / "out"


def named(group: list[dict[str, object]]) -> list[object]:
    return sorted(str(member["path"]) for member in group)


def test_findings_of_a_spoiled_set(spoiled: Path, gpu_pack_command: Run) -> None:
    found = gpu_pack.inspect(spoiled).findings
    assert found is not None
    assert list(map(named, found.exact_duplicates)) == [["train/a/0.jpg", "train/b/copy.jpg"]]
    assert list(map(named, found.near_duplicates)) == [["train/b/1.jpg", "val/b/leak.jpg"]]
    assert found.leakage == found.near_duplicates
    assert {member["split"] for member in found.leakage[0]} == {"train", "val"}
    (conflict,) = found.label_conflicts
    labelled = [(each["path"], each["label"], each["class"]) for each in conflict]
    assert sorted(labelled) == [("train/a/0.jpg", 0, "a"), ("train/b/copy.jpg", 1, "b")]
    for kind in ("black", "white", "blank", "blurred"):
        assert named(getattr(found, kind)) == [f"train/rare/{kind}.jpg"]
    assert [(each["class"], each["count"]) for each in found.small_classes] == [("rare", 4)]
    assert found.missing_labels == [{"split": "val", "label": 2, "class": "rare"}]
    told = json.loads(gpu_pack_command("inspect", spoiled, "--json").stdout)["findings"]
    assert told["leakage"] == found.leakage and set(told) == set(Findings.__dataclass_fields__)
    text = gpu_pack_command("inspect", spoiled).stdout
    assert "1 group of pictures with conflicting labels (2 pictures)" in text
    assert "train: train/a/0.jpg (a)" in text and "train: train/b/copy.jpg (b)" in text
    assert "1 group of pictures in several splits" in text and "labels that val lacks: 1: rare" in text


def test_findings_can_be_left_out(dataset: Path, gpu_pack_command: Run) -> None:
    assert gpu_pack.inspect(dataset, findings=False).findings is None
    assert "--findings does" in gpu_pack_command("inspect", dataset, "--no-findings").stdout
    assert json.loads(gpu_pack_command("inspect", dataset, "--no-findings", "--json").stdout)["findings"] is None


def test_records_of_others(tmp_path: Path) -> None:
    path = foreign_records.joined(tmp_path / "joined.rec")
    seen: list[Progress] = []
    found = find(locate(path).targets, None, seen.append)
    assert [[member["key"] for member in group] for group in found.exact_duplicates] == [[0, 3], [1, 4], [2, 5]]
    assert found.exact_duplicates[0][0] == {"split": "joined", "key": 0, "path": None}
    assert {state.unit for state in seen} == {"bytes", "records"}
    faces = find(locate(foreign_records.insightface(tmp_path / "faces" / "train.rec")).targets, None, seen.append)
    assert faces.pictures == 6


def test_conflicts_are_of_looks_too_and_not_of_lists_of_boxes(tmp_path: Path) -> None:
    one, again = jpeg(photo(224, 224, 1)), jpeg(photo(224, 224, 1), 70)
    boxes = [2, 5, 0, 0.25, 0.25, 0.5, 0.5]
    rec = foreign_records.write_rec(tmp_path / "a.rec", [(0, 0, 3, one), (1, 1, 0.5, again), (2, 2, boxes, one)])
    found = find(locate(rec).targets, None, lambda state: None)
    assert [[(each["key"], each["label"]) for each in group] for group in found.label_conflicts] == [
        [(0, 3), (1, 0.5), (2, None)]
    ]
    same = foreign_records.write_rec(tmp_path / "b.rec", [(0, 0, 3, one), (1, 1, 3, again), (2, 2, boxes, one)])
    assert not find(locate(same).targets, None, lambda state: None).label_conflicts


def test_tiny_pictures_are_compared_by_their_bytes(tmp_path: Path) -> None:
    ones = [jpeg(np.full((28, 28, 3), 10 * number, np.uint8) + photo(28, 28) // 8, 90) for number in (3, 4, 4)]
    path = foreign_records.write_rec(tmp_path / "digits.rec", ((key, key, 1, data) for key, data in enumerate(ones)))
    found = find(locate(path).targets, None, lambda state: None)
    assert len(found.exact_duplicates) == 1 and not found.near_duplicates


def test_damage_is_passed_over(record: Path) -> None:
    data = bytearray(record.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    record.write_bytes(data)
    assert 0 < find(locate(record).targets, None, lambda state: None).pictures < 7
