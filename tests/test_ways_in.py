"""Every command of the README's section "From where the data is", run as it stands there."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import gpu_pack
from tests.folders import ENVIRONMENT, command, write_picture
from tests.stores import servers

_BLOCK = re.search(r"<!-- ways in -->\n```sh\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.S)
assert _BLOCK is not None
COMMANDS = [shlex.split(line, comments=True) for line in _BLOCK[1].replace("\\\n", " ").splitlines()]
#: WordNet ids of three classes, in the order of ILSVRC's numbers, which is not the sorted one.
_SYNSETS = ("n03", "n01", "n02")
#: Of the validation pictures, as the devkit has them.
_TRUTH = (2, 3, 1, 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands name, small."""
    root = tmp_path_factory.mktemp("ways")
    for number, name in enumerate(("photos/ant/1.jpg", "photos/bee/2.jpg", "photos/bee/3.jpg", "more/bee/4.jpg")):
        write_picture(root / name, number)
    for number in range(4):
        write_picture(root / f"flat/{number}.jpg", number)
    (root / "truth.txt").write_text("ant\nbee\nbee\nant\n")
    (root / "labels.csv").write_text("path,label\nant/1.jpg,ant\nbee/2.jpg,bee\nbee/3.jpg,bee\n")
    with tarfile.open(root / "photos.tar", "w") as tar:
        tar.add(root / "photos", ".")
    with zipfile.ZipFile(root / "photos.zip", "w") as archive:
        for path in sorted((root / "photos").rglob("*.jpg")):
            archive.write(path, path.relative_to(root / "photos"))
    _write_webdataset(root)
    _write_imagenet(root)
    gpu_pack.create(root / "photos", root / "packed", size=300, device="cpu")
    return root


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _write_webdataset(root: Path) -> None:
    (root / "shards").mkdir()
    for shard in range(2):
        with tarfile.open(root / f"shards/train-{shard:06d}.tar", "w") as tar:
            for number in (2 * shard, 2 * shard + 1):
                _add(tar, f"{number:06d}.jpg", (root / f"flat/{number}.jpg").read_bytes())
                _add(tar, f"{number:06d}.cls", b"%d" % (number % 2))


def _write_imagenet(root: Path) -> None:
    """Both archives, and the devkit's files, as ILSVRC2012 has them."""
    with tarfile.open(root / "ILSVRC2012_img_train.tar", "w") as outer:
        for number, synset in enumerate(sorted(_SYNSETS)):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                _add(tar, f"{synset}_1.JPEG", (root / f"flat/{number}.jpg").read_bytes())
            _add(outer, f"{synset}.tar", inner.getvalue())
    with tarfile.open(root / "ILSVRC2012_img_val.tar", "w") as tar:
        for number in range(4):
            _add(tar, f"ILSVRC2012_val_{number + 1:08d}.JPEG", (root / f"flat/{number}.jpg").read_bytes())
    (root / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{number}\n" for number in _TRUTH))


def _write_meta(root: Path) -> None:
    numpy = pytest.importorskip("numpy")
    io_ = pytest.importorskip("scipy.io")
    kind = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object)]
    rows = [(number, synset, "a thing") for number, synset in enumerate(_SYNSETS, 1)]
    io_.savemat(root / "meta.mat", {"synsets": numpy.array(rows, dtype=kind).reshape(-1, 1)})


def _write_parquet(root: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    label = {"_type": "ClassLabel", "names": ["ant", "bee"]}
    metadata = {"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}, "label": label}}})}
    images = [{"bytes": path.read_bytes(), "path": path.name} for path in sorted((root / "flat").iterdir())]
    table = pa.table({"image": images, "label": [0, 1, 1, 0]}).replace_schema_metadata(metadata)
    (root / "hf-dataset/data").mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, root / "hf-dataset/data/train-00000-of-00001.parquet")


@pytest.fixture
def bucket(s3_url: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``s3://bucket`` with the photos in it."""
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("obstore")
    servers.use_s3(monkeypatch, s3_url)
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    for path in (data / "photos").rglob("*.jpg"):
        client.put_object(Bucket="bucket", Key=str(path.relative_to(data)), Body=path.read_bytes())
    yield
    for found in client.list_objects_v2(Bucket="bucket").get("Contents", []):
        client.delete_object(Bucket="bucket", Key=found["Key"])
    client.delete_bucket(Bucket="bucket")
    client.close()


@pytest.mark.parametrize("words", COMMANDS, ids=[" ".join(words[2:])[:60] for words in COMMANDS])
def test_a_way_in(
    words: list[str],
    data: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(data)
    monkeypatch.setenv("XDG_CACHE_HOME", str(data / "cache"))
    shutil.rmtree(data / "out", ignore_errors=True)
    line = " ".join(words)
    if "s3://" in line:
        request.getfixturevalue("bucket")
    if "hf-dataset" in line:
        _write_parquet(data)
    if "meta.mat" in line:
        _write_meta(data)
    assert words[0] == "gpu-pack"
    environment = {**os.environ, "PYTHONPATH": ENVIRONMENT["PYTHONPATH"]}
    options = ("--device", "cpu", "--json")
    done = subprocess.run(command(*words[1:], *options), cwd=data, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["rejected"] == 0 and report["packed"] == report["listed"] >= 3, done.stderr
    out = next(word for word in words if word == "out" or word == "s3://bucket/out")
    dataset = gpu_pack.inspect(out)
    assert dataset.records == report["packed"] and gpu_pack.verify(out).ok
    expected = ["n01", "n02", "n03"] if "ILSVRC" in line else None if "shards" in line else ["ant", "bee"]
    assert dataset.classes == expected
    if "val=ILSVRC2012_img_val.tar" in line:
        numbers = [sorted(_SYNSETS).index(_SYNSETS[number - 1]) for number in _TRUTH]
        rows = [row.split("\t") for row in (data / "out/val.lst").read_text().splitlines()]
        assert [int(label) for _, label, _ in sorted(rows, key=lambda row: row[2])] == numbers


def test_there_is_a_command_for_every_kind_of_source() -> None:
    text = " ".join(word for words in COMMANDS for word in words)
    for kind in (".tar", ".zip", "shards/", "hf-dataset", ".csv", ".rec", "s3://", "--labels", "--class-names"):
        assert kind in text
