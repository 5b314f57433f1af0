"""Members of archives as folders: the same order and the same rules as a folder on a disk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from gpu_pack.sources.folder import find_in_folder
from gpu_pack.sources.found import Facts, Found
from gpu_pack.sources.member_tree import MemberTree
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.tree import LocalTree, begins_as_image
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.store import Stat
from gpu_pack.types import Container, Place
from tests.folders import write_picture

NAMES = ("b/z.jpg", "b/sub/deep/a.jpg", "b/a.jpg", "b/._a.jpg", "a/1.jpg", "a/.DS_Store", "a/notes.txt", ".git/x.jpg")


def test_a_tree_of_members_is_listed_as_the_same_folder_is(tmp_path: Path) -> None:
    tree = MemberTree("x.tar", "x")
    for name in NAMES:
        path = tmp_path / name
        if name.endswith(".jpg") and "._" not in name:
            write_picture(path, 1)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"\0\5")
        status = path.stat()
        tree.add(name, name, Stat(status.st_size, status.st_mtime_ns))
    expected, found = Facts(""), Facts("")
    on_disk = list(find_in_folder(LocalTree(LocalStore(str(tmp_path)), ""), SourceOptions(), expected))
    assert list(find_in_folder(tree, SourceOptions(), found)) == on_disk and len(on_disk) == 4
    assert found == expected and found.skipped == {"hidden folder": 1, ".txt": 1}


def test_first_bytes_decide_where_names_do_not() -> None:
    container = Container("x.tar", 9, 1)
    heads = {"x.tar!/a": b"\xff\xd8\xff\xe0", "x.tar!/b": b"text"}
    tree = MemberTree("x.tar", "x", lambda path, place: place is not None and begins_as_image(heads[path]))
    for number, name in enumerate("ab"):
        tree.add(name, f"x.tar!/{name}", Stat(4, 1), Place(container, number, 4))
    facts = Facts("")
    assert list(find_in_folder(tree, SourceOptions(), facts)) == [
        Found("x.tar!/a", Stat(4, 1), "x", Place(container, 0, 4))
    ]
    assert facts.skipped == Counter({"without suffix": 1})


def test_members_that_are_not_to_be_read_keep_their_reason() -> None:
    tree = MemberTree("x.tar", "x")
    tree.add("c/a.jpg", "x.tar!/../a.jpg", Stat(4, 1), refused=("it climbs", "name"))
    (found,) = find_in_folder(tree, SourceOptions(), Facts(""))
    assert found.refused == ("it climbs", "name") and found.label == "c"
