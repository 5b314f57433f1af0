"""plan, pack and publish as processes, which share nothing but the output."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack.errors import UsageError
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline import create, stored_plan
from gpu_pack.pipeline.shard_numbers import format_shards, parse_shards
from gpu_pack.sources.spool import Spool
from tests.folders import ENVIRONMENT, Run, command, write_picture
from tests.pipeline.outputs import published
from tests.stores import servers
from tests.stores.buckets import open_bucket

FLAGS = ("--size", 24, "--device", "cpu", "--workers", 1)
SPLITS = ("--split", "train=0.7", "--split", "val=0.3")


@pytest.fixture
def source(photos: Path) -> Path:
    """Thirty pictures, two of them bad."""
    for name in ("ant/03.jpg", "cat/09.jpg"):
        (photos / name).write_bytes((photos / name).read_bytes()[:200])
    return photos


def test_processes_elsewhere_pack_what_one_run_does(source: Path, tmp_path: Path, gpu_pack_process: Run) -> None:
    """SOURCE is relative, and those who pack have another working folder; two of them pack at the same time."""
    gpu_pack_process("create", source.name, "one", "--shards", 3, *SPLITS, *FLAGS)
    said = gpu_pack_process("plan", source.name, "out", "--shards", 3, *SPLITS, *FLAGS).stderr
    assert "train: 21 images in shards 0 to 2\nval: 9 images in shards 3 to 5\n" in said
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    packing = [
        subprocess.Popen(command("pack", "../out", "--shards", which), cwd=elsewhere, env=ENVIRONMENT)
        for which in ("0,2", "2/3")
    ]
    assert [process.wait(60) for process in packing] == [0, 0]
    refused = gpu_pack_process("publish", "out", code=1).stderr
    assert refused == f"gpu-pack: {tmp_path}/out: 2 of 6 shards are not packed yet: 1,3\n"
    again = gpu_pack_process("pack", "out", "--shards", "0-3").stderr
    assert "4 shards: " in again and "of them from before" in again
    report = json.loads(gpu_pack_process("publish", "out", "--json").stdout)
    assert (report["packed"], report["rejected"], report["resumed"]) == (28, 2, 0)
    ((machine, did),) = report["machines"].items()
    assert machine and (did["shards"], did["images"], did["device"]) == ("0-5", 30, "cpu")
    assert did["images_per_second"] == pytest.approx(30 / did["seconds"], rel=0.01)
    assert published(tmp_path / "out") == published(tmp_path / "one")
    assert json.loads((tmp_path / "out/manifest.json").read_text())["run"]["machines"] == report["machines"]
    assert "a finished run lies there, and no plan" in gpu_pack_process("publish", "out", code=1).stderr


def test_planning_again_keeps_what_is_packed(source: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    planned = json.loads(gpu_pack_command("plan", source, "out", "--shards", 3, *FLAGS, "--json").stdout)
    assert [shard["number"] for shard in planned["shards"]] == [0, 1, 2]
    assert sum(shard["images"] for shard in planned["shards"]) == planned["listed"] == 30
    gpu_pack_command("pack", "out", "--shards", "0-1")
    gpu_pack_command("plan", source, "out", "--shards", 3, *FLAGS)
    assert "2 shards are not packed" not in gpu_pack_command("publish", "out", code=1).stderr
    refused = gpu_pack_command("plan", source, "out", "--shards", 2, *FLAGS, code=1).stderr
    assert "an interrupted run lies there, and options.shards was 3, is 2" in refused
    gpu_pack_command("plan", source, "out", "--shards", 2, *FLAGS, "--overwrite")
    assert "2 of 2 shards are not packed yet: 0-1" in gpu_pack_command("publish", "out", code=1).stderr


def test_a_plan_with_overwrite_replaces_what_was_published(source: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    gpu_pack_command("create", source, "out", *FLAGS)
    assert "a finished run lies there" in gpu_pack_command("plan", source, "out", *FLAGS, code=1).stderr
    gpu_pack_command("plan", source, "out", "--shards", 2, *FLAGS, "--overwrite")
    gpu_pack_command("pack", "out")
    gpu_pack_command("publish", "out")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.rec")) == [
        "train-00000-of-00002.rec",
        "train-00001-of-00002.rec",
    ]


def test_without_a_plan(tmp_path: Path, gpu_pack_command: Run) -> None:
    for name in ("pack", "publish"):
        said = gpu_pack_command(name, "nowhere", code=1).stderr
        assert said == "gpu-pack: nowhere: no plan lies there: gpu-pack plan SOURCE nowhere makes one\n"
    assert not (tmp_path / "nowhere").exists()


#: ``LocalTarget(Path("a"))``, which would empty the file, by names that a module of gpu-pack imports.
_IMPORTED = b"cgpu_pack.output.joined_file\nLocalTarget\n(cgpu_pack.output.joined_file\nPath\n(Va\ntRtR."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text, line: text[:-1], "its plan is damaged"),
        (lambda text, line: text[:100] + b"?" + text[101:], "its plan is damaged"),
        (lambda text, line: b"{}", "its plan is damaged"),
        (lambda text, line: _ended(text, {**line, "gpu-pack": "0.0.1"}), "its plan is of gpu-pack 0.0.1, and this is "),
        (lambda text, line: _ended(pickle.dumps(subprocess.run), line), "its plan holds subprocess.run, which no plan"),
        (lambda text, line: _ended(_IMPORTED, line), "its plan holds gpu_pack.output.joined_file.Path, which no plan"),
        (lambda text, line: _ended(b"", line), "its plan is damaged"),
        (lambda text, line: json.dumps({**line, "head": (0, 1 << 60, "")}).encode(), "its plan is damaged"),
        (lambda text, line: json.dumps({**line, "head": (None, "a", 1)}).encode(), "its plan is damaged"),
    ],
)
def test_a_plan_that_cannot_be_used(
    source: Path, tmp_path: Path, gpu_pack_command: Run, change: Any, message: str
) -> None:
    """Damaged, another version's, or made to run a program."""
    gpu_pack_command("plan", source, "out", *FLAGS)
    path = tmp_path / "out/.gpu-pack/plan"
    text, _, line = path.read_bytes().rpartition(b"\n")
    path.write_bytes(change(text + b"\n" + line, json.loads(line)))
    assert message in gpu_pack_command("pack", "out", code=1).stderr


def _ended(body: bytes, line: dict[str, Any]) -> bytes:
    """A plan with another head and line."""
    head = {"head": (0, len(body), hashlib.sha256(body).hexdigest())}
    return body + b"\n" + json.dumps({**line, **head}).encode()


# ---- what has to be unpacked first


@pytest.fixture
def compressed(source: Path, tmp_path: Path) -> str:
    """The pictures in a tar that has to be spooled."""
    subprocess.run(["tar", "-czf", tmp_path / "photos.tar.gz", "-C", source, "."], check=True)
    return "photos.tar.gz"


def test_what_is_spooled_lies_in_the_output_until_it_is_published(
    compressed: str, tmp_path: Path, gpu_pack_process: Run, gpu_pack_command: Run
) -> None:
    gpu_pack_command("create", compressed, "one", "--shards", 3, *FLAGS)
    gpu_pack_command("plan", compressed, "out", "--shards", 3, *FLAGS)
    (spooled,) = (tmp_path / "out/.gpu-pack").glob("*.spool")
    before = spooled.stat()
    assert not (tmp_path / "out/.gpu-pack-spool").exists()
    gpu_pack_process("pack", "out", "--shards", "0")
    gpu_pack_command("plan", compressed, "out", "--shards", 3, *FLAGS)  # others may be reading what is there
    assert [path.stat().st_ino for path in (tmp_path / "out/.gpu-pack").glob("*.spool")] == [before.st_ino]
    gpu_pack_process("pack", "out")
    gpu_pack_command("publish", "out")
    assert published(tmp_path / "out") == published(tmp_path / "one")
    assert not (tmp_path / "out/.gpu-pack").exists()


def test_a_spool_that_is_gone_is_no_fault_of_its_images(compressed: str, tmp_path: Path, gpu_pack_command: Run) -> None:
    gpu_pack_command("plan", compressed, "out", *FLAGS)
    (spooled,) = (tmp_path / "out/.gpu-pack").glob("*.spool")
    data = spooled.read_bytes()
    for left in (None, data[:1000]):
        spooled.unlink() if left is None else spooled.write_bytes(left)
        said = gpu_pack_command("pack", "out", code=1).stderr
        assert "what the run spooled there is gone" in said and "run the same command, or gpu-pack plan, again" in said
    gpu_pack_command("plan", compressed, "out", *FLAGS)
    gpu_pack_command("pack", "out")
    assert "28 packed, 2 rejected" in gpu_pack_command("publish", "out").stderr


def test_a_spool_for_machines_that_share_a_bucket(
    compressed: str, tmp_path: Path, gpu_pack_command: Run, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    servers.use_s3(monkeypatch, s3_url)
    gpu_pack_command("create", compressed, "one", "--shards", 2, *FLAGS)
    with open_bucket(s3_url) as bucket:
        out = f"s3://{bucket.name}/out"
        for _ in range(2):
            gpu_pack_command("plan", compressed, out, "--shards", 2, *FLAGS, "--staging", "a")
        assert len([name for name in bucket.objects() if name.endswith(".spool")]) == 1
        for place in "ab":
            shutil.rmtree(tmp_path / "a", ignore_errors=True)
            gpu_pack_command("pack", out, "--shards", "ab".index(place), "--staging", place)
        gpu_pack_command("publish", out, "--staging", "b")
        found = {name.removeprefix("out/"): data for name, data in bucket.objects().items()}
    expected = published(tmp_path / "one")
    assert found.keys() == expected.keys()
    assert all(found[name] == data for name, data in expected.items() if name != "manifest.json")


# ---- interruptions


def test_a_publication_that_was_killed_at_its_end_is_finished(
    source: Path, tmp_path: Path, gpu_pack_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu_pack_command("plan", source, "out", *FLAGS)
    gpu_pack_command("pack", "out")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        unlink = Path.unlink

        def dying(self: Path, missing_ok: bool = False) -> None:
            if self.name == "publish.json":
                raise KeyboardInterrupt
            unlink(self, missing_ok)

        patch.setattr(Path, "unlink", dying)
        stored_plan.publish_stored(create.find_destination(str(tmp_path / "out"), create.CreateOptions().store))
    assert (tmp_path / "out/.gpu-pack/publish.json").exists()
    assert "28 packed, 2 rejected" in gpu_pack_command("publish", "out").stderr
    assert not (tmp_path / "out/.gpu-pack").exists()


def test_machines_that_share_a_bucket_alone(
    source: Path, tmp_path: Path, gpu_pack_command: Run, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    servers.use_s3(monkeypatch, s3_url)
    gpu_pack_command("create", source, "one", "--shards", 2, *FLAGS)
    with open_bucket(s3_url) as bucket:
        out = f"s3://{bucket.name}/out"
        gpu_pack_command("plan", source, out, "--shards", 2, *FLAGS, "--staging", "a")
        gpu_pack_command("pack", out, "--shards", 1, "--staging", "b")
        assert "not packed yet: 0" in gpu_pack_command("publish", out, "--staging", "a", code=1).stderr
        gpu_pack_command("pack", out, "--shards", "0/2", "--staging", "c")
        gpu_pack_command("publish", out, "--staging", "d")
        found = {name.removeprefix("out/"): data for name, data in bucket.objects().items()}
    expected = published(tmp_path / "one")
    assert found.keys() == expected.keys()
    assert all(found[name] == data for name, data in expected.items() if name != "manifest.json")


# ---- the shards


def test_shards_of_a_size_instead_of_a_number(photos: Path, tmp_path: Path) -> None:
    """Each split has as many as its images need; the same number, given for one split, makes the same run."""
    for number in range(90):
        write_picture(photos / "ant" / f"x{number}.jpg", number)
    half = gpu_pack.Division((("train", Fraction(5, 6)), ("val", Fraction(1, 6))))
    options = gpu_pack.CreateOptions(gpu_pack.TransformSpec(size=24, crop=True), half, gpu_pack.DeviceOptions("cpu"))

    def plan(options: gpu_pack.CreateOptions, shard_bytes: int | None) -> list[int]:
        made = create.plan([str(photos)], tmp_path / "out", options, Spool(None), None, shard_bytes)
        return [len(shard.rows) for shard in made.shards]

    image = 2 * int(24**2 * 0.17)
    assert plan(options, 25 * image) == [25, 25, 25, 25, 20]
    assert plan(options, None) == [100, 20]
    explicit = replace(options, division=replace(half, shards=2))
    assert plan(explicit, 25 * image) == [50, 50, 10, 10]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3", [3]),
        ("3,7-9", [3, 7, 8, 9]),
        ("7-8, 1,8", [1, 7, 8]),
        ("0/4", [0, 1]),
        ("3/4", [7, 8, 9]),
        ("2/5", [4, 5]),
    ],
)
def test_numbers_of_shards(text: str, numbers: list[int]) -> None:
    assert parse_shards(text, 10) == numbers
    assert parse_shards(format_shards(numbers), 10) == numbers


def test_shares_are_every_shard_once() -> None:
    for count, shares in ((10, 16), (16, 16), (100, 7)):
        parts = [parse_shards(f"{share}/{shares}", count) for share in range(shares)]
        assert [*chain.from_iterable(parts)] == [*range(count)]


@pytest.mark.parametrize("text", ["", "x", "-1", "3-", "5-3", "10", "0-10", "4/4", "1/0", "1,,2"])
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"shards="):
        parse_shards(text, 10)


def test_a_finished_shard_whose_files_are_gone_is_packed_again(
    source: Path, tmp_path: Path, gpu_pack_command: Run
) -> None:
    gpu_pack_command("plan", source, "out", "--shards", 2, *FLAGS)
    gpu_pack_command("pack", "out")
    with Staging(tmp_path / "out") as staging:
        staging.path("train-00001-of-00002.idx").unlink()
        assert staging.result("train-00000-of-00002") and staging.result("train-00001-of-00002") is None
    gpu_pack_command("pack", "out")
    gpu_pack_command("publish", "out")
    assert "no faults" in gpu_pack_command("verify", "out").stdout


def test_calls_of_one_machine_at_the_same_time_take_its_time_once(
    source: Path, tmp_path: Path, gpu_pack_command: Run
) -> None:
    gpu_pack_command("plan", source, "out", *FLAGS)
    gpu_pack_command("pack", "out")
    (found,) = (tmp_path / "out/.gpu-pack").glob("*.call")
    call = json.loads(found.read_text())
    found.unlink()
    for number, (began, seconds) in enumerate([(100, 10), (105, 10), (106, 2), (200, 5)]):
        own = {**call, "images": 20, "began": began, "seconds": seconds}
        (tmp_path / f"out/.gpu-pack/{number}.call").write_text(json.dumps(own))
    ((_, did),) = json.loads(gpu_pack_command("publish", "out", "--json").stdout)["machines"].items()
    assert (did["images"], did["seconds"], did["images_per_second"]) == (80, 20, 4)
