"""Labels of a flat folder, from a file beside it, and names for numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gpu_pack.errors import GpuPackError, SourceError, UsageError
from gpu_pack.sources.list_source import list_source
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool
from tests.folders import write_picture


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Four images and a text file."""
    for number, name in enumerate(("a.jpg", "b.png", "c.jpg", "d.jpg")):
        write_picture(tmp_path / "flat" / name, number)
    (tmp_path / "flat/notes.txt").write_text("x")
    return tmp_path / "flat"


def read(flat: Path, text: str | bytes, name: str = "labels.txt", **options: Any) -> Listing:
    path = flat.parent / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return listed(flat, labels=path, **options)


def listed(*sources: Path, splits: Sequence[tuple[str, str]] = (), **options: Any) -> Listing:
    return list_source([str(source) for source in sources], SourceOptions(**options), Spool(None), splits)


def labelled(listing: Listing) -> dict[str, Any]:
    return {
        path: values[0] if len(values) == 1 else values
        for path, values in zip(listing.paths, listing.labels, strict=True)
    }


@pytest.mark.parametrize(
    "text", ["3\n0\n2\n3\n", "3\r\n0\r\n\r\n2\r\n3", "\ufeff3\n0\n2\n3\n", "3\n0\n2\n3\n".encode("utf-16")]
)
def test_a_line_for_each_image_in_sorted_order(flat: Path, text: str | bytes) -> None:
    listing = read(flat, text)
    assert labelled(listing) == {"a.jpg": 3, "b.png": 0, "c.jpg": 2, "d.jpg": 3}
    assert listing.classes is None and not listing.notices


def test_words_become_classes(flat: Path) -> None:
    listing = read(flat, "kit fox\nant\ncat, wild\nant\n")
    assert listing.classes == ("ant", "cat, wild", "kit fox")
    assert labelled(listing) == {"a.jpg": 2, "b.png": 0, "c.jpg": 1, "d.jpg": 0}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.csv", "id,label\nd,cat\na,dog\nb,ant\nc,dog\n"),
        ("l.csv", "file_name,label\nd.jpg,cat\na.jpg,dog\nb.png,ant\nc.jpg,dog\n"),
        ("l.txt", "image\tclass\nx/d.jpg\tcat\nx/a.jpg\tdog\n./b.png\tant\nx\\c.jpg\tdog\n"),
        ("l.jsonl", "".join(json.dumps({"path": path, "label": label}) + "\n" for path, label in
                            (("d", "cat"), ("a", "dog"), ("b", "ant"), ("c", "dog")))),
        ("l.txt", "d.jpg cat\na.jpg dog\nb.png ant\n\nc.jpg dog\n"),
        ("l.csv", "d.jpg,cat\na.jpg,dog\nb.png,ant\nc.jpg,dog\n"),
        ("l.csv", "breed,where\ncat,d\ndog,a\nant,b\ndog,c\n"),
    ],
)  # fmt: skip
def test_a_table_by_file_name(flat: Path, name: str, text: str) -> None:
    columns = {"path_column": "where", "label_column": "breed"} if "breed" in text else {}
    listing = read(flat, text, name, **columns)
    assert listing.classes == ("ant", "cat", "dog") and not listing.rejects
    assert labelled(listing) == {"a.jpg": 2, "b.png": 0, "c.jpg": 2, "d.jpg": 1}


def test_a_vector_by_file_name(flat: Path) -> None:
    listing = read(flat, "id,x,y\na,1,0\nb,0,1\nc,1,1\nd,0,0.5\n", "l.csv", label_column=["x", "y"])
    assert labelled(listing)["d.jpg"] == (0.0, 0.5)


def test_images_without_a_row_and_rows_without_an_image(flat: Path) -> None:
    listing = read(flat, "id,label\na,1\nz,2\nd,\ny,1\n", "l.csv")
    assert labelled(listing) == {"a.jpg": 1}
    assert [(each.entry.path, each.code) for each in listing.rejects] == [
        ("b.png", "no-label"), ("c.jpg", "no-label"), ("d.jpg", "no-label"),
    ]  # fmt: skip
    assert "no label for it in" in listing.rejects[0].reason
    assert [(each.code, each.count, each.example) for each in listing.notices] == [
        ("table-columns", 1, "path=id, label=label"),
        ("labels-unused", 2, "z"),
    ]


def test_lines_in_an_order_that_may_be_another_one(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        write_picture(tmp_path / f"flat/{number}.jpg", number)
    listing = read(tmp_path / "flat", "5\n6\n7\n")
    assert labelled(listing) == {"1.jpg": 5, "10.jpg": 6, "2.jpg": 7}
    assert [(each.code, each.level, each.example) for each in listing.notices] == [
        ("label-order", "warning", "10.jpg before 2.jpg")
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.txt", "1\n2\n3\n", "l.txt: labels for 3 images, a line each, and .*flat has 4"),
        ("l.txt", "1\n", "l.txt: labels for 1 images, a line each, and .*flat has 4"),
        ("l.txt", "1\n2\n3\n4\n5\n6\n", "l.txt: labels for 6 images, a line each, and .*flat has 4"),
        ("l.txt", "", "l.txt: labels for 0 images, a line each, and .*flat has 4"),
        ("l.txt", "1\n2\n3\n99999999\n", "l.txt:4: label '99999999' would become"),
        ("l.txt", "1\n2\n3 4\n4\n", r"l.txt:3: 2 numbers, '3 4', where one label is: .*\(--label-column\)"),
        ("l.txt", "1,0,.5\n1\n1\n1\n", r"l.txt:1: 3 numbers, '1,0,.5', where one label is"),
        ("l.txt", "a.jpg 1 2\n", r"l.txt:1: 2 numbers, '1 2', where one label is"),
        ("l.txt", "1\ninf\n3\n4\n", "l.txt:2: label 'inf' is not a finite number"),
        ("l.csv", "id,label\na,-Infinity\n", "l.csv:2: label '-Infinity' is not a finite number"),
        ("l.txt", "1\n2\n3\ncat\n", "some labels are names of classes, such as 'cat', and others numbers"),
        ("l.csv", "id,label\nx,1\n", "l.csv: it names none of the images of .*flat, such as 'a.jpg'; it names 'x'"),
        ("l.csv", "id,label\na,1\na,2\n", "l.csv:3: 'a' has another label on an earlier row"),
        ("l.csv", "id,label\nx/a,1\ny/a,2\n", "several rows are about 'a', in other folders, and a.jpg is in none"),
        ("l.csv", "label\n1\n", "none of its columns, 'label', has a usual name for paths"),
        ("l.txt", "a.jpg cat\nb\n", "l.txt:2: no name of an image and a label, as the first line has"),
        ("l.csv", "id,label\n,1\n", "l.csv:2: no file name"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line(flat: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read(flat, text, name)
    assert "\n" not in str(caught.value)


def test_sources_that_have_labels(flat: Path, photos: Path) -> None:
    labels = flat.parent / "labels.txt"
    labels.write_text("1\n2\n3\n4\n")
    with pytest.raises(UsageError, match=r"labels=.* \(--labels\): .*photos has labels of its own"):
        listed(photos, labels=labels)
    (flat.parent / "my.lst").write_text("0\t1\tflat/a.jpg\n")
    with pytest.raises(UsageError, match=r"my.lst has labels of its own"):
        listed(flat.parent / "my.lst", labels=labels)
    with pytest.raises(SourceError, match=r"none.txt"):
        listed(flat, labels="none.txt")


def test_options_that_cannot_be_right(flat: Path) -> None:
    with pytest.raises(UsageError, match=r"labels=val=x \(--labels\): there is no split 'val' with a source"):
        listed(flat, labels=["val=x"])
    with pytest.raises(
        UsageError, match=r"labels=y \(--labels\): another file has the labels of split 'val' already|=x"
    ):
        SourceOptions(labels=("val=x", "val=y"))
    with pytest.raises(UsageError, match="labels=3"):
        SourceOptions(labels=3)  # type: ignore[arg-type]
    assert SourceOptions(labels={"val": Path("a=b")}).labels == (("val", "a=b"),)  # type: ignore[arg-type]
    assert SourceOptions(labels=Path("dir/a=b")).labels == ((None, "dir/a=b"),)  # type: ignore[arg-type]


# ---- names for numbers


def test_imagenet_in_one_command(flat: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("n01440764", "n02119789", "n01443537")):
        write_picture(tmp_path / "train" / name / "1.jpg", number)
    (tmp_path / "truth.txt").write_text("2\n1\n3\n1\n")
    (tmp_path / "names.txt").write_text("n02119789 1 kit_fox\nn01440764 2 tench\nn01443537 3 goldfish\nn09999999 4 x\n")
    splits = (("train", str(tmp_path / "train")), ("val", str(flat)))
    options = {"labels": [f"val={tmp_path / 'truth.txt'}"], "class_names": tmp_path / "names.txt"}
    listing = listed(splits=splits, **options)
    assert listing.classes == ("n01440764", "n01443537", "n02119789")
    assert [label for (label,) in listing.labels] == [0, 1, 2, 0, 2, 1, 2]
    (tmp_path / "classes.txt").write_text("n02119789\nn01443537\nn01440764\n")
    later = listed(
        flat, labels=tmp_path / "truth.txt", class_names=tmp_path / "names.txt", classes=tmp_path / "classes.txt"
    )
    assert [label for (label,) in later.labels] == [2, 0, 1, 0]


@pytest.mark.parametrize(
    ("labels", "names", "said"),
    [
        ("1\n2\n3\n4\n", "a\nb\nc\nd\n", "label 4 is none of the 4 numbers that .*names.txt names, 0 to 3, as"),
        ("1\n2\n3\n9\n", "1 a\n2 b\n3 c\n", "label 9 is none of the 3 numbers that .*names.txt names$"),
        ("1\n2\n3\n0.5\n", "1 a\n2 b\n3 c\n", "label 0.5 is none of the 3 numbers"),
        ("x\ny\ny\nx\n", "1 a\n2 b\n", r"class_names=.* \(--class-names\): no label of the sources is a number"),
    ],
)  # fmt: skip
def test_numbers_without_a_name(flat: Path, labels: str, names: str, said: str) -> None:
    (flat.parent / "names.txt").write_text(names)
    with pytest.raises(GpuPackError, match=said):
        read(flat, labels, class_names=flat.parent / "names.txt")


def test_names_for_the_numbers_of_a_list(flat: Path) -> None:
    (flat.parent / "my.lst").write_text("7\t1\tflat/a.jpg\n8\t0\tflat/b.png\n")
    (flat.parent / "names.txt").write_text("zebra\nant\n")
    listing = listed(flat.parent / "my.lst", class_names=flat.parent / "names.txt")
    assert listing.classes == ("ant", "zebra") and labelled(listing) == {"flat/a.jpg": 0, "flat/b.png": 1}
    (flat.parent / "my.lst").write_text("7\t1\t2\tflat/a.jpg\n")
    with pytest.raises(SourceError, match=r"flat/a.jpg has 2 label values, and .* names single numbers"):
        listed(flat.parent / "my.lst", class_names=flat.parent / "names.txt")


@pytest.mark.parametrize("name", ["classes", "class_names"])
def test_small_files_are_read_from_this_machine(name: str) -> None:
    for given in ("s3://bucket/names.txt", Path("s3://bucket/names.txt")):
        with pytest.raises(UsageError, match=r"is read from this machine: copy the file here"):
            SourceOptions(**{name: given})  # type: ignore[arg-type]
