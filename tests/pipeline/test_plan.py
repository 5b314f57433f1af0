"""The unit of work: a plan's shards, packed by several processes in any order, give what one run gives."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack.errors import OutputError, OutputExistsError, OutputLockedError, UsageError
from gpu_pack.output.shard_files import ShardFiles
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline import create
from gpu_pack.pipeline.pack_shards import pack_shards
from gpu_pack.pipeline.plan import begin
from tests.folders import ENVIRONMENT, write_picture
from tests.pipeline.outputs import published
from tests.pipeline.runs import Killed, pack, plan_of

PASS_THROUGH = gpu_pack.TransformSpec(pass_through=True)
#: Packs some shards of a pickled plan, as another machine would.
WORKER = """
import pickle, sys
from gpu_pack.pipeline.pack_shards import pack_shards
plan = pickle.load(open(sys.argv[1], "rb"))
result = pack_shards(plan, map(int, sys.argv[3].split(",")))
pickle.dump(result, open(sys.argv[2], "wb"))
"""


@pytest.fixture
def source(photos: Path) -> Path:
    """Thirty pictures, three of them bad."""
    for name in ("ant/03.jpg", "bee/00.jpg", "cat/09.jpg"):
        (photos / name).write_bytes((photos / name).read_bytes()[:200])
    return photos


def options(spec: gpu_pack.TransformSpec | None = None, shards: int = 4) -> gpu_pack.CreateOptions:
    return gpu_pack.CreateOptions(
        spec or gpu_pack.TransformSpec(size=24),
        gpu_pack.Division((("train", Fraction(7, 10)), ("val", Fraction(3, 10))), shards=shards),
        gpu_pack.DeviceOptions("cpu", workers=2),
    )


@pytest.mark.parametrize("spec", [gpu_pack.TransformSpec(size=24), PASS_THROUGH], ids=["transform", "pass-through"])
def test_processes_that_share_a_plan_publish_what_one_run_does(
    source: Path, tmp_path: Path, spec: gpu_pack.TransformSpec
) -> None:
    """Shards in any order, two processes at a time, one shard in two of them."""
    expected = pack(plan_of(source, tmp_path / "one", options(spec)))
    plan = plan_of(source, tmp_path / "out", options(spec))
    (tmp_path / "plan").write_bytes(pickle.dumps(plan))
    results = []
    for pair in (("7,2", "0,5,1"), ("2,3", "6,4")):
        arguments = [(tmp_path / "plan", tmp_path / f"result {which}", which) for which in pair]
        processes = [
            subprocess.Popen([sys.executable, "-c", WORKER, *map(str, one)], env=ENVIRONMENT) for one in arguments
        ]
        assert [process.wait(60) for process in processes] == [0, 0]
        results += [pickle.loads(Path(one[1]).read_bytes()) for one in arguments]
    report = create.publish(plan, results)
    assert (report.packed, report.rejected, report.splits) == (27, 3, expected.splits)
    assert published(tmp_path / "out") == published(tmp_path / "one")


def test_a_plan_is_a_value(source: Path, tmp_path: Path) -> None:
    plan = plan_of(source, tmp_path / "out", options())
    with pytest.raises(FrozenInstanceError):
        plan.strict = True  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(plan))
    assert again.identity == plan_of(source, tmp_path / "out", options()).identity
    assert again.identity != plan_of(source, tmp_path / "out", options(shards=2)).identity
    assert not (tmp_path / "out").exists(), "a plan writes nothing"


def test_shards_that_are_missing_are_named(source: Path, tmp_path: Path) -> None:
    plan = plan_of(source, tmp_path / "out", options())
    result = pack_shards(plan, [0, 1, 3, 4, 6, 7])
    with pytest.raises(OutputError, match="2 of 8 shards are not packed yet: 2,5"):
        create.publish(plan, [result])
    assert not list((tmp_path / "out").glob("*.rec"))
    with pytest.raises(UsageError, match="shard 8: the plan has shards 0 to 7"):
        pack_shards(plan, [8])


def test_a_packed_shard_is_not_packed_again(source: Path, tmp_path: Path) -> None:
    plan = plan_of(source, tmp_path / "out", options())
    (first,) = pack_shards(plan, [0]).shards
    (second,) = pack_shards(plan, [0]).shards
    assert (first.resumed, second.resumed) == (0, first.records)
    assert replace(second, resumed=0) == first


def test_two_processes_do_not_pack_the_same_shard_at_once(source: Path, tmp_path: Path) -> None:
    plan = plan_of(source, tmp_path / "out", options())
    with Staging(plan.out, plan.staging, locked=False) as staging:
        begin(plan, staging)
        files = ShardFiles(staging, plan.listing, plan.shards[0], plan.checksum)
        files.open()
        with pytest.raises(OutputLockedError, match="another process is packing this shard"):
            pack_shards(plan, [0])
        pack_shards(plan, [1])
        files.close()
    pack_shards(plan, [0])


def test_another_plan_does_not_mix_with_what_lies_there(source: Path, tmp_path: Path) -> None:
    pack_shards(plan_of(source, tmp_path / "out", options()), [0])
    write_picture(source / "ant/new.jpg", 77)
    with pytest.raises(OutputExistsError, match="the source lists other images now"):
        pack_shards(plan_of(source, tmp_path / "out", options()), [1])


def test_another_plans_shards_are_not_published(source: Path, tmp_path: Path) -> None:
    plan = plan_of(source, tmp_path / "out", options())
    result = pack_shards(plan)
    other = plan_of(source, tmp_path / "out", options(gpu_pack.TransformSpec(size=32)))
    with pytest.raises(OutputExistsError, match=r"shards of another run lie there: options.size was 24, is 32"):
        create.publish(other, [result])
    create.publish(plan, [result])
    with pytest.raises(OutputError, match="no shard is packed there"):
        create.publish(replace(plan, out=tmp_path / "empty"), [result])
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("renames", [2, 8])
def test_a_killed_publication_is_completed_by_the_same_call(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    expected = pack(plan_of(source, tmp_path / "one", options()))
    plan = plan_of(source, tmp_path / "out", options())
    result = pack_shards(plan)
    rename, left = Path.replace, renames

    def dying(self: Path, target: Path) -> Path:
        nonlocal left
        left -= Path(target).parent == plan.out
        if left < 0:
            raise Killed
        return rename(self, target)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "replace", dying)
        create.publish(plan, [result])
    assert create.publish(plan, [result]).packed == expected.packed
    assert published(tmp_path / "out") == published(tmp_path / "one")


def test_a_shard_that_was_packed_twice_is_not_told_as_resumed(source: Path, tmp_path: Path) -> None:
    plan = plan_of(source, tmp_path / "out", options())
    results = [pack_shards(plan), pack_shards(plan)]
    assert create.publish(plan, results).resumed == 0
