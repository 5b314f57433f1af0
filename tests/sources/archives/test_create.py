"""`gpu-pack create` from archives: the same records as from the folder that they were made of."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack.errors import OutputExistsError
from gpu_pack.pipeline import create
from gpu_pack.sources.spool import Spool
from tests.folders import Run, write_picture
from tests.pipeline.outputs import published
from tests.pipeline.runs import SMALL, Killed, interrupt_after, pack, plan_of, watched
from tests.sources.archives.making import tar_bytes, tar_of

#: Pictures; the engine reads some dozens ahead.
COUNT = 150
OPTIONS = gpu_pack.CreateOptions(
    spec=gpu_pack.TransformSpec(size=64), device=gpu_pack.DeviceOptions("cpu", workers=2, batch_size=2)
)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/, and archives of it in every format."""
    root = tmp_path_factory.mktemp("archives")
    photos = root / "photos"
    for number in range(COUNT):
        write_picture(photos / ("ant", "bee", "cat")[number % 3] / f"{number:03d}.jpg", number)
    for mode, suffix in (("w", ""), ("w:gz", ".gz"), ("w:xz", ".xz")):
        tar_of(photos, root / f"photos.tar{suffix}", mode)
    shutil.make_archive(str(root / "photos"), "zip", photos)
    inner = {
        f"{folder.name}.tar": tar_bytes({file.name: file.read_bytes() for file in sorted(folder.iterdir())})
        for folder in photos.iterdir()
    }
    (root / "nested.tar").write_bytes(tar_bytes(inner))
    for number in range(2):
        _write_shard(photos, root, number)
    return root


def _write_shard(photos: Path, root: Path, number: int) -> None:
    with tarfile.open(root / f"shard-{number:03d}.tar", "w") as tar:
        for file in sorted(photos.rglob("*.jpg"))[COUNT // 2 * number :][: COUNT // 2]:
            for suffix, data in (("jpg", file.read_bytes()), ("cls", file.parent.name.encode())):
                info = tarfile.TarInfo(f"{file.parent.name}{file.stem}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


@pytest.fixture(scope="module")
def expected(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("expected") / "out"
    pack(plan_of(archives / "photos", out, OPTIONS))
    return published(out)


def same_records(found: dict[str, bytes], expected: dict[str, bytes]) -> bool:
    return all(found[name] == expected[name] for name in ("train.rec", "train.idx", "classes.txt"))


@pytest.mark.parametrize(
    "name", ["photos.tar", "photos.tar.gz", "photos.tar.xz", "photos.zip", "nested.tar", "shard-{000..001}.tar"]
)
def test_the_same_records_as_from_the_folder(
    archives: Path, name: str, expected: dict[str, bytes], gpu_pack_command: Run, tmp_path: Path
) -> None:
    done = gpu_pack_command("create", archives / name, "out", "--size", 64, "--device", "cpu", "--json")
    assert same_records(published(tmp_path / "out"), expected)
    assert json.loads(done.stdout)["packed"] == COUNT and sorted(os.listdir(tmp_path / "out")) == sorted(expected)
    assert gpu_pack.verify(tmp_path / "out").ok
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["photos.tar", "photos.tar.gz", "photos.zip"])
def test_worker_processes_read_archives_too(
    archives: Path, name: str, expected: dict[str, bytes], gpu_pack_process: Run, tmp_path: Path
) -> None:
    gpu_pack_process("create", archives / name, "out", "--size", 64, "--device", "cpu", "--workers", 9)
    assert same_records(published(tmp_path / "out"), expected)


@pytest.mark.parametrize("name", ["photos.tar", "photos.tar.gz", "photos.zip"])
def test_a_dry_run_writes_nothing(archives: Path, name: str, gpu_pack_command: Run, tmp_path: Path) -> None:
    done = gpu_pack_command("create", archives / name, "out", "--dry-run", "--json")
    assert json.loads(done.stdout)["listed"] == COUNT and not (tmp_path / "out").exists()
    assert sorted(os.listdir(tmp_path)) == []


@pytest.mark.parametrize("name", ["photos.tar", "photos.zip"])
def test_a_killed_run_is_resumed(archives: Path, name: str, expected: dict[str, bytes], tmp_path: Path) -> None:
    interrupt_after(archives / name, tmp_path / "out", 110, OPTIONS)
    report = pack(plan_of(archives / name, tmp_path / "out", OPTIONS))
    assert report.resumed > 0 and same_records(published(tmp_path / "out"), expected)


def test_a_killed_run_that_had_spooled_is_resumed(archives: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    def die(number: int, entry: object) -> None:
        if number == 110:
            raise Killed

    out = tmp_path / "out"
    one = dataclasses.replace(OPTIONS, device=gpu_pack.DeviceOptions("cpu", workers=1, batch_size=2))
    with Spool(out / ".spool") as spool, pytest.raises(Killed):
        pack(watched(create.plan([str(archives / "photos.tar.gz")], out, one, spool), die))
    with Spool(out / ".spool") as spool:
        plan = create.plan([str(archives / "photos.tar.gz")], out, OPTIONS, spool)
        report = pack(dataclasses.replace(plan, writing=SMALL))
    assert report.resumed > 0 and same_records(published(out), expected)


@pytest.mark.parametrize("name", ["photos.tar", "photos.tar.gz", "photos.zip"])
def test_an_archive_that_changed_is_not_resumed(archives: Path, name: str, tmp_path: Path) -> None:
    source = Path(shutil.copy(archives / name, tmp_path / name))
    with Spool(tmp_path / "spool") as spool:
        plan = create.plan([str(source)], tmp_path / "out", OPTIONS, spool)

        def die(number: int, entry: object) -> None:
            if number > 3:
                raise Killed

        with pytest.raises(Killed):
            pack(watched(plan, die))
    os.utime(source, ns=(1, 1))
    with Spool(tmp_path / "spool") as spool, pytest.raises(OutputExistsError, match="149 more changed since it began"):
        pack(create.plan([str(source)], tmp_path / "out", OPTIONS, spool))


def test_an_archive_that_changes_meanwhile_costs_what_is_read_after(archives: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(archives / "photos.tar", tmp_path / "x.tar"))
    plan = plan_of(source, tmp_path / "out", OPTIONS)

    def touch(number: int, entry: object) -> None:
        if number == 50:
            os.utime(source, ns=(1, 1))

    report = pack(watched(plan, touch))
    assert 0 < report.rejected < COUNT
    rejects = [json.loads(line) for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines()]
    assert {(each["code"], each["reason"]) for each in rejects} == {("changed", "x.tar changed while packing")}


def test_rejects_of_archives_are_named_with_their_archive(gpu_pack_command: Run, tmp_path: Path) -> None:
    write_picture(tmp_path / "cat/1.jpg", 1)
    good = (tmp_path / "cat/1.jpg").read_bytes()
    files = {"cat/1.jpg": good, "cat/2.jpg": good[:100], "../3.jpg": good, "cat/4.jpg": b""}
    (tmp_path / "x.tar").write_bytes(tar_bytes(files))
    gpu_pack_command("create", "x.tar", "out", "--size", 64)
    rejects = [json.loads(line) for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines()]
    assert {(each["path"], each["code"], str(each["label"])) for each in rejects} == {
        ("x.tar!/../3.jpg", "name", "[]"),
        ("x.tar!/cat/2.jpg", "truncated", "0.0"),
        ("x.tar!/cat/4.jpg", "empty", "0.0"),
    }
    assert gpu_pack.verify(tmp_path / "out").ok
