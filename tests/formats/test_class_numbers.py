"""Files that give numbers their names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gpu_pack.errors import SourceError
from gpu_pack.formats.class_numbers import read_class_numbers


def read(folder: Path, text: str | bytes, name: str = "names.txt") -> tuple[dict[int, str], bool]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_class_numbers(path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1 n02119789\n2 n02100735\n", {1: "n02119789", 2: "n02100735"}),
        ("\ufeff0, a cat\r\n\r\n7: dog\r\n", {0: "a cat", 7: "dog"}),
        ("n02119789 1 kit_fox\nn02100735 2 English_setter\n", {1: "n02119789", 2: "n02100735"}),
        ("cat,3\ndog,4\n", {3: "cat", 4: "dog"}),
        ('{"0": "cat", "12": "dog"}', {0: "cat", 12: "dog"}),
        ('{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}', {0: "n01440764", 1: "n01443537"}),
    ],
)
def test_numbers_that_are_told(tmp_path: Path, text: str, names: dict[int, str]) -> None:
    assert read(tmp_path, text) == (names, False)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat\nblue whale\n", ["cat", "blue whale"]),
        ("tench, Tinca tinca\n1 dollar\n", ["tench, Tinca tinca", "1 dollar"]),
        ("n01440764 tench, Tinca tinca\nn01443537 goldfish\n", ["n01440764", "n01443537"]),
        ("n01440764\nn01443537\n", ["n01440764", "n01443537"]),
        ('["cat", "dog"]', ["cat", "dog"]),
    ],
)
def test_names_in_order_are_counted_from_0(tmp_path: Path, text: str, names: list[str]) -> None:
    assert read(tmp_path, text) == (dict(enumerate(names)), True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no class names in it"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        ("1 cat\n1 dog\n", "number 1 has two names, 'cat' and 'dog'"),
        ("crane\nmaillot\ncrane\n", "numbers 0 and 2 have the same name, 'crane'"),
        ('{"0": 1}', r'JSON that names numbers is \{"0": NAME, ...\}, and it has 0: 1'),
        ('{"cat": "dog"}', "and it has cat: dog"),
        ('{"0": []}', "and it has 0: "),
        ("{1", "it begins as JSON and is none"),
        ("id,name\n0,a\n1,b\n", r"names.txt:1: 'id,name' has no number, as all lines below have: leave it out if"),
        ("\nid name\n0 a\n1 b\n", r"names.txt:2: 'id name' has no number"),
        ("name\tid\na\t0\nb\t1\n", r"names.txt:1: 'name\\tid' has no number"),
        ("# names\n0 a\n1 b\n", "names.txt:1: '# names' is a comment"),
        ("a\nb\n# c\n", "names.txt:3: '# c' is a comment"),
        ("0 a\n-1 b\n", "names.txt:2: '-1 b' has a negative number: classes have numbers from 0"),
        ("a 0\nb -1\n", "names.txt:2: 'b -1' has a negative number"),
        ("0,a\n1,b\nc\n3,d\n", r"names.txt:3: 'c' has no number, and '0,a' on line 1 has"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read(tmp_path, text)
    with pytest.raises(SourceError, match="cannot be read"):
        read_class_numbers(tmp_path / "none")


def test_the_devkit_of_imagenet(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="needs SciPy: pip install scipy")
    path = tmp_path / "meta.mat"
    write_meta(path, ["n02119789", "n02100735", "n99999999"])
    assert read_class_numbers(path) == ({1: "n02119789", 2: "n02100735", 3: "n99999999"}, False)
    scipy_io.savemat(path, {"other": np.arange(3)})
    with pytest.raises(SourceError, match=r"no meta.mat of ImageNet's devkit"):
        read_class_numbers(path)
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(SourceError, match=r"no meta.mat of ImageNet's devkit"):
        read_class_numbers(path)


def write_meta(path: Path, synsets: list[str]) -> None:
    """meta.mat as the devkit has it: a column of structs, the numbers from 1."""
    from scipy.io import savemat

    fields = [
        "ILSVRC2012_ID",
        "WNID",
        "words",
        "gloss",
        "num_children",
        "children",
        "wordnet_height",
        "num_train_images",
    ]
    table = np.zeros((len(synsets), 1), dtype=[(name, object) for name in fields])
    for number, name in enumerate(synsets):
        table[number, 0] = (np.float64(number + 1), name, "kit fox, Vulpes macrotis", "small", 0.0, [], 0.0, 1300.0)
    savemat(path, {"synsets": table})


def test_json_of_any_shape_is_read_or_refused(tmp_path: Path) -> None:
    for value in ([], {}, [[["a"]]], {"0": {"a": 1}}, [None], {"1e3": "a"}, {"-1": "a"}):
        text = json.dumps(value)
        try:
            read(tmp_path, text)
        except SourceError as error:
            assert "\n" not in str(error)
