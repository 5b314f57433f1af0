"""`gpu-pack create` as a user runs it: what it packs, what it writes, what it says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import gpu_pack
from gpu_pack import recordio
from gpu_pack.formats.lst import read_list
from tests.folders import Run, picture, write_picture
from tests.pipeline.outputs import nearest, published, records


def test_a_folder_of_classes(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    done = gpu_pack_command("create", photos, "out", "--split", "train=0.8", "--split", "val=0.2", "--size", "20")
    assert "30 packed, 0 rejected" in done.stderr
    assert done.stdout == ""
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "classes.txt", "manifest.json", "rejects.jsonl", "train.idx", "train.lst", "train.rec", "val.idx", "val.lst",
        "val.rec",
    ]  # fmt: skip
    assert (out / "classes.txt").read_text() == "ant\nbee\ncat\n"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["splits"]["train"]["labels"] == {"0": 8, "1": 8, "2": 8}
    assert manifest["splits"]["val"]["labels"] == {"0": 2, "1": 2, "2": 2}
    for name, described in manifest["files"].items():
        data = (out / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (described["bytes"], described["sha256"])
    for split in ("train", "val"):
        entries = list(read_list(out / f"{split}.lst"))
        for entry, (key, label, image) in zip(entries, records(out / f"{split}.rec"), strict=True):
            assert (entry.key, entry.labels) == (key, (label,))
            assert entry.path.startswith(("ant", "bee", "cat")[int(label)] + "/")
            assert image.shape == (20, 20, 3)
            assert nearest(image) == key, "the key is 10 * label + number, the picture's own number"


def test_the_order_is_the_lists_whatever_the_workers(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    gpu_pack_command("create", photos, "a", "--workers", 1)
    gpu_pack_command("create", photos, "b", "--workers", 5, "--batch-size", 2)
    assert published(tmp_path / "a") == published(tmp_path / "b")


def test_a_flat_folder_has_label_0(gpu_pack_command: Run, tmp_path: Path) -> None:
    for number in range(4):
        write_picture(tmp_path / "flat" / f"{number}.png", number)
    gpu_pack_command("create", "flat", "out", "--no-shuffle", "--encoding", "png", "--size", "30")
    found = records(tmp_path / "out" / "train.rec")
    assert [(key, label) for key, label, _ in found] == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0)]
    for key, _, image in found:
        assert np.array_equal(image, picture(key)[:, 5:35]), "PNG loses nothing, and the size is the crop's own"


def test_a_list_keeps_its_order_and_its_labels(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    (tmp_path / "my.lst").write_text("7\t2.5\t1\tant/03.jpg\n3\t0\tbee/00.jpg\n9\t1\tcat/01.jpg\n")
    gpu_pack_command("create", "my.lst", "out", "--root", photos)
    file = recordio.MXRecordIO(str(tmp_path / "out" / "train.rec"), "r")
    headers = [recordio.unpack(file.read())[0] for _ in range(3)]
    assert [header.id for header in headers] == [7, 3, 9]
    assert headers[0].flag == 2 and list(headers[0].label) == [2.5, 1.0]
    assert (tmp_path / "out" / "train.lst").read_text() == (tmp_path / "my.lst").read_text()
    assert not (tmp_path / "out" / "classes.txt").exists()


def test_shards(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    gpu_pack_command("create", photos, "one")
    gpu_pack_command("create", photos, "many", "--shards", 4)
    many = sorted((tmp_path / "many").glob("*.rec"))
    assert [path.name for path in many] == [f"train-{number:05d}-of-00004.rec" for number in range(4)]
    assert b"".join(path.read_bytes() for path in many) == (tmp_path / "one" / "train.rec").read_bytes()


def test_formats_are_told_apart_by_content(gpu_pack_command: Run, tmp_path: Path) -> None:
    for number, suffix in enumerate((".jpg", ".png", ".webp", ".bmp", ".tiff")):
        write_picture(tmp_path / "mixed" / "a" / f"{number}{suffix}", number)
    (tmp_path / "mixed/a/1.png").rename(tmp_path / "mixed/a/1.jpg")
    (tmp_path / "mixed/a/2.webp").rename(tmp_path / "mixed/a/2.dat")
    (tmp_path / "mixed/a/3.bmp").rename(tmp_path / "mixed/a/3")
    (tmp_path / "mixed/a/notes.txt").write_text("not an image")
    done = gpu_pack_command("create", "mixed", "out", "--json")
    report = json.loads(done.stdout)
    assert (report["packed"], report["rejected"], report["skipped"]) == (5, 0, {".txt": 1})


def test_bad_images_are_rejects_with_everything_a_person_needs(
    photos: Path, gpu_pack_command: Run, tmp_path: Path
) -> None:
    whole = (photos / "bee/03.jpg").read_bytes()
    (photos / "bee/03.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "cat/00.jpg").write_bytes(b"")
    (photos / "cat/01.jpg").write_text("no picture")
    (photos / "cat/02.jpg").unlink()
    (photos / "cat/02.jpg").symlink_to("nowhere")
    done = gpu_pack_command("create", photos, "out", "--split", "all=1.0")
    assert "26 packed, 4 rejected (see out/rejects.jsonl)" in done.stderr
    rejects = {
        line["path"]: line for line in map(json.loads, (tmp_path / "out/rejects.jsonl").read_text().splitlines())
    }
    assert rejects.keys() == {"bee/03.jpg", "cat/00.jpg", "cat/01.jpg", "cat/02.jpg"}
    assert rejects["bee/03.jpg"]["key"] == 13 and rejects["bee/03.jpg"]["label"] == 1
    assert {line["split"] for line in rejects.values()} == {"all"}
    assert rejects["cat/02.jpg"]["stage"] == "read" and "no such file" in rejects["cat/02.jpg"]["reason"]
    assert all(line["stage"] == "decode" and line["reason"] for name, line in rejects.items() if name != "cat/02.jpg")
    assert len(records(tmp_path / "out/all.rec")) == 26
    assert len((tmp_path / "out/all.lst").read_text().splitlines()) == 30


def test_strict_publishes_nothing(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    (photos / "bee/03.jpg").write_bytes(b"\xff\xd8\xff")
    done = gpu_pack_command("create", photos, "out", "--strict", code=1)
    assert "bee/03.jpg (key 13)" in done.stderr and "nothing was published" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] in ([], [".gpu-pack"])
    (photos / "bee/03.jpg").unlink()
    gpu_pack_command("create", photos, "out", "--strict")


def test_a_finished_run_is_not_replaced_unasked(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    gpu_pack_command("create", photos, "out", "--shards", 2)
    before = published(tmp_path / "out")
    done = gpu_pack_command("create", photos, "out", "--shards", 2, code=1)
    assert "a finished run lies there (30 images packed)" in done.stderr and "--overwrite" in done.stderr
    done = gpu_pack_command("create", photos, "out", code=1)
    assert "(30 images packed; options.shards was 2, is 1): choose another output" in done.stderr
    assert published(tmp_path / "out") == before
    gpu_pack_command("create", photos, "out", "--overwrite")
    assert not list((tmp_path / "out").glob("*-of-*")), "files of the earlier run that this one has not are gone"
    gpu_pack_command("create", photos, "fresh")
    assert published(tmp_path / "out") == published(tmp_path / "fresh")


def test_somebody_elses_file_is_not_replaced_unasked(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/train.rec").write_bytes(b"precious")
    done = gpu_pack_command("create", photos, "out", code=1)
    assert "out/train.rec is there already" in done.stderr
    assert (tmp_path / "out/train.rec").read_bytes() == b"precious"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train.rec"]


def test_dry_run_writes_nothing(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    done = gpu_pack_command("create", photos, "out", "--dry-run", "--split", "a=0.5", "--json")
    report = json.loads(done.stdout)
    assert (report["listed"], report["left_out"], report["splits"]["a"]["listed"]) == (30, 15, 15)
    assert not (tmp_path / "out").exists()


def test_a_list_keeps_its_order_unless_told_otherwise(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    lines = [f"{key}\t0\tant/{key:02d}.jpg\n" for key in range(10)]
    (tmp_path / "my.lst").write_text("".join(lines))

    def packed(out: str, *options: object) -> list[str]:
        gpu_pack_command("create", "my.lst", out, "--root", photos, *options)
        return (tmp_path / out / "train.lst").read_text().splitlines(keepends=True)

    assert packed("as it is") == packed("said so", "--no-shuffle") == lines
    mixed = packed("mixed", "--shuffle")
    assert mixed != lines and sorted(mixed) == lines
    assert packed("otherwise", "--shuffle", "--seed", 7) != mixed


def test_classes_of_an_earlier_run(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\nant\nbee\n")
    done = gpu_pack_command("create", photos, "out", "--classes", "classes.txt", "--json")
    assert json.loads(done.stdout)["splits"]["train"]["labels"] == {"0": 10, "2": 10, "3": 10}
    assert (tmp_path / "out/classes.txt").read_text() == "cat\ndog\nant\nbee\n"
    (tmp_path / "classes.txt").write_text("cat\nant\n")
    done = gpu_pack_command("create", photos, "other", "--classes", "classes.txt", code=1)
    assert "class 'bee' is not among the 2 names" in done.stderr


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["--size", 16], (16, 16)),
        (["--resize", 15], (15, 20)),
        (["--size", 15, "--no-crop"], (15, 20)),
        (["--size", 64, "--no-upscale"], (30, 30)),
        (["--size", 64], (64, 64)),
        (["--pass-through"], (30, 40)),
    ],
)
def test_sizes(
    photos: Path, gpu_pack_command: Run, tmp_path: Path, options: list[object], size: tuple[int, int]
) -> None:
    gpu_pack_command("create", photos, "out", *options)
    assert {image.shape[:2] for _, _, image in records(tmp_path / "out/train.rec")} == {size}


def test_pass_through_leaves_hundreds_of_bad_files_out(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    """More than are read in one go: a whole run of them that becomes no record."""
    for number in range(600):
        (photos / "ant" / f"bad-{number:03d}.jpg").write_bytes(b"\xff\xd8\xff no picture")
    done = gpu_pack_command("create", photos, "out", "--pass-through", "--no-shuffle")
    assert "30 packed, 600 rejected" in done.stderr
    assert len((tmp_path / "out" / "rejects.jsonl").read_text().splitlines()) == 600
    with recordio.MXIndexedRecordIO(str(tmp_path / "out/train.idx"), str(tmp_path / "out/train.rec"), "r") as file:
        keys = [recordio.unpack(file.read_idx(key))[0].id for key in file.keys]
    assert keys == list(file.keys) and len(keys) == 30


def test_pass_through_stores_the_files(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    gpu_pack_command("create", photos, "out", "--pass-through", "--no-shuffle")
    file = recordio.MXRecordIO(str(tmp_path / "out/train.rec"), "r")
    assert recordio.unpack(file.read())[1] == (photos / "ant/00.jpg").read_bytes()


def test_from_python(photos: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    options = gpu_pack.CreateOptions(spec=gpu_pack.TransformSpec(size=16), device=gpu_pack.DeviceOptions("cpu"))
    report = gpu_pack.create(photos, tmp_path / "out", options, progress=lambda state: seen.append(state.done))
    assert (report.packed, report.rejected, report.device, report.packed_by) == (30, 0, "cpu", {"cpu": 30})
    assert seen[0] == 0 and seen[-1] == 30
