"""`gpu_pack.create` from Python iterables: of every form, longer than memory, wrong in an item, resumed."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpu_pack
from gpu_pack.errors import OutputExistsError, SourceError, UsageError
from gpu_pack.formats.lst import read_list
from gpu_pack.pipeline.create import plan
from gpu_pack.pipeline.options import create_options
from gpu_pack.pipeline.plan import Plan
from gpu_pack.recordio import scan, unpack
from gpu_pack.sources.given import GivenImages, open_given
from gpu_pack.sources.spool import Spool
from tests.pipeline.outputs import published
from tests.pipeline.runs import Killed, pack, watched
from tests.tools.datasets import smooth_jpeg


def generated(count: int = 12, labels: Callable[[int], Any] = lambda number: number % 3) -> Iterator[tuple[bytes, Any]]:
    for number in range(count):
        yield smooth_jpeg(number), labels(number)


def rows(out: Path, name: str = "train") -> list[tuple[int, tuple[float, ...], str, bytes]]:
    """Key, labels, path and bytes of each record."""
    with (out / f"{name}.rec").open("rb") as file:
        images = [unpack(record.payload)[1] for record in scan(file)]
    listed = read_list(out / f"{name}.lst")
    return [(entry.key, entry.labels, entry.path, data) for entry, data in zip(listed, images, strict=True)]


# ---- forms


def test_a_generator_of_bytes_is_packed_in_its_order_or_shuffled(tmp_path: Path) -> None:
    report = gpu_pack.create(generated(), tmp_path / "kept", pass_through=True, shuffle=False)
    assert report.packed == 12 and report.classes is None
    expected = [(number, (float(number % 3),), f"image-{number}", smooth_jpeg(number)) for number in range(12)]
    assert rows(tmp_path / "kept") == expected
    gpu_pack.create(generated(), tmp_path / "shuffled", pass_through=True)
    assert rows(tmp_path / "shuffled") != expected and sorted(rows(tmp_path / "shuffled")) == expected
    assert gpu_pack.verify(tmp_path / "kept").ok and gpu_pack.verify(tmp_path / "shuffled").ok
    assert not [path for path in (tmp_path / "kept").iterdir() if path.name.startswith(".")], "the spool is removed"


def test_paths_and_bytes_may_be_mixed_and_labels_be_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(smooth_jpeg(1))
    monkeypatch.chdir(tmp_path)
    given = [("in/a.jpg", "dog"), (smooth_jpeg(2), "ant"), [tmp_path / "in/a.jpg", np.str_("dog")], ("gone.jpg", "ant")]
    report = gpu_pack.create(given, "out", pass_through=True, shuffle=False)  # type: ignore[arg-type]
    assert (report.packed, report.rejected, report.classes) == (3, 1, 2)
    assert (tmp_path / "out/classes.txt").read_text() == "ant\ndog\n"
    with (tmp_path / "out/train.rec").open("rb") as file:
        assert [unpack(each.payload)[1] for each in scan(file)] == [smooth_jpeg(number) for number in (1, 2, 1)]
    assert [entry.path for entry in read_list(tmp_path / "out/train.lst")][:2] == ["in/a.jpg", "image-1"]
    assert '"code": "missing"' in (tmp_path / "out/rejects.jsonl").read_text()


@pytest.mark.parametrize(
    ("label", "values"),
    [
        (np.float32(0.25), (0.25,)),
        (np.array(3), (3.0,)),
        (np.array([1.0, 2.0]), (1.0, 2.0)),
        ([2, 5, 1, 0.5], (2.0, 5.0, 1.0, 0.5)),
        (True, (1.0,)),
    ],
)
def test_labels_are_numbers_of_any_kind(label: Any, values: tuple[float, ...], tmp_path: Path) -> None:
    gpu_pack.create([(smooth_jpeg(0), label)], tmp_path / "out", pass_through=True)
    assert rows(tmp_path / "out")[0][1] == values


def test_dicts_as_hugging_face_has_them(tmp_path: Path) -> None:
    def items() -> Iterator[dict[str, Any]]:
        for number in range(6):
            image = {"bytes": smooth_jpeg(number), "path": f"{number}.jpg" if number % 2 else None}
            split = "test" if number > 3 else "train"
            yield {"image": image, "label": number % 2, "split": split, "key": np.int64(100 + number), "more": 1}

    gpu_pack.create(items(), tmp_path / "out", pass_through=True, shuffle=False)
    assert rows(tmp_path / "out", "test") == [
        (104, (0.0,), "image-4", smooth_jpeg(4)),
        (105, (1.0,), "5.jpg", smooth_jpeg(5)),
    ]
    assert [row[0] for row in rows(tmp_path / "out")] == [100, 101, 102, 103]
    with pytest.raises(UsageError, match="images is divided already, into train, test: leave --split out"):
        gpu_pack.create(items(), tmp_path / "no", splits={"a": 0.5, "b": 0.5})


def test_dicts_with_paths(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(smooth_jpeg(1))
    given = [
        {"path": tmp_path / "a.jpg", "label": 1},
        {"image": tmp_path / "a.jpg", "label": 2},
        {"image": smooth_jpeg(3), "path": "shown.jpg", "label": 3},
        {"image": {"bytes": None, "path": str(tmp_path / "a.jpg")}, "label": 4},
    ]
    gpu_pack.create(given, tmp_path / "out", pass_through=True, shuffle=False)
    path = f"{tmp_path}/a.jpg"
    assert [row[2] for row in rows(tmp_path / "out")] == [path, path, "shown.jpg", path]
    assert [row[3] for row in rows(tmp_path / "out")] == [smooth_jpeg(number) for number in (1, 1, 3, 1)]


def test_datasets_without_iter_and_our_own(tmp_path: Path) -> None:
    class MapStyle:
        """As PyTorch's: nothing ends it but its length."""

        def __len__(self) -> int:
            return 3

        def __getitem__(self, number: int) -> tuple[bytes, int]:
            return smooth_jpeg(number), number

    gpu_pack.create(MapStyle(), tmp_path / "one", pass_through=True, shuffle=False)  # type: ignore[arg-type]
    own = gpu_pack.RecordDataset(tmp_path / "one/train.rec", decode=False)
    gpu_pack.create(own, tmp_path / "two", pass_through=True, shuffle=False)  # type: ignore[arg-type]
    assert rows(tmp_path / "two") == rows(tmp_path / "one")


def test_an_iterable_is_divided_and_transformed_as_any_set(tmp_path: Path) -> None:
    report = gpu_pack.create(generated(30), tmp_path / "out", size=16, splits={"train": 0.8, "val": 0.2}, shards=2)
    assert {name: split.labels for name, split in report.splits.items()} == {
        "train": {"0": 8, "1": 8, "2": 8},
        "val": {"0": 2, "1": 2, "2": 2},
    }
    made = [each.data for each in gpu_pack.transform(generated(30), size=16) if isinstance(each, gpu_pack.Encoded)]
    assert all(data == made[key] for key, _, _, data in rows(tmp_path / "out", "val-00000-of-00002"))


# ---- longer than memory


def test_memory_holds_the_listing_and_one_image(tmp_path: Path) -> None:
    count, size = 200, 1 << 20
    with Spool(tmp_path / "spool") as spool:
        images = ((number.to_bytes(4, "little") * (size // 4), 0) for number in range(count))
        tracemalloc.start()
        found = list(open_given(GivenImages(images, file_bytes=32 << 20), spool).images)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(found) == count and peak < 8 * size
        containers = {each.place.container for each in found if each.place is not None}
        assert len(containers) == 7 and sum(each.size for each in containers) == count * size


def test_a_dry_run_reads_the_iterable_and_spools_nothing(tmp_path: Path) -> None:
    images = generated(labels=lambda number: "ab"[number % 2])
    report = gpu_pack.create(images, tmp_path / "out", dry_run=True)
    assert (report.listed, report.classes) == (12, 2) and not (tmp_path / "out").exists()
    assert next(images, None) is None


# ---- wrong


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (5, "item 1 is a int: expected (path or bytes, label), or a dict"),
        ((1, 2, 3), "item 1 is a tuple of 3: expected"),
        ("a.jpg", "item 1 is a path alone: give (path, label); sources are"),
        ((np.zeros((2, 2)), 1), "item 1 has a ndarray for its image: expected a path, or the bytes of an image file"),
        ((b"x", None), "item 1 has None for its label"),
        ((b"x", b"cat"), "item 1 has b'cat' for its label"),
        ((b"x", ["cat"]), "item 1 has ['cat'] for its label"),
        ((b"x", []), "item 1 has no label values"),
        ((b"x", float("nan")), "item 1 cannot be packed: label 'nan' is not finite"),
        ((b"x", 2**24 + 1), "item 1 cannot be packed: label '16777217.0' would become 16777216"),
        ({"lable": 1, "image": b"x"}, "item 1 is a dict with 'lable', 'image' in it: expected"),
        ({"label": 1, "image": None}, "item 1 is a dict with 'label', 'image' in it"),
        ({"label": 1, "image": b"x", "split": "a/b"}, "item 1 has the split 'a/b': a split's name is"),
        ({"label": 1, "image": b"x", "key": -1}, "item 1 has the key -1: a key is a whole number"),
        ({"label": 1, "image": b"x", "key": 3470205706}, "item 1 has the key 3470205706, whose bits hold"),
        ({"label": 1, "image": b"x", "key": 3}, "item 1 has a key and others have none"),
    ],
)
def test_a_wrong_item_is_named_with_its_number(item: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(f"images: {told}")):
        gpu_pack.create([(smooth_jpeg(0), 0), item], tmp_path / "out")
    assert not (tmp_path / "out").exists(), "the spool is removed"


def test_keys_that_come_twice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="images: item 1 has the key 7 of an earlier one"):
        gpu_pack.create([{"image": b"x", "label": 0, "key": 7}] * 2, tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "options", "told"),
    [
        (7, {}, "images=7: give a path, a list of paths, or an iterable"),
        (iter([(b"x", 1)]), {"root": "x"}, "is about list, table sources, and images is an iterable: leave it out"),
        (iter([(b"x", 1)]), {"source_format": "tar"}, "source_format=tar (--source-format): images is an iterable"),
        (iter([(b"x", 1)]), {"splits": {"train": "a"}}, "and images both name a source"),
    ],
)
def test_wrong_calls(given: Any, options: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        gpu_pack.create(given, tmp_path / "out", **options)


def test_an_iterable_that_is_empty_or_mixes_labels_or_splits(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="images: the iterable yields nothing; a generator that was read before"):
        gpu_pack.create(iter([]), tmp_path / "out")
    with pytest.raises(SourceError, match="some labels are names of classes, such as 'cat', and others numbers"):
        gpu_pack.create([(b"x", "cat"), (b"x", 1)], tmp_path / "out")
    items: list[dict[str, Any]] = [{"image": b"x", "label": 1}, {"image": b"x", "label": 1, "split": "val"}]
    with pytest.raises(SourceError, match="some images are in a split, 'val', and others in none"):
        gpu_pack.create(items, tmp_path / "out")


@pytest.mark.parametrize("error", [OSError(28, "the caller's own"), ValueError("the caller's own"), KeyboardInterrupt])
def test_what_the_iterable_raises_comes_through_unchanged(error: Any, tmp_path: Path) -> None:
    def failing() -> Iterator[tuple[bytes, int]]:
        yield from generated(3)
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)) as raised:
        gpu_pack.create(failing(), tmp_path / "out")
    assert raised.value is error or isinstance(error, type)
    assert not (tmp_path / "out").exists(), "the spool is removed"


# ---- resumed


def planned(images: Iterable[Any], out: Path, spool: Spool, most: int | None = None) -> Plan:
    """A plan that dies once ``most`` images are read."""

    def die(number: int, _: object) -> None:
        if number == most:
            raise Killed

    options = create_options(size=16, device="cpu", workers=1, batch_size=1)
    return watched(plan(GivenImages(images), out, options, spool), die)


@pytest.mark.parametrize("most", [1, 5, 11])
def test_the_same_call_resumes_a_killed_run(most: int, tmp_path: Path) -> None:
    with Spool(tmp_path / "whole/.spool") as spool:
        pack(planned(generated(), tmp_path / "whole", spool))
    abandoned = Spool(tmp_path / "out/.spool")  # which a killed process leaves behind
    with pytest.raises(Killed):
        pack(planned(generated(), tmp_path / "out", abandoned, most))
    abandoned._lock.release()  # type: ignore[union-attr]  # as the system does for a process that has died
    with Spool(tmp_path / "out/.spool") as spool:
        report = pack(planned(generated(), tmp_path / "out", spool))
    assert report.packed == 12 and published(tmp_path / "out") == published(tmp_path / "whole")
    assert not (tmp_path / "out/.spool").exists()


def test_other_bytes_are_noticed_before_anything_is_resumed(tmp_path: Path) -> None:
    with Spool(tmp_path / "out/.spool") as spool, pytest.raises(Killed):
        pack(planned(generated(), tmp_path / "out", spool, 5))
    changed = [(data, label) for data, label in generated()]
    changed[3] = (changed[3][0][:-3] + b"\0" + changed[3][0][-2:], 0)
    with (
        Spool(tmp_path / "out/.spool") as spool,
        pytest.raises(OutputExistsError, match="image-3 changed since it began"),
    ):
        pack(planned(changed, tmp_path / "out", spool))
    with (
        Spool(tmp_path / "out/.spool") as spool,
        pytest.raises(OutputExistsError, match="the source lists other images now"),
    ):
        pack(planned(generated(13), tmp_path / "out", spool))
