"""Parquet files that hold images, and tables in Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gpu_pack.errors import GpuPackError, SourceError, UsageError
from gpu_pack.sources.list_source import list_source
from gpu_pack.sources.listing import Listing, entries
from gpu_pack.sources.parquet_source import split_names
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool
from gpu_pack.types import Image
from tests.folders import write_picture
from tests.sources.parquet_files import rows_of, write_parquet

pa = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'gpu-pack[parquet]'")
pq = pytest.importorskip("pyarrow.parquet")

NAMES = ["cat", "ant", "bee"]


def listed(
    *sources: object, spool: Spool | None = None, splits: Sequence[tuple[str, str]] = (), **options: Any
) -> Listing:
    return list_source([str(each) for each in sources], SourceOptions(**options), spool or Spool(None), splits)


def told(listing: Listing) -> dict[str, str]:
    return {notice.code: notice.example for notice in listing.notices}


def test_the_images_are_spooled_in_order_and_read_there(photos: Path, tmp_path: Path) -> None:
    rows = rows_of(photos, NAMES)
    write_parquet(tmp_path / "hf/data/a-0.parquet", rows[:13], NAMES)
    write_parquet(tmp_path / "hf/data/a-1.parquet", rows[13:], NAMES)
    (tmp_path / "hf/README.md").write_text("a dataset")
    with Spool(tmp_path / "spool") as spool:
        listing = listed(tmp_path / "hf", spool=spool)
        assert listing.classes == tuple(NAMES) and not listing.ordered
        assert listing.paths[:2] == ["a-0.parquet!/0/00.jpg", "a-0.parquet!/1/01.jpg"]
        assert listing.paths[13] == "a-1.parquet!/0/03.jpg"
        images = list(listing.store.read_many(entries(listing, listing.keys)))
        assert [image.data for image in images if isinstance(image, Image)] == [data for data, _, _ in rows]
        assert [label for (label,) in listing.labels] == [label for _, _, label in rows]
    assert not (tmp_path / "spool").exists()


def test_a_dry_run_lists_the_same_and_spools_nothing(photos: Path, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", rows_of(photos, NAMES), NAMES)
    with Spool(tmp_path / "spool") as spool:
        full = listed(tmp_path / "a.parquet", spool=spool)
    dry = listed(tmp_path / "a.parquet")
    assert (dry.paths, dry.labels, dry.classes) == (full.paths, full.labels, full.classes)
    assert told(dry) == {"table-columns": "image=image, label=label"}


def test_labels_are_numbers_words_or_names_of_numbers(photos: Path, tmp_path: Path) -> None:
    write_parquet(tmp_path / "words.parquet", rows_of(photos))
    assert listed(tmp_path / "words.parquet").classes == ("ant", "bee", "cat")
    write_parquet(tmp_path / "numbers.parquet", [(b"x", None, 5), (b"y", None, 2)])
    listing = listed(tmp_path / "numbers.parquet")
    assert listing.classes is None and listing.labels == [(5.0,), (2.0,)]
    assert listing.paths == ["numbers.parquet!/0", "numbers.parquet!/1"]
    write_parquet(tmp_path / "several.parquet", [(b"x", None, 1), (b"y", None, 0)], x=[0.5, 2.0])
    listing = listed(tmp_path / "several.parquet", label_column=["label", "x"])
    assert listing.labels == [(1.0, 0.5), (0.0, 2.0)]


def test_rows_without_an_image_or_a_label_are_rejects(tmp_path: Path) -> None:
    rows = [(b"x", "a.jpg", 0), (None, None, 1), (b"y", "../../b\tc.jpg", -1), (b"", "c/../d.jpg", 2), (b"z", "..", 1)]
    write_parquet(tmp_path / "a.parquet", rows, NAMES)
    with Spool(tmp_path / "spool") as spool:
        listing = listed(tmp_path / "a.parquet", spool=spool)
    assert listing.paths == ["a.parquet!/0/a.jpg", "a.parquet!/3/d.jpg", "a.parquet!/4"]
    assert [(each.entry.key, each.code, each.reason.rpartition("row ")[2]) for each in listing.rejects] == [
        (1, "missing", "1 holds no image"),
        (2, "no-label", "2 has label -1, which stands for none"),
    ]


def test_splits_by_file_names_or_a_column(photos: Path, tmp_path: Path) -> None:
    rows = rows_of(photos, NAMES)
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001", "validation-00000-of-00001"):
        write_parquet(tmp_path / f"hf/{name}.parquet", rows, NAMES)
    listing = listed(tmp_path / "hf")
    assert listing.own_splits is not None and listing.own_splits.names == ("train", "validation", "test")
    assert [list(listing.own_splits.rows).count(number) for number in range(3)] == [60, 30, 30]
    assert told(listing)["table-columns"].endswith("splits by the files' names: train, validation, test")
    assert listed(tmp_path / "hf", split_column="none").own_splits is None
    assert listed(tmp_path / "hf/train-*.parquet").own_splits is None
    write_parquet(tmp_path / "b.parquet", rows[:4], NAMES, split=["a", "b", "b", "a"])
    listing = listed(tmp_path / "b.parquet")
    assert listing.own_splits is not None and list(listing.own_splits.rows) == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["d/train.parquet", "d/test.parquet"], {"train", "test"}),
        (["train-0.parquet", "train-1.parquet", "val_0.parquet"], {"train", "val"}),
        (["train-00000-of-00001-0a1b2c3d.parquet", "extra-00000-of-00001.parquet"], {"train", "extra"}),
        (["train-0.parquet", "train-1.parquet"], set()),
        (["train.parquet", "more.parquet"], set()),
        (["a-00000-of-00001.parquet", "b-00000-of-00001.parquet"], set()),
    ],
)
def test_names_that_tell_splits(names: list[str], splits: set[str]) -> None:
    assert set(split_names(names).values()) == splits


def test_numbers_with_other_names_are_joined_by_name(photos: Path, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", rows_of(photos, NAMES)[::10], NAMES)
    write_parquet(tmp_path / "b.parquet", [(b"x", None, 1)], ["dog", "cat"])
    one_set = listed(tmp_path / "[ab].parquet")
    assert one_set.classes == ("ant", "bee", "cat")
    assert [label for (label,) in one_set.labels] == [0, 1, 2, 2]
    splits = (("train", str(tmp_path / "a.parquet")), ("val", str(tmp_path / "b.parquet")))
    listing = listed(splits=splits)
    assert listing.classes == ("ant", "bee", "cat")
    assert [label for (label,) in listing.labels] == [0, 1, 2, 2]
    beside_a_folder = listed(tmp_path / "a.parquet", photos)
    assert beside_a_folder.classes == ("ant", "bee", "cat")
    assert [label for (label,) in beside_a_folder.labels[:4]] == [0, 1, 2, 0]
    (tmp_path / "classes.txt").write_text("bee\ncat\nant\n")
    known = listed(tmp_path / "a.parquet", classes=tmp_path / "classes.txt")
    assert [label for (label,) in known.labels] == [2, 0, 1]


def test_a_table_of_paths_in_parquet(photos: Path) -> None:
    table = pa.table({"file_name": ["ant/00.jpg", "cat/01.jpg"], "label": pa.array(["x", "y"]).dictionary_encode()})
    pq.write_table(table, photos / "list.parquet")
    listing = listed(photos / "list.parquet")
    assert listing.paths == ["ant/00.jpg", "cat/01.jpg"] and listing.classes == ("x", "y") and min(listing.sizes) > 0
    assert listed(photos).classes == ("ant", "bee", "cat")  # where it does not make the folder a table
    pq.write_table(pa.table({"id": [7, 8], "label": [1.5, None]}), photos / "list.parquet")
    write_picture(photos / "7.png", 1)
    listing = listed(photos / "list.parquet")
    assert listing.paths == ["7.png"] and listing.labels == [(1.5,)]
    assert "list.parquet, row 1 has no label" in listing.rejects[0].reason


def test_what_cannot_be_read_is_refused_in_one_line(photos: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.parquet"
    write_parquet(good, rows_of(photos, NAMES), NAMES)
    data = good.read_bytes()

    def refused(said: str, kind: type[GpuPackError] = SourceError, *sources: Path, **options: Any) -> None:
        with pytest.raises(kind, match=said) as caught, Spool(tmp_path / "spool") as spool:
            listed(*sources, spool=spool, **options)
        assert "\n" not in str(caught.value)

    bad = tmp_path / "bad.parquet"
    for damaged in (data[:-100], data[:4], data[:-8] + b"\xff\xff\xff\x7fPAR1", b"PAR1" + bytes(100) + b"PAR1"):
        bad.write_bytes(damaged)
        refused("bad.parquet: no Parquet that can be read, or damaged", SourceError, bad)
    bad.write_bytes(data[:4] + bytes(60) + data[64:])  # a page's header
    refused("bad.parquet: no Parquet that can be read, or damaged", SourceError, bad)
    write_parquet(bad, [(b"x", None, 3)], NAMES)
    refused("row 0: label 3 is none of the 3 names in its schema", SourceError, bad)
    refused(
        r"image_key=x \(--image-key\): .* has no such column of images; it has 'image'", UsageError, good, image_key="x"
    )
    refused(r"label_column=x \(--label-column\)", UsageError, good, label_column="x")
    write_parquet(bad, [(b"x", None, 1)], img=pa.array([b"y"], pa.binary()))
    refused("'image', 'img' may each be the column of images", SourceError, bad)
    assert listed(bad, image_key="img").paths == ["bad.parquet!/0"]
    pq.write_table(pa.table({"image": pa.array([b"y"])}), bad)
    refused("no column of labels: it has no columns of text or numbers at all", SourceError, bad)
    refused("it has no column 'label', and .*good.parquet has", SourceError, good, bad)
    pq.write_table(pa.table({"path": ["a"], "label": [1]}), bad)
    refused("none of its columns holds images; .*--source-format table", SourceError, bad, source_format="parquet")
    (tmp_path / "empty.parquet").write_bytes(b"")
    refused("empty.parquet", SourceError, tmp_path / "empty.parquet")


def test_no_room_for_the_images(photos: Path, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", rows_of(photos, NAMES), NAMES)
    asked: list[int] = []

    class Watched(Spool):
        def reserve(self, needed: int, what: str) -> None:
            asked.append(needed)
            super().reserve(needed, what)

    with Watched(tmp_path / "spool") as spool:
        listed(tmp_path / "a.parquet", spool=spool)
    images = sum(len(data) for data, _, _ in rows_of(photos) if data)
    assert len(asked) == 1 and images <= asked[0] < images * 2  # with what pages hold besides


def test_two_numbers_of_one_name_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", [(b"x", None, 1), (b"y", None, 2)], ["ant", "cat", "cat"])
    with pytest.raises(SourceError, match="numbers 1 and 2 of column 'label' have the same name, 'cat'"):
        listed(tmp_path / "a.parquet")


def test_label_vectors_of_several_lengths_are_refused_also_between_files(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x/a.parquet", [(b"x", None, [1, 2]), (b"y", None, [3, 4])])
    write_parquet(tmp_path / "x/b.parquet", [(b"z", None, [1, 2]), (b"u", None, [3])])
    with pytest.raises(SourceError, match=r"b.parquet, row 1: 1 label values, and .*a.parquet, row 0 has 2"):
        listed(tmp_path / "x")
