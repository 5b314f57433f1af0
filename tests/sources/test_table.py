"""Tables of paths and labels, as sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpu_pack.errors import GpuPackError, SourceError, UsageError
from gpu_pack.sources.listing import Listing
from tests.folders import write_picture
from tests.sources.listings import list_one

TEXT = "path,label\na.jpg,cat\nsub/b c.png,dog\na.jpg,ant\n"
ROWS = [(0, (1.0,), "a.jpg"), (1, (2.0,), "sub/b c.png"), (2, (0.0,), "a.jpg")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.jpg", "sub/b c.png", "7.jpeg")):
        write_picture(tmp_path / name, number)
    return tmp_path


def read(folder: Path, text: str | bytes, name: str = "my.csv", **options: Any) -> Listing:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list_one(path, **options)


def rows(listing: Listing) -> list[tuple[int, tuple[float, ...], str]]:
    return list(zip(listing.keys, listing.labels, listing.paths, strict=True))


def told(listing: Listing) -> dict[str, str]:
    return {notice.code: notice.example for notice in listing.notices}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("my.csv", TEXT),
        ("my.csv", TEXT.replace("\n", "\r\n")),
        ("my.csv", b"\xef\xbb\xbf" + TEXT.encode()),
        ("my.csv", TEXT.encode("utf-16")),
        ("my.csv", TEXT.encode("utf-16-le")),
        ("my.csv", TEXT.replace(",", ";")),
        ("my.csv", TEXT.replace(",", ", ")),
        ("my.tsv", TEXT.replace(",", "\t") + "\n\n"),
        ("my.csv", 'note,label,path\n"one, ""two""\nthree",cat,a.jpg\n,dog,"sub/b c.png"\n4,ant,a.jpg\n'),
        ("my.csv", ",path,label\n0,a.jpg,cat\n1,sub\\b c.png,dog\n2,a.jpg,ant\n"),
        ("my.jsonl", "".join(json.dumps({"file_name": path, "class": label}) + "\n" for path, label in
                             (("a.jpg", "cat"), ("sub/b c.png", "dog"), ("a.jpg", "ant")))),
    ],
)  # fmt: skip
def test_text_tables_of_every_dialect(root: Path, name: str, text: str | bytes) -> None:
    listing = read(root, text, name)
    assert rows(listing) == ROWS and listing.classes == ("ant", "cat", "dog") and listing.ordered
    assert min(listing.sizes) > 0 and "table-columns" in told(listing)


def test_the_only_other_column_has_the_labels_where_they_recur(root: Path) -> None:
    listing = read(root, "id,breed\na,pug\n7,collie\na,pug\n")
    assert listing.classes == ("collie", "pug") and rows(listing)[1] == (1, (0.0,), "7.jpeg")
    assert any("path=id, label=breed" in notice.message for notice in listing.notices)
    with pytest.raises(SourceError, match="none of its columns, 'id', 'caption', has a usual name for labels"):
        read(root, "id,caption\na,a pug\n7,a collie\n")


@pytest.mark.parametrize(
    ("labels", "values"),
    [
        (["3", "0", "12"], [(3.0,), (0.0,), (12.0,)]),
        (["0.5", "-1e3", "2.0"], [(0.5,), (-1000.0,), (2.0,)]),
        ([3, 0.25, True], [(3.0,), (0.25,), (1.0,)]),
        ([[1, 0], [0.5, 2], [0, 1]], [(1.0, 0.0), (0.5, 2.0), (0.0, 1.0)]),
    ],
)
def test_numbers_stay_as_they_are(root: Path, labels: list[Any], values: list[tuple[float, ...]]) -> None:
    text = "".join(json.dumps({"path": "a.jpg", "label": label}) + "\n" for label in labels)
    listing = read(root, text, "my.jsonl")
    assert listing.labels == values and listing.classes is None


def test_an_image_without_a_label_is_a_reject(root: Path) -> None:
    listing = read(root, "path,label\na.jpg,cat\na.jpg,\nsub/b c.png,nan\n7.jpeg,ant\n")
    assert [path for _, _, path in rows(listing)] == ["a.jpg", "7.jpeg"] and list(listing.keys) == [0, 3]
    assert [(each.entry.key, each.code, each.entry.labels) for each in listing.rejects] == [
        (1, "no-label", ()),
        (2, "no-label", ()),
    ]
    assert f"{root / 'my.csv'}:3 has no label" in listing.rejects[0].reason


def test_several_label_columns_are_a_vector(root: Path) -> None:
    text = "image,x,y,z\na.jpg,1,0,0.5\nsub/b c.png,0,1,2\n"
    listing = read(root, text, label_column=("x", "z"))
    assert listing.labels == [(1.0, 0.5), (0.0, 2.0)]
    assert told(listing) == {"table-columns": "path=image, label=x, z"}
    with pytest.raises(SourceError, match="no column of labels, and 3 columns of numbers, 'x', 'y', 'z': name those"):
        read(root, text)
    with pytest.raises(SourceError, match=r"my.csv:2: 'a.jpg' in column 'image' is no number, and several label"):
        read(root, text, label_column=("x", "image"), path_column="image")
    listing = read(root, "image,x,y\na.jpg,1,\na.jpg,1,2\n", label_column=["x", "y"])
    assert len(listing) == 1 and listing.rejects[0].code == "no-label"


def test_splits_by_a_column_of_few_values(root: Path) -> None:
    text = "path,label,set\na.jpg,cat,train\n7.jpeg,dog,val\nsub/b c.png,dog,train\n"
    listing = read(root, text)
    assert listing.own_splits is not None and listing.own_splits.names == ("train", "val")
    assert list(listing.own_splits.rows) == [0, 1, 0]
    assert told(listing)["table-columns"] == "path=path, label=label, split=set"
    assert read(root, text, split_column="none").own_splits is None
    assert read(root, text.replace("set", "fold")).own_splits is None
    named = read(root, text.replace("set", "fold"), split_column="fold", path_column="path", label_column="label")
    assert named.own_splits is not None and "table-columns" not in told(named)
    many = "path,label,set\n" + "".join(f"a.jpg,1,{number}\n" for number in range(11))
    assert read(root, many).own_splits is None
    with pytest.raises(SourceError, match=r"my.csv:3: no split in column 'set': fill it, or leave"):
        read(root, "path,label,set\na.jpg,1,train\na.jpg,1,\n", split_column="set")
    with pytest.raises(SourceError, match="'a/b' in column 'set' cannot name a split"):
        read(root, "path,label,set\na.jpg,1,a/b\n", split_column="set")
    many = "path,label,set\n" + "a.jpg,1,train\n" * 1000 + "".join(f"a.jpg,1,{number}\n" for number in range(101))
    with pytest.raises(SourceError, match="column 'set' names over 100 splits"):
        read(root, many)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("", r"my.csv:3: no split in column 'split': fill it, or leave .*\(--split-column none\)"),
        ("hold out", r"my.csv:3: 'hold out' in column 'split' cannot name a split: .*\(--split-column none\)"),
        ("../x", r"my.csv:3: '../x' in column 'split' cannot name a split"),
    ],
)
def test_a_column_with_a_usual_split_is_never_left_alone_silently(root: Path, cell: str, said: str) -> None:
    text = f"path,label,split\na.jpg,1,Test\na.jpg,1,{cell}\n"
    with pytest.raises(SourceError, match=said):
        read(root, text)
    assert read(root, text, split_column="none").own_splits is None
    assert read(root, text.replace("Test", "x y")).own_splits is None


def test_file_names_may_lack_their_suffix(root: Path) -> None:
    listing = read(root, "id,label\na,cat\n7,dog\nsub/b c,cat\nnone,dog\n")
    assert listing.paths == ["a.jpg", "7.jpeg", "sub/b c.png", "none"] and listing.sizes[3] == -1
    assert read(root, '{"id": 7, "label": "x"}\n', "my.jsonl").paths == ["7.jpeg"]


def test_the_root_and_what_is_outside_of_it(root: Path) -> None:
    (root / "tables").mkdir()
    with pytest.raises(
        SourceError, match=r"none of its files is there, such as 'a.jpg' below .*tables/?: root \(--root\)"
    ):
        read(root / "tables", TEXT)
    assert rows(read(root / "tables", TEXT, root=root)) == ROWS
    with pytest.raises(SourceError, match=r"my.csv:2: '../a.jpg' has '..' in it"):
        read(root / "tables", "path,label\n../a.jpg,1\n")
    with pytest.raises(SourceError, match=r"my.csv:2: '.*a.jpg' leads out of"):
        read(root / "tables", f"path,label\n{root / 'a.jpg'},1\n")
    outside = read(root / "tables", "path,label\n../a.jpg,1\n", allow_outside=True)
    assert outside.paths == ["../a.jpg"] and outside.sizes[0] > 0
    with pytest.raises(SourceError, match="nowhere: no such folder; root"):
        read(root, TEXT, root=root / "nowhere")


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", {}, "the table is empty"),
        ("path,label\n", {}, "the table has no rows"),
        ("0,1,a.jpg\n1,0,a.jpg\n", {}, "names no columns: put a header line above it.*--list-format csv"),
        ("1,2\n", {}, "names no columns"),
        ("url,label\nhttp://x/a.jpg,1\n", {}, "none of its columns, 'url', 'label', has a usual name for paths"),
        ("path,note\na.jpg,x\n", {}, "none of its columns, 'path', 'note', has a usual name for labels"),
        ("image,file,label\na,b,1\n", {}, r"'image', 'file' may each be the column of paths: name it, .*--path-column"),
        ("path,class,label\na,b,1\n", {}, r"'class', 'label' may each be the column of labels"),
        ("path,path,label\na,b,1\n", {}, r"'path', 'path' may each be"),
        ("path,label\na.jpg\n", {}, "my.csv:2: 1 field, and the header names 2 columns"),
        ("path,label\na.jpg,1,2\n", {}, "my.csv:2: 3 fields, and the header names 2 columns"),
        ('path,label\n"a.jpg,1\n', {}, "my.csv:2: unexpected end of data"),
        ("path,label\n,1\n", {}, "my.csv:2: no path in column 'path'"),
        ("path,label\na.jpg,16777217\n", {}, "my.csv:2: label '16777217' would become 16777216"),
        ("path,label\na.jpg,1\na.jpg,cat\n", {}, "some labels are names of classes, such as 'cat', and others numbers"),
        ('{"path": "a.jpg", "label": 1}\n{"path"\n', {}, "my.csv:2: the line is not JSON"),
        ('{"path": "a.jpg", "label": 1}\n[1]\n', {}, "my.csv:2: the line is not a JSON object"),
        ('{"path": "a.jpg", "label": {"a": 1}}\n', {}, "my.csv:1: a label is a number or a word"),
        ('{"path": "a.jpg", "label": ["a"]}\n', {}, "my.csv:1: a list in column 'label' that is no list of numbers"),
        ('[{"path": "a.jpg", "label": 1}]\n', {}, "of JSON only lines are read"),
        (TEXT.encode("utf-16")[:-1], {}, "this is no utf-16 text"),
        (TEXT, {"path_column": "where"}, r"path_column=where \(--path-column\): .* has no such column; it has 'path'"),
        (TEXT, {"label_column": ("label", "x")}, r"label_column=x \(--label-column\)"),
        (TEXT, {"split_column": "x"}, r"split_column=x \(--split-column\)"),
        (TEXT, {"image_key": "x"}, "is about webdataset, parquet sources, and .* is a table"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_one_line(root: Path, text: str | bytes, options: Any, said: str) -> None:
    with pytest.raises(GpuPackError, match=said) as caught:
        read(root, text, **options)
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


def test_options_about_tables_are_refused_elsewhere(root: Path) -> None:
    with pytest.raises(UsageError, match=r"path_column=x \(--path-column\) is about table sources, and .* is a folder"):
        list_one(root / "sub", path_column="x")


def test_known_classes_decide_the_numbers(root: Path) -> None:
    assert read_with(root, ("dog", "cat", "ant")).labels == [(1.0,), (0.0,), (2.0,)]
    with pytest.raises(SourceError, match="class 'ant' is not among the 2 names"):
        read_with(root, ("dog", "cat"))


def read_with(root: Path, classes: tuple[str, ...]) -> Listing:
    (root / "my.csv").write_text(TEXT)
    return list_one(root / "my.csv", classes)


@pytest.mark.parametrize("start", ["/9j/", "iVBOR"])
def test_pictures_in_base64_are_not_shown_whole(root: Path, start: str) -> None:
    with pytest.raises(SourceError, match=f"'{start}A+'[.][.][.] ") as caught:
        read(root, f"image,label\n{start}{'A' * 5000},1\n")
    assert len(str(caught.value)) < 500


def test_label_vectors_of_several_lengths_are_refused(root: Path) -> None:
    text = "".join(json.dumps({"path": "a.jpg", "label": label}) + "\n" for label in ([1, 2], None, [3, 4], [5]))
    with pytest.raises(SourceError, match=r"my.jsonl:4: 1 label values, and .*my.jsonl:1 has 2: all rows need as many"):
        read(root, text, "my.jsonl")
