"""OUT in an object store is what a local run writes; the rules about earlier runs are the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack.errors import OutputExistsError, SourceError, StrictError, UsageError
from gpu_pack.pipeline.pack_shards import pack_shards
from gpu_pack.stores.address import parse_address
from gpu_pack.stores.object_store import ObjectStore
from tests.folders import write_picture
from tests.pipeline.runs import interrupt_after, plan_of
from tests.pipeline.store.outputs import OPTIONS, SHARDS, Output, interrupt, run
from tests.stores import servers
from tests.stores.faulty_proxy import proxy

pytest.importorskip("obstore")


def test_what_goes_up_is_what_a_local_run_writes(
    out: Output, source: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    report = run(out, source, out.options())
    assert out.objects() == undisturbed
    assert (report.out, report.packed, report.rejected, report.resumed) == (out.address, 36, 4, 0)
    assert not out.left() and not out.bucket.unfinished()


def test_the_command_line(out: Output, source: Path, undisturbed: dict[str, bytes], gpu_pack_command: Any) -> None:
    """As people write it; the environment has the endpoint and the credentials, and no message repeats these."""
    args = ("create", source, out.address, "--size", 24, "--shards", SHARDS, "--device", "cpu", "--workers", 1)
    done = gpu_pack_command(*args, "--staging", "staging", "--json")
    assert json.loads(done.stdout)["files"].keys() == undisturbed.keys() - {"manifest.json"}
    assert "packing in" in done.stderr and "secret" not in done.stderr + done.stdout
    assert out.objects() == undisturbed
    done = gpu_pack_command(*args, code=1)
    assert done.stderr.splitlines()[-1] == (
        f"gpu-pack: {out.address}: a finished run lies there (36 images packed): choose another output, or replace it "
        "with overwrite=True (--overwrite)"
    )


def resume(source: Path, address: str, tmp_path: Path) -> gpu_pack.Report:
    """Pack two shards, and the others from another folder; then be refused."""
    plan = plan_of(source, address, dataclasses.replace(OPTIONS, staging=tmp_path / "first"))
    before = pack_shards(plan, [0, 3])
    report = gpu_pack.create(source, address, OPTIONS, staging=tmp_path / "second")
    assert (report.packed, report.rejected) == (36, 4)
    assert report.resumed == sum(shard.records for shard in before.shards)
    with pytest.raises(OutputExistsError, match=f"{address}: a finished run lies there"):
        gpu_pack.create(source, address, OPTIONS, staging=tmp_path / "second")
    return report


def test_gcs(gcs_url: str, monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path) -> None:
    servers.bare_environment(monkeypatch)
    with proxy(gcs_url, mend_put=True) as found:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", found.url)
        servers.make_gcs_folder(found.url, "outputs", "any")
        report = resume(source, "gs://outputs/out", tmp_path)
        listed = json.loads(servers.ask("GET", f"{found.url}/storage/v1/b/outputs/o?prefix=out/"))["items"]
    assert {item["name"] for item in listed} == {f"out/{name}" for name in [*report.files, "manifest.json"]}


def test_azure(azure_url: str, monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path) -> None:
    servers.bare_environment(monkeypatch)
    text = f"AccountName={servers.AZURE_ACCOUNT};AccountKey={servers.AZURE_KEY};BlobEndpoint={azure_url};"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    servers.make_azure_folder(azure_url, "outputs", "any")
    report = resume(source, "az://outputs/out", tmp_path)
    names = {item.name for item in ObjectStore(parse_address("az://outputs/out")).list("")}
    assert names == {*report.files, "manifest.json"}


def test_a_dry_run_asks_nothing_of_the_store(source: Path) -> None:
    report = gpu_pack.create(source, "s3://bucket-that-is-nowhere/out", OPTIONS, dry_run=True)
    assert (report.out, report.listed, report.dry_run) == ("s3://bucket-that-is-nowhere/out", 40, True)


@pytest.mark.parametrize(
    ("out", "options", "sentence"),
    [
        ("https://host/out", {}, "web servers are only read"),
        ("s3:/bucket/out", {}, "an address has two slashes"),
        ("out", {"staging": "elsewhere"}, "staging=elsewhere .--staging.: out is a folder"),
        ("s3://bucket/photos/out", {"source": "s3://bucket/photos"}, "the output lies inside the source"),
    ],
)
def test_outputs_that_cannot_be(source: Path, out: str, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        gpu_pack.create(options.pop("source", str(source)), out, **options)  # type: ignore[arg-type]


# ---- over an earlier run


def test_overwrite_replaces_all_of_an_earlier_run(out: Output, source: Path, undisturbed: dict[str, bytes]) -> None:
    run(out, source, dataclasses.replace(out.options(), division=gpu_pack.Division(shards=9)))
    out.bucket.put("out/sagemaker.json", b"made of the manifest")
    out.bucket.put("out/notes.txt", b"mine")
    with pytest.raises(OutputExistsError, match=r"options\.shards was 9, is 4"):
        run(out, source, out.options())
    run(out, source, out.options(overwrite=True))
    assert out.objects() == undisturbed | {"notes.txt": b"mine"}


def test_an_interrupted_overwrite(out: Output, source: Path, undisturbed: dict[str, bytes]) -> None:
    """Whole until the first shard goes up, and then no dataset until the last."""
    run(out, source, dataclasses.replace(out.options(), division=gpu_pack.Division(shards=9)))
    before = out.objects()
    interrupt_after(source, out.address, 3, out.options(overwrite=True))
    assert out.objects().items() >= before.items()
    with pytest.raises(OutputExistsError, match="an interrupted one that was to replace it"):
        run(out, source, out.options())
    interrupt(out, source, 2, overwrite=True)
    assert "manifest.json" not in out.objects()
    assert run(out, source, out.options("elsewhere")).resumed > 0
    assert out.objects() == undisturbed


def test_other_objects_are_not_replaced(out: Output, source: Path) -> None:
    out.bucket.put("out/classes.txt", b"mine")
    with pytest.raises(OutputExistsError, match=f"^{out.address}/classes.txt is there already"):
        run(out, source, out.options())
    assert out.objects() == {"classes.txt": b"mine"} and not out.left()


def test_strict_and_nothing_packed_leave_an_earlier_run_alone(out: Output, source: Path, tmp_path: Path) -> None:
    run(out, source, out.options())
    before = out.objects()
    with pytest.raises(StrictError):
        run(out, source, out.options(strict=True, overwrite=True))
    bad = tmp_path / "bad"
    for number in range(8):
        write_picture(bad / f"c/{number}.jpg", number)
        (bad / f"c/{number}.jpg").write_bytes((bad / f"c/{number}.jpg").read_bytes()[:100])
    with pytest.raises(SourceError, match="none of its 8 images can be packed, so nothing was written"):
        run(out, bad, out.options(overwrite=True))
    assert out.objects() == before and not out.left()


def test_strict_publishes_a_good_source(out: Output, photos: Path) -> None:
    report = run(out, photos, out.options(strict=True))
    assert report.packed == 30 and {*out.objects()} == {*report.files, "manifest.json"}
