"""`gpu-pack create` of tables, Parquet files and label files, as a program."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack.formats.lst import read_list
from gpu_pack.pipeline import create
from gpu_pack.pipeline.options import create_options
from gpu_pack.sources.spool import Spool
from tests.folders import Run, write_picture
from tests.formats.test_class_numbers import write_meta
from tests.pipeline.outputs import published
from tests.pipeline.runs import Killed, pack, watched
from tests.sources.parquet_files import rows_of, write_parquet

SMALL = ("--size", 16, "--device", "cpu")


def rows_of_table(photos: Path) -> list[tuple[str, str]]:
    return [(f"{path.parent.name}/{path.name}", path.parent.name) for path in sorted(photos.glob("*/*"))]


def write_csv(path: Path, photos: Path) -> None:
    path.write_text("path,label\n" + "".join(f"{name},{label}\n" for name, label in rows_of_table(photos)))


def write_tsv(path: Path, photos: Path) -> None:
    path.write_text("label\tfile\n" + "".join(f"{label}\t{name}\n" for name, label in rows_of_table(photos)))


def write_jsonl(path: Path, photos: Path) -> None:
    lines = [json.dumps({"file_name": name, "class": label}) for name, label in rows_of_table(photos)]
    path.write_text("\n".join(lines))


def write_parquet_table(path: Path, photos: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'gpu-pack[parquet]'")
    import pyarrow.parquet as pq

    names, labels = zip(*rows_of_table(photos), strict=True)
    pq.write_table(pa.table({"path": list(names), "label": list(labels)}), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("t.csv", write_csv), ("t.tsv", write_tsv), ("t.jsonl", write_jsonl), ("t.parquet", write_parquet_table)],
)
def test_a_table_gives_the_files_of_its_folder(
    photos: Path, gpu_pack_process: Run, tmp_path: Path, name: str, write: Callable[[Path, Path], None]
) -> None:
    write(tmp_path / name, photos)
    done = gpu_pack_process("create", name, "out", "--root", "photos", *SMALL)
    assert "note: columns of the table: path=" in done.stderr and "30 packed, 0 rejected" in done.stderr
    gpu_pack_process("create", "photos", "folder", "--no-shuffle", *SMALL)
    for file in ("train.rec", "train.idx", "train.lst", "classes.txt"):
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "folder" / file).read_bytes()
    assert gpu_pack.verify(tmp_path / "out").ok
    dry = gpu_pack_process("create", name, "dry", "--root", "photos", "--dry-run")
    assert "30 images in 3 classes" in dry.stderr and not (tmp_path / "dry").exists()


def test_a_table_that_lacks_labels_and_files(photos: Path, gpu_pack_process: Run, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "path,label,split\nant/00.jpg,ant,train\nant/01.jpg,,train\nnone.jpg,ant,val\nbee/00.jpg,bee,val\n"
    )
    gpu_pack_process("create", "t.csv", "out", "--root", "photos", *SMALL)
    rejects = [json.loads(line) for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines()]
    assert [(each["path"], each["code"], each["label"]) for each in rejects] == [
        ("ant/01.jpg", "no-label", []),
        ("none.jpg", "missing", 0.0),
    ]
    assert gpu_pack.verify(tmp_path / "out").ok
    gpu_pack_process("create", "t.csv", "strict", "--root", "photos", *SMALL, "--strict", code=1)
    done = gpu_pack_process("create", "t.csv", "out2", "--root", "photos", "--split", "train=1", code=2)
    assert "is divided already, into train, val" in done.stderr and "--split-column none" in done.stderr
    gpu_pack_process(
        "create", "t.csv", "out2", "--root", "photos", "--split-column", "none", "--split", "train=1", *SMALL
    )


def test_parquet_gives_the_records_of_its_folder(photos: Path, gpu_pack_process: Run, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'gpu-pack[parquet]'")
    names = ["ant", "bee", "cat"]
    rows = rows_of(photos, names)
    for number, part in enumerate((rows[:13], rows[13:])):
        write_parquet(tmp_path / f"hf/data/train-0000{number}-of-00002.parquet", part, names)
    gpu_pack_process("create", "hf", "out", *SMALL)
    gpu_pack_process("create", "photos", "folder", *SMALL)
    for file in ("train.rec", "train.idx", "classes.txt"):
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "folder" / file).read_bytes()
    paths = {entry.key: entry.path for entry in read_list(tmp_path / "out/train.lst")}
    assert paths[0] == "train-00000-of-00002.parquet!/0/00.jpg"
    assert gpu_pack.verify(tmp_path / "out").ok and not (tmp_path / "out/.gpu-pack-spool").exists()
    dry = gpu_pack_process("create", "hf", "dry", "--dry-run")
    assert "30 images in 3 classes" in dry.stderr and not (tmp_path / "dry").exists()
    splits = ("--split", "train=hf/data/train-00000*", "--split", "val=hf/data/train-00001*")
    gpu_pack_process("create", "two", *splits, *SMALL)
    assert gpu_pack.inspect(tmp_path / "two/val.rec").records == 17


def test_parquet_without_pyarrow_says_what_to_install(gpu_pack_process: Run, tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('no pyarrow here')")  # found first, in the working folder
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    done = gpu_pack_process("create", "a.parquet", "out", code=1)
    assert done.stderr == (
        "gpu-pack: a.parquet: Parquet is read by pyarrow, which is missing (no pyarrow here): pip install "
        "'gpu-pack[parquet]'\n"
    )


def test_parquet_resumes_from_a_new_spool(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'gpu-pack[parquet]'")
    write_parquet(tmp_path / "a.parquet", rows_of(photos, ["ant", "bee", "cat"]) * 5, ["ant", "bee", "cat"])
    options = create_options(size=16, device="cpu", workers=1, batch_size=2)

    def plan(out: Path, spool: Spool) -> create.Plan:
        return create.plan([str(tmp_path / "a.parquet")], out, options, spool)

    def die(number: int, entry: object) -> None:
        if number >= 100:
            raise Killed

    with Spool(tmp_path / "spool") as spool, pytest.raises(Killed):
        pack(watched(plan(tmp_path / "out", spool), die))
    with Spool(tmp_path / "spool") as spool:
        report = pack(plan(tmp_path / "out", spool))
    assert report.resumed > 0 and report.packed == 150
    with Spool(tmp_path / "spool") as spool:
        pack(plan(tmp_path / "whole", spool))
    assert published(tmp_path / "out") == published(tmp_path / "whole")


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """Class folders of synsets, and a flat folder of six validation images with the devkit's numbers."""
    synsets = ("n01440764", "n01443537", "n02119789")
    for number, name in enumerate(synsets):
        for image in range(3):
            write_picture(tmp_path / "train" / name / f"{name}_{image}.JPEG", 10 * number + image)
    for number in range(6):
        write_picture(tmp_path / f"val/ILSVRC2012_val_{number + 1:08d}.JPEG", 40 + number)
    (tmp_path / "truth.txt").write_text("1\n2\n3\n3\n1\n2\n")
    (tmp_path / "map_clsloc.txt").write_text("n02119789 1 kit_fox\nn01443537 2 goldfish\nn01440764 3 tench\n")
    return tmp_path


@pytest.mark.parametrize("names", ["map_clsloc.txt", "meta.mat"])
def test_imagenet_in_one_command(imagenet: Path, gpu_pack_process: Run, names: str) -> None:
    if names == "meta.mat":
        pytest.importorskip("scipy.io", reason="needs SciPy: pip install scipy")
        write_meta(imagenet / names, ["n02119789", "n01443537", "n01440764", "n09999999"])
    gpu_pack_process(
        "create", "out", "--split", "train=train", "--split", "val=val", "--labels", "val=truth.txt",
        "--class-names", names, "--no-shuffle", *SMALL,
    )  # fmt: skip
    assert (imagenet / "out/classes.txt").read_text() == "n01440764\nn01443537\nn02119789\n"
    assert [entry.labels[0] for entry in read_list(imagenet / "out/val.lst")] == [2, 1, 0, 0, 2, 1]
    assert gpu_pack.verify(imagenet / "out").ok


def test_labels_by_line_and_by_name_give_the_same(imagenet: Path, gpu_pack_process: Run) -> None:
    names = [path.stem for path in sorted((imagenet / "val").iterdir())]
    truth = (imagenet / "truth.txt").read_text().split()
    rows = [f"{name},{label}\n" for name, label in zip(names, truth, strict=True)]
    (imagenet / "truth.csv").write_text("id,label\n" + "".join(reversed(rows)))
    gpu_pack_process("create", "val", "a", "--labels", "truth.txt", *SMALL)
    gpu_pack_process("create", "val", "b", "--labels", "truth.csv", *SMALL)
    one, two = published(imagenet / "a"), published(imagenet / "b")
    assert {name for name in one if one[name] != two[name]} == {"manifest.json"}  # where columns are noted
    assert [each.labels[0] for each in sorted(read_list(imagenet / "a/train.lst"))] == [1, 2, 3, 3, 1, 2]
    done = gpu_pack_process("create", "val", "c", "--labels", "map_clsloc.txt", code=1)
    assert "labels for 3 images, a line each, and val has 6" in done.stderr
    shutil.rmtree(imagenet / "a")
    gpu_pack_process("create", "val", "a", "--labels", "truth.csv", "--dry-run")
    assert not (imagenet / "a").exists()


def test_every_split_has_one_source_of_its_own(imagenet: Path, gpu_pack_process: Run) -> None:
    done = gpu_pack_process("create", "out", "--split", "train=train", "--split", "train=val", code=2)
    assert "splits train=train (--split): named twice" in done.stderr
    done = gpu_pack_process("create", "out", "--split", "train=train", "--labels", "val=truth.txt", code=2)
    assert "labels=val=truth.txt (--labels): there is no split 'val'" in done.stderr
