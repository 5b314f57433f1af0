"""`create --duplicates`: files with the same bytes are dropped, or stay in one split."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpu_pack
from gpu_pack.errors import UsageError
from gpu_pack.sources.row_sets import between_sets, keep_together
from gpu_pack.types import Progress
from tests.folders import Run, write_picture
from tests.tools import foreign_records


@pytest.fixture
def copies(photos: Path) -> Path:
    """Thirty pictures, four of them three times: as a copy in the same class, and as a hard link in another."""
    for number in range(4):
        first = photos / "bee" / f"{number:02d}.jpg"
        shutil.copy(first, photos / "bee" / f"copy {number}.jpg")
        os.link(first, photos / "cat" / f"link {number}.jpg")
    (photos / "ant" / "torn 1.jpg").write_bytes(b"\xff\xd8 torn")
    return photos


def split_of(out: Path) -> dict[str, str]:
    """The split of each path, by the lists."""
    lines = [(path.stem, line) for path in out.glob("*.lst") for line in path.read_text().splitlines()]
    return {line.split("\t")[-1]: split for split, line in lines}


def pack(source: Path, out: Path, **options: object) -> gpu_pack.Report:
    return gpu_pack.create(source, out, size=16, device="cpu", workers=2, **options)  # type: ignore[arg-type]


def test_the_first_of_each_stays_and_the_others_are_rejects_that_name_it(copies: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    report = pack(copies, tmp_path / "out", duplicates="drop", progress=lambda state: seen.append(state))
    assert (report.listed, report.packed, report.rejected, report.left_out) == (39, 30, 9, 0)
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    dropped = {each["path"]: each["reason"] for each in rejects if each["code"] == "duplicate"}
    assert len(dropped) == 8
    assert dropped["cat/link 2.jpg"] == dropped["bee/copy 2.jpg"] == "it has the same bytes as bee/02.jpg"
    assert gpu_pack.verify(tmp_path / "out").ok
    assert any(state.unit == "files" for state in seen)
    (copies / "ant" / "torn 1.jpg").unlink()
    assert pack(copies, tmp_path / "strict", duplicates="drop", strict=True).packed == 30, "dropped as asked"


def test_without_copies_nothing_changes(photos: Path, tmp_path: Path) -> None:
    for way in ("keep", "drop", "group"):
        pack(photos, tmp_path / way, duplicates=way, splits={"train": 0.8, "val": 0.2})
    names = ("train.rec", "train.lst", "val.rec", "val.lst")
    kept, dropped, grouped = (
        [(tmp_path / way / name).read_bytes() for name in names] for way in ("keep", "drop", "group")
    )
    assert kept == dropped == grouped


def test_a_group_is_never_divided(copies: Path, tmp_path: Path) -> None:
    for seed in range(5):
        out = tmp_path / str(seed)
        splits = {"train": 0.6, "val": 0.2, "test": 0.2}
        report = pack(copies, out, duplicates="group", seed=seed, splits=splits, shards=2)
        assert report.packed == 38 and report.rejected == 1
        found = {path: name.partition("-")[0] for path, name in split_of(out).items()}
        for number in range(4):
            of_one = (f"bee/{number:02d}.jpg", f"bee/copy {number}.jpg", f"cat/link {number}.jpg")
            assert len({found[path] for path in of_one}) == 1
        assert abs(report.splits["train"].listed - 0.6 * 39) <= 3


def test_a_divided_source_keeps_the_first_and_refuses_groups(copies: Path, tmp_path: Path) -> None:
    divided = tmp_path / "divided"
    shutil.copytree(copies, divided / "train")
    write_picture(divided / "val" / "ant" / "new.jpg", 77)
    shutil.copy(copies / "ant" / "05.jpg", divided / "val" / "ant" / "leak.jpg")
    report = pack(divided, tmp_path / "out", duplicates="drop")
    assert (report.splits["train"].packed, report.splits["val"].packed) == (30, 1)
    with pytest.raises(UsageError, match=r"duplicates=group \(--duplicates\): .* is divided already"):
        pack(divided, tmp_path / "other", duplicates="group")


def test_a_list_without_sizes_and_missing_files(copies: Path, tmp_path: Path) -> None:
    names = ["bee/00.jpg", "bee/copy 0.jpg", "gone.jpg", "also gone.jpg", "ant/01.jpg"]
    (tmp_path / "some.lst").write_text("".join(f"{key}\t0\t{name}\n" for key, name in enumerate(names)))
    report = pack(tmp_path / "some.lst", tmp_path / "out", root=copies, duplicates="drop")
    assert (report.packed, report.rejected) == (2, 3)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_of_an_archive(copies: Path, tmp_path: Path, kind: str) -> None:
    (copies / "ant" / "torn 1.jpg").unlink()
    archive = shutil.make_archive(str(tmp_path / "all"), kind, copies)
    report = pack(Path(archive), tmp_path / "out", duplicates="drop")
    assert (report.packed, report.rejected) == (30, 8)
    assert gpu_pack.verify(tmp_path / "out").ok


def test_pictures_inside_of_records(tmp_path: Path) -> None:
    path = foreign_records.joined(tmp_path / "set" / "train.rec")
    report = pack(path, tmp_path / "out", duplicates="drop", rekey=True)
    assert (report.packed, report.rejected) == (3, 3)
    assert gpu_pack.verify(tmp_path / "out").ok
    splits = {"train": 0.5, "val": 0.5}
    pack(path, tmp_path / "grouped", duplicates="group", rekey=True, splits=splits, stratify=False)
    found = gpu_pack.inspect(tmp_path / "grouped").findings
    assert found is not None and len(found.exact_duplicates) == 3 and not found.leakage


def test_the_command(copies: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    done = gpu_pack_command("create", copies, tmp_path / "out", "--duplicates", "drop", "--dry-run", "--json")
    assert json.loads(done.stdout)["rejected"] == 8
    assert gpu_pack_command("create", copies, tmp_path / "out", "--duplicates", "some", code=2).stderr


@settings(max_examples=50)
@given(st.lists(st.integers(0, 8), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_cuts_move_to_the_nearest_border(sets: list[int], random: object) -> None:
    firsts = np.array([sets.index(each) for each in sets])
    ordered = np.arange(len(sets))
    random.shuffle(ordered)  # type: ignore[attr-defined]
    together = keep_together(ordered, firsts)
    assert sorted(together.tolist()) == list(range(len(sets)))
    cuts = between_sets(together, firsts, range(len(sets) + 1))
    assert cuts == sorted(cuts) and cuts[0] == 0 and cuts[-1] == len(sets)
    for cut in cuts:
        if 0 < cut < len(sets):
            assert firsts[together[cut - 1]] != firsts[together[cut]]
    assert max(abs(cut - number) for number, cut in enumerate(cuts)) <= max(map(sets.count, sets)) / 2
