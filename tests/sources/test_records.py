""".rec files as sources: which records are listed, with which labels, keys, paths and splits."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gpu_pack.errors import SourceError, UsageError
from gpu_pack.recordio import IRHeader, frame, frame_image, pack
from gpu_pack.sources.list_source import list_source
from gpu_pack.sources.listing import Listing, entries
from gpu_pack.sources.open_source import SourceFiles
from gpu_pack.sources.records import open_records
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool
from gpu_pack.stores.local import LocalFile, LocalStore
from gpu_pack.types import Image
from tests.sources.listings import list_one
from tests.tools.datasets import offsets, pack_dataset, smooth_jpeg
from tests.tools.foreign_records import insightface, joined, protobuf, without_ids, write_rec

GOLDENS = Path(__file__).parents[1] / "recordio/goldens"


def simple(path: Path, keys: Iterable[int], labels: Sequence[float] = (0, 1)) -> Path:
    """Pictures with the numbers of their keys."""
    return write_rec(path, ((key, key, labels[key % len(labels)], smooth_jpeg(key)) for key in keys))


def with_magic(number: int) -> bytes:
    """A JPEG with a comment that holds the magic number at an offset that splits the record."""
    data = smooth_jpeg(number)
    return data[:2] + b"\xff\xfe\x00\x0c" + bytes(2) + frame(b"")[:4] * 2 + data[2:]


def codes(listing: Listing) -> list[str]:
    return [notice.code for notice in listing.notices]


def pictures(listing: Listing) -> list[bytes]:
    """The bytes of all images, as a run reads them."""
    found = list(listing.store.read_many(entries(listing, range(len(listing)))))  # type: ignore[arg-type]
    assert all(isinstance(item, Image) for item in found)
    return [item.data for item in found if isinstance(item, Image)]


def test_labels_keys_and_pictures_are_those_of_the_records_in_their_order(tmp_path: Path) -> None:
    found = list_one(simple(tmp_path / "my.rec", [5, 3, 2**63]))
    assert list(found.keys) == [5, 3, 2**63] and found.labels == [(1.0,), (1.0,), (0.0,)]
    assert found.paths == ["my.rec!/5", "my.rec!/3", f"my.rec!/{2**63}"] and found.classes is None
    assert pictures(found) == [smooth_jpeg(5), smooth_jpeg(3), smooth_jpeg(2**63)]
    assert found.ordered and found.records == 3 and not found.notices and found.own_splits is None


def test_what_mxnet_wrote(tmp_path: Path) -> None:
    shutil.copy(GOLDENS / "pictures.rec", tmp_path)
    found = list_one(tmp_path / "pictures.rec")
    assert len(found) and all(data[:2] == b"\xff\xd8" or data[:4] == b"\x89PNG" for data in pictures(found))


def test_label_vectors_and_fractions_have_the_fewest_digits(tmp_path: Path) -> None:
    labels = [[2, 5, 0, 0.1, 0.2, 0.3, 0.7], [0.1, -3.0], 1e20]
    found = list_one(write_rec(tmp_path / "a.rec", ((key, key, each, b"x") for key, each in enumerate(labels))))
    assert found.labels == [(2, 5, 0, 0.1, 0.2, 0.3, 0.7), (0.1, -3.0), (100000002004087734272,)]


def test_a_label_that_no_list_can_hold_is_a_reject(tmp_path: Path) -> None:
    labels = (math.nan, 1.0, math.inf)
    found = list_one(write_rec(tmp_path / "a.rec", ((key, key, each, b"x") for key, each in enumerate(labels))))
    assert list(found.keys) == [1]
    assert [(each.entry.key, each.code) for each in found.rejects] == [(0, "name"), (2, "name")]
    assert "label nan is not finite" in found.rejects[0].reason


def test_the_index_decides_keys(tmp_path: Path) -> None:
    path = without_ids(tmp_path / "a.rec")
    assert list(list_one(path).keys) == [10, 11, 12, 13, 14, 15]
    assert list(list_one(path, rekey=True).keys) == [0, 1, 2, 3, 4, 5]
    path.with_suffix(".idx").write_text("10\tx\n")
    unused = list_one(path)
    assert list(unused.keys) == [0, 1, 2, 3, 4, 5] and codes(unused) == ["keys-renumbered", "beside-unused"]
    assert "a.idx: line 1 of the index is not key<TAB>offset" in unused.notices[1].message


@pytest.mark.parametrize("together", [True, False])
def test_keys_that_come_twice_are_numbered_anew(tmp_path: Path, together: bool) -> None:
    if together:
        found = list_one(joined(tmp_path / "a.rec"))
        assert "such as id 0 in a.rec" in found.notices[0].message
    else:
        for name in ("a.rec", "b.rec"):
            simple(tmp_path / name, [7, 8, 9])
        found = list_one(tmp_path)
        assert "such as key 7" in found.notices[0].message and found.paths[3] == "b.rec!/7"
    assert list(found.keys) == list(range(6)) and codes(found) == ["keys-renumbered"]
    assert found.notices[0].count == 3


def test_records_without_a_picture_are_counted_apart(tmp_path: Path) -> None:
    found = list_one(insightface(tmp_path / "train.rec"))
    assert list(found.keys) == [1, 2, 3, 4, 5, 6] and codes(found) == ["metadata-records"]
    assert found.notices[0].count == 4 and not found.rejects


def test_the_list_beside_records_gives_their_paths(tmp_path: Path) -> None:
    path, beside = simple(tmp_path / "a.rec", range(3)), tmp_path / "a.lst"
    beside.write_text("2\t0\tc/2.jpg\n1\t1\tc/1.jpg\n0\t0\tc/0.jpg\n9\t0\tleft/out.jpg\n")
    found = list_one(path)
    assert found.paths == ["c/0.jpg", "c/1.jpg", "c/2.jpg"] and not found.notices
    for other, why in (("2\t1\tc/2.jpg\n", "label for key 2"), ("0\t0\tc/0.jpg\n", "lacks keys"), ("?\n", "1 field")):
        beside.write_text(other)
        found = list_one(path)
        assert found.paths == ["a.rec!/0", "a.rec!/1", "a.rec!/2"] and codes(found) == ["beside-unused"]
        assert why in found.notices[0].message


@dataclass(frozen=True)
class CountingStore(LocalStore):
    """A folder that counts the bytes that are read."""

    reads: list[int] = field(default_factory=list)

    def open(self, path: str) -> LocalFile:
        counted = self.reads

        class File(LocalFile):
            def read_at(self, offset: int, length: int) -> bytes:
                counted.append(length)
                return super().read_at(offset, length)

        return File(self._path(path))


def test_pictures_are_not_read_when_they_are_listed(tmp_path: Path) -> None:
    records = (frame_image(key, (1.0,), bytes(1 << 20)) for key in range(8))
    (tmp_path / "big.rec").write_bytes(b"".join(records))
    store = CountingStore(str(tmp_path))
    opened = open_records(SourceFiles("big.rec", store, ["big.rec"]), SourceOptions(), None, Spool(None))
    assert [found.stat.size for found in opened.images] == [1 << 20] * 8
    assert sum(store.reads) <= 8 * 4096


# ---- records that are no simple ones


def test_records_that_magic_numbers_split_are_spooled(tmp_path: Path) -> None:
    images = [smooth_jpeg(0), with_magic(1), smooth_jpeg(2), with_magic(3)]
    path = write_rec(tmp_path / "in/a.rec", ((key, key, 1, image) for key, image in enumerate(images)))
    with Spool(tmp_path / "spool") as spool:
        found = list_source([str(path)], SourceOptions(), spool)
        assert pictures(found) == images
        (file,) = (each for each in (tmp_path / "spool").iterdir() if "records" in each.name)
        assert file.stat().st_size == len(images[1]) + len(images[3]), "and no other"
    dry = list_one(path)
    assert len(dry) == 4 and dry.entry(1).place is None and not (tmp_path / "spool").exists()


def damaged(path: Path) -> Iterator[tuple[bytes, list[int], str]]:
    """The bytes, the keys that are left, and the reason: without a magic number, too long a length, cut short."""
    whole, begins = path.read_bytes(), offsets(path)
    yield whole[: begins[2]] + b"\0" + whole[begins[2] + 1 :], [0, 1, 3, 4], "magic number"
    length = (int.from_bytes(whole[begins[1] + 4 : begins[1] + 8], "little") + 400).to_bytes(4, "little")
    longer = whole[: begins[1] + 4] + length + whole[begins[1] + 8 :]
    yield longer, [0, 2, 3, 4], "should have split it"
    yield whole[:-30], [0, 1, 2, 3], "cut short"


@pytest.mark.parametrize("number", range(3))
def test_damage_costs_the_damaged_record_alone(tmp_path: Path, number: int) -> None:
    path = simple(tmp_path / "a.rec", range(5))
    data, keys, reason = list(damaged(path))[number]
    path.write_bytes(data)
    found = list_one(path)
    assert list(found.keys) == keys and pictures(found) == [smooth_jpeg(key) for key in keys]
    (reject,) = found.rejects
    assert reject.code == "damaged" and reason in reject.reason and reject.entry.labels == ()
    assert reject.entry.path.startswith("a.rec!/byte ") and reject.entry.key not in keys


def test_files_that_are_something_else_are_named(tmp_path: Path) -> None:
    pointer = tmp_path / "a.rec"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(SourceError, match=r"a\.rec: a Git LFS pointer and not the records"):
        list_one(pointer)
    with pytest.raises(SourceError, match=r"b\.rec: SageMaker's protobuf RecordIO"):
        list_one(protobuf(tmp_path / "b.rec"))
    (tmp_path / "c.rec").write_bytes(b"")
    with pytest.raises(SourceError, match=r"c\.rec: there is no record with a picture in it"):
        list_one(tmp_path / "c.rec")
    (tmp_path / "d.bin").write_bytes(frame(pack(IRHeader(0, 1.0, 4, 0), smooth_jpeg(0))))
    assert list_one(tmp_path / "d.bin").paths == ["d.bin!/4"], "the bytes tell what it is"


# ---- classes


def with_classes(folder: Path, names: str, labels: Sequence[float] = (0, 1), first: int = 0) -> Path:
    path = simple(folder / "a.rec", range(first, first + 2), labels)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names.split()))
    return path


def test_numbers_keep_the_names_beside_them(tmp_path: Path) -> None:
    found = list_one(with_classes(tmp_path, "zebra ant bee"))
    assert found.classes == ("zebra", "ant", "bee") and found.labels == [(0.0,), (1.0,)]
    strange = list_one(with_classes(tmp_path, "zebra ant", (0, 2)))
    assert strange.classes is None and codes(strange) == ["beside-unused"]
    assert "classes.txt: label 2 of a.rec is none of its 2 classes" in strange.notices[0].message


def test_classes_that_are_asked_for_are_met_by_name(tmp_path: Path) -> None:
    path = with_classes(tmp_path, "zebra ant bee")
    found = list_one(path, classes=("ant", "bee", "cat", "zebra"))
    assert found.labels == [(3.0,), (0.0,)]
    with pytest.raises(SourceError, match="class 'zebra' is not among the 2 names"):
        list_one(path, classes=("ant", "bee"))
    (tmp_path / "classes.txt").unlink()
    assert list_one(path, classes=("ant", "bee", "cat")).labels == [(0.0,), (1.0,)]


def test_files_with_different_classes_are_one_set_by_name(tmp_path: Path) -> None:
    given = [str(with_classes(tmp_path / "x", "cat dog")), str(with_classes(tmp_path / "y", "ant cat", first=2))]
    found = list_source(given, SourceOptions(), Spool(None))
    assert found.classes == ("ant", "cat", "dog") and found.labels == [(1.0,), (2.0,), (0.0,), (1.0,)]
    divided = list_source([], SourceOptions(), Spool(None), list(zip(("train", "val"), given, strict=True)))
    assert (divided.classes, divided.labels) == (found.classes, found.labels)
    write_rec(tmp_path / "x/a.rec", [(9, 9, [0, 1], smooth_jpeg(0))])
    with pytest.raises(SourceError, match="label vectors cannot be told by names"):
        list_source(given, SourceOptions(), Spool(None))


# ---- sets


def test_a_dataset_is_its_records_with_their_splits(tmp_path: Path) -> None:
    found = list_one(pack_dataset(tmp_path))
    assert found.own_splits is not None and found.own_splits.names == ("train", "validation")
    assert list(found.own_splits.rows) == [0] * 13 + [1] * 3 and not found.own_splits.bind
    assert found.classes == ("class 0", "class 1") and not found.notices
    assert all(path.startswith("class ") for path in found.paths) and len(set(found.keys)) == 16


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["my_train.rec", "my_val.rec"], ("train", "val")),
        (["Train-00000-of-00002.rec", "Train-00001-of-00002.rec", "valid.rec"], ("Train", "valid")),
        (["a.rec", "b.rec"], None),
        (["train-00000-of-00002.rec", "train-00001-of-00002.rec"], None),
        (["constrain.rec", "eval.rec"], None),
    ],
)
def test_without_a_manifest_the_names_of_files_tell_splits(
    tmp_path: Path, names: list[str], splits: tuple[str, ...] | None
) -> None:
    for number, name in enumerate(names):
        simple(tmp_path / name, [2 * number, 2 * number + 1])
    own = list_one(tmp_path).own_splits
    assert (own.names if own else None) == splits


def test_a_file_beside_splits_that_is_in_none_is_an_error(tmp_path: Path) -> None:
    for number, name in enumerate(("train.rec", "val.rec", "more.rec")):
        simple(tmp_path / name, [number])
    with pytest.raises(SourceError, match="some images are in a split, 'train', and others in none"):
        list_one(tmp_path)


def test_sets_that_are_not_complete_are_a_warning(tmp_path: Path) -> None:
    out = pack_dataset(tmp_path)
    whole = (out / "train-00001-of-00002.rec").read_bytes()
    (out / "train-00001-of-00002.rec").write_bytes(whole[: offsets(out / "train-00001-of-00002.rec")[-1]])
    (out / "validation-00000-of-00002.rec").unlink()
    found = list_one(out)
    assert codes(found) == ["records-incomplete"] and found.notices[0].count == 2
    assert f"and the manifest says {len(whole):,}" in found.notices[0].message


def test_folders_with_class_folders_or_pictures_in_them_stay_folders(tmp_path: Path) -> None:
    simple(tmp_path / "old.rec", range(2))
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.jpg").write_bytes(smooth_jpeg(1))
    assert list_one(tmp_path).paths == ["cat/1.jpg"]
    shutil.move(tmp_path / "cat/1.jpg", tmp_path / "1.jpg")
    (tmp_path / "cat").rmdir()
    assert list_one(tmp_path).paths == ["1.jpg"]


@pytest.mark.parametrize(
    ("options", "about"), [({"layout": "classes"}, "folder, tar, zip"), ({"root": "x"}, "list, table")]
)
def test_options_of_other_kinds_are_refused(tmp_path: Path, options: dict[str, Any], about: str) -> None:
    with pytest.raises(UsageError, match=rf"is about {about} sources, and .* is a \.rec file"):
        list_one(simple(tmp_path / "a.rec", range(2)), **options)
