"""Lists as people have them: read where they can mean one thing only, otherwise refused with what was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_pack.errors import ListError, UsageError
from gpu_pack.sources.listing import Listing
from tests.folders import write_picture
from tests.sources.listings import list_one

PLAIN = "3\t1\ta.jpg\n5\t0\tsub/b c.jpg\n7\t2\ta.jpg\n"
ROWS = [(3, (1.0,), "a.jpg"), (5, (0.0,), "sub/b c.jpg"), (7, (2.0,), "a.jpg")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.jpg", "sub/b c.jpg")):
        write_picture(tmp_path / name, number)
    return tmp_path


def read(folder: Path, text: str | bytes, **options: object) -> Listing:
    path = folder / "my.lst"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list_one(path, **options)


def rows(listing: Listing) -> list[tuple[int, tuple[float, ...], str]]:
    return list(zip(listing.keys, listing.labels, listing.paths, strict=True))


def told(listing: Listing) -> dict[str, str]:
    return {notice.code: notice.example for notice in listing.notices}


@pytest.mark.parametrize("text", [PLAIN, PLAIN.replace("\n", "\r\n"), "\n" + PLAIN, b"\xef\xbb\xbf" + PLAIN.encode()])
@pytest.mark.parametrize("asked", ["auto", "mxnet"])
def test_a_list_as_im2rec_writes_it_needs_no_note(root: Path, text: str | bytes, asked: str) -> None:
    listing = read(root, text, list_format=asked)
    assert rows(listing) == ROWS and not listing.notices
    assert min(listing.sizes) > 0


@pytest.mark.parametrize(
    ("text", "as_"),
    [
        (PLAIN.encode("utf-16"), "key, label, path separated by tabs in UTF-16"),
        (PLAIN.encode("utf-16-be"), "key, label, path separated by tabs in UTF-16-BE"),
        (PLAIN.encode("utf-16-le"), "key, label, path separated by tabs in UTF-16-LE"),
        (PLAIN.encode("utf-32"), "key, label, path separated by tabs in UTF-32"),
        (PLAIN.replace("\t", ","), "key, label, path separated by commas"),
        (PLAIN.replace("\t", ", "), "key, label, path separated by commas"),
        (PLAIN.replace("\t", ";"), "key, label, path separated by semicolons"),
        (PLAIN.replace("\t", " "), "key, label, path separated by blanks"),
        (PLAIN.replace("\t", "   ").replace("5 ", " 5\t"), "key, label, path separated by blanks"),
        ("index\tlabel\tpath\n" + PLAIN, "key, label, path separated by tabs below a header line"),
        ("id,class,file\n" + PLAIN.replace("\t", ","), "key, label, path separated by commas below a header line"),
        ("# key label path\n" + PLAIN, "key, label, path separated by tabs below a header line"),
        (
            '"Index"\t"Label"\t"Path"\n"3"\t"1"\t"a.jpg"\n"5"\t"0"\t"sub/b c.jpg"\n"7"\t"2"\t"a.jpg"\n',
            "key, label, path separated by tabs with quotes below a header line",
        ),
        (
            '"3"\t"1"\t"a.jpg"\n"5"\t"0"\t"sub/b c.jpg"\n"7"\t"2"\t"a.jpg"\n',
            "key, label, path separated by tabs with quotes",
        ),
        (
            '"3" "1" "a.jpg"\n"5" "0" "sub/b c.jpg"\n"7" "2" "a.jpg"\n',
            "key, label, path separated by blanks with quotes",
        ),
        ('3,1,"a.jpg"\n5,0,"sub/b c.jpg"\n7,2,a.jpg\n', "key, label, path separated by commas with quotes"),
        ("3 1 'a.jpg'\n5 0 'sub/b c.jpg'\n7 2 a.jpg\n", "key, label, path separated by blanks"),
        ('3\t1\t"a.jpg"\n5\t0\tsub/b c.jpg\n7\t2\ta.jpg\n', 'paths with quotes around them, as in "a.jpg"'),
    ],
)
def test_dialects_are_read_with_a_note(root: Path, text: str | bytes, as_: str) -> None:
    listing = read(root, text)
    assert rows(listing) == ROWS
    assert told(listing) == {"list-dialect": as_}


def test_several_labels_in_every_dialect(root: Path) -> None:
    for separator in "\t,; ":
        listing = read(root, "0\t1\t-0.5\t2e3\ta.jpg\n1\t2.5\tsub/b c.jpg\n".replace("\t", separator))
        assert rows(listing) == [(0, (1.0, -0.5, 2000.0), "a.jpg"), (1, (2.5,), "sub/b c.jpg")]


@pytest.mark.parametrize("separator", ["\t", ",", " "])
def test_insightface_lists(root: Path, separator: str) -> None:
    text = "1\ta.jpg\t4\n1\tsub/b c.jpg\t0\n".replace("\t", separator)
    listing = read(root, text)
    assert rows(listing) == [(0, (4.0,), "a.jpg"), (1, (0.0,), "sub/b c.jpg")]
    assert told(listing)["list-dialect"].startswith("aligned, path, label separated by")
    listing = read(root, text.replace("1", "0", 1))
    assert told(listing)["faces-unaligned"] == "a.jpg" and len(listing) == 2


def test_backslashes_are_separators_where_only_that_path_exists(root: Path) -> None:
    write_picture(root / "odd\\name.jpg", 1)
    listing = read(root, "0\t0\tsub\\b c.jpg\n1\t0\todd\\name.jpg\n2\t0\tnone\\x.jpg\n")
    assert listing.paths == ["sub/b c.jpg", "odd\\name.jpg", "none\\x.jpg"]
    assert listing.sizes[2] == -1
    assert [(each.code, each.count, each.example) for each in listing.notices] == [
        ("list-backslashes", 1, "sub\\b c.jpg")
    ]
    listing = read(root, '0,1,"sub\\b c.jpg"\n')
    assert listing.paths == ["sub/b c.jpg"] and told(listing).keys() == {"list-dialect", "list-backslashes"}


def test_backslashes_do_not_lead_out_of_the_root(root: Path) -> None:
    (root / "inner").mkdir()
    with pytest.raises(ListError, match=r"my.lst:1: '../a.jpg' has '..' in it"):
        read(root, "0\t0\t..\\a.jpg\n", root=root / "inner")
    listing = read(root, "0\t0\t..\\a.jpg\n", root=root / "inner", allow_outside=True)
    assert listing.paths == ["../a.jpg"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.jpg,1\nb.jpg,0\n", "2 fields separated by commas: .*--list-format csv reads such lines as key"),
        ("0,cat,a.jpg\n", "3 fields separated by commas: label 'cat' is no number"),
        ("5,a.jpg,1\n6,a.jpg,0\n", "number other than 0 and 1, a path and a number: --list-format aligned"),
        (
            "label,id,path\n1,2,a.jpg\n",
            "its header line says label, id, path: --list-format csv reads it as key, label",
        ),
        (",path,label\n0,a.jpg,1\n1,a.jpg,0\n", "its header line says , path, label: --list-format aligned reads"),
        ("a.jpg\nb.jpg\n", "1 field, and a line needs"),
        ("x\t1\ta.jpg\n1\t1\ta.jpg\n2\t1\ta.jpg", "my.lst:1: key 'x' is no whole number"),
        ("0,1,a.jpg\n1,1,a.jpg\n2,x,a.jpg", "my.lst:3: label 'x' is no number"),
        ("0,1,a.jpg\n0,1,a.jpg\n", "my.lst:2: key 0 is on an earlier line"),
        ("1,a.jpg,0\n1,a.jpg,0\n1,a.jpg\n", "my.lst:3: 2 fields, and a line needs aligned, path, label"),
        ("index,label,path\n", "my.lst:1: 3 fields separated by commas"),
        ("\ufeff0\t1\ta".encode("utf-16")[:-1], "no utf-16 text"),
    ],
)
def test_what_could_mean_several_things_is_refused(root: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(ListError, match=said) as caught:
        read(root, text)
    assert "\n" not in str(caught.value)


def test_the_list_format_settles_it(root: Path) -> None:
    listing = read(root, "5,a.jpg,1\n6,a.jpg,0\n", list_format="aligned")
    assert rows(listing) == [(0, (1.0,), "a.jpg"), (1, (0.0,), "a.jpg")]
    listing = read(root, "label,id,path\n1,2,a.jpg\n", list_format="csv")
    assert rows(listing) == [(1, (2.0,), "a.jpg")]
    assert rows(read(root, PLAIN.replace("\t", " "), list_format="mxnet")) == ROWS
    with pytest.raises(ListError, match="separated by tabs, which --list-format mxnet reads"):
        read(root, PLAIN, list_format="csv")


def test_options_about_the_other_kind_of_source(root: Path) -> None:
    (root / "my.lst").write_text(PLAIN)
    for options in ({"layout": "splits"}, {"class_order": "natural"}):
        with pytest.raises(UsageError, match="is about folder"):
            list_one(root / "my.lst", **options)
    with pytest.raises(
        UsageError, match=r"list_format=csv \(--list-format\) is about list sources, and .* is a folder"
    ):
        list_one(root, list_format="csv")
    with pytest.raises(UsageError, match=r"the labels are those of classes \(--classes\)"):
        list_one(root, ("a",), class_order="natural")
    (root / "my.csv").write_text(PLAIN.replace("\t", ","))
    assert rows(list_one(root / "my.csv", list_format="csv")) == ROWS
