"""The tools on addresses: what they report is what they report of the same files in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_pack.cli.main import run
from gpu_pack.errors import GpuPackError, OutputExistsError, SourceError, UsageError
from gpu_pack.stores.address import Retry, StoreOptions, parse_address
from gpu_pack.stores.remote_path import RemotePath
from gpu_pack.tools.extract import extract
from gpu_pack.tools.index import index
from gpu_pack.tools.inspect import inspect
from gpu_pack.tools.report.build import report
from gpu_pack.tools.report.record import find_record
from gpu_pack.tools.report.sheet import draw_sheet
from gpu_pack.tools.verify import verify
from tests.stores import servers
from tests.stores.faulty_proxy import CUT, RESET, Plan, Proxy, always, first, proxy
from tests.tools import foreign_records
from tests.tools.datasets import FILES

pytest.importorskip("obstore")
boto3 = pytest.importorskip("boto3")

ADDRESS = "s3://bucket-of-tools/sets/out"
#: One of each kind.
DAMAGED = [*FILES[:3], *(f"train-00001-of-00002.{suffix}" for suffix in ("rec", "idx", "lst"))]
QUICK = Retry(tries=4, first_seconds=0.01, most_seconds=0.02)


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with servers.serve_s3() as url:
        yield url


@pytest.fixture
def s3(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a server with one empty bucket."""
    servers.use_s3(monkeypatch, s3_url)
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket-of-tools")
    yield client
    for item in client.list_objects_v2(Bucket="bucket-of-tools").get("Contents", ()):
        client.delete_object(Bucket="bucket-of-tools", Key=item["Key"])
    client.close()


def put(s3: Any, folder: Path) -> str:
    """Copy the files of a folder to `ADDRESS`."""
    for path in folder.iterdir():
        if path.is_file():
            s3.put_object(Bucket="bucket-of-tools", Key=f"sets/out/{path.name}", Body=path.read_bytes())
    return ADDRESS


def plain(report: Any, place: object) -> dict[str, Any]:
    """A report without durations, and with one name for the place."""
    value: dict[str, Any] = report.to_json()
    value.pop("seconds", None)
    value.pop("dest", None)
    for name in ("notes", "warnings"):  # which are in the order of the places
        value[name] = sorted(value.get(name, ()), key=lambda each: str(each["code"]))
    text = json.dumps(value).replace(json.dumps(str(place))[1:-1], "PLACE")
    return dict(json.loads(text))


def same_as_locally(folder: Path, address: str) -> dict[str, Any]:
    """The reports of verify and inspect, which must be the same."""
    found = plain(verify(address, workers=2), address)
    assert found == plain(verify(folder, workers=2), folder)
    assert plain(inspect(address, findings=True), address) == plain(inspect(folder), folder)
    return found


def test_a_dataset_is_read_where_it_is(packed: Path, s3: Any, tmp_path: Path) -> None:
    address = put(s3, packed)
    found = same_as_locally(packed, address)
    assert (found["ok"], found["records"], found["notes"]) == (True, 16, [])
    local, remote = extract(packed, tmp_path / "local"), extract(address, tmp_path / "remote")
    assert plain(local, packed) == plain(remote, address) and local.written == 16
    files, others = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.jpeg")}
        for folder in (tmp_path / "local", tmp_path / "remote")
    )
    assert files == others and len(files) == 16
    assert extract(address + "/", tmp_path / "one", split="validation", limit=1).written == 1


def test_a_dataset_is_looked_at_where_it_is(packed: Path, s3: Any, tmp_path: Path) -> None:
    address, page = put(s3, packed), tmp_path / "page.html"
    report(address, page)
    remote = page.read_text()
    report(packed, page)
    assert remote == page.read_text(), "the page is the same"
    key = int((packed / "train-00001-of-00002.lst").read_text().partition("\t")[0])
    assert find_record(address, key) == find_record(packed, key)
    sheets = [draw_sheet(path, tmp_path / f"{number}.png") for number, path in enumerate((address, packed))]
    assert sheets[0].pictures == 16
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()
    assert inspect(address).findings is None, "which would read everything"


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_and_what_is_missing_is_found_as_locally(dataset: Path, s3: Any, name: str) -> None:
    put(s3, dataset)
    data = bytearray((dataset / name).read_bytes())
    data[len(data) // 2] ^= 64
    (dataset / name).write_bytes(data)
    assert not same_as_locally(dataset, put(s3, dataset))["ok"]
    (dataset / name).unlink()
    s3.delete_object(Bucket="bucket-of-tools", Key=f"sets/out/{name}")
    report = verify(ADDRESS, workers=2)
    assert not report.ok or name == "manifest.json"
    for fault in report.faults:
        assert fault.file.startswith(ADDRESS)


def test_one_record_file_and_its_index(record: Path, s3: Any) -> None:
    put(s3, record.parent)
    rec = f"{ADDRESS}/some.rec"
    assert plain(verify(rec), ADDRESS) == plain(verify(record), record.parent)
    for place in (rec, record):
        (made,) = index(place)
        assert made.ok and made.written and made.idx == str(place)[:-3] + "idx"
    stored = s3.get_object(Bucket="bucket-of-tools", Key="sets/out/some.idx")["Body"].read()
    assert stored == record.with_suffix(".idx").read_bytes()
    assert plain(verify(rec), ADDRESS) == plain(verify(record), record.parent)
    assert plain(inspect(rec, findings=True), ADDRESS) == plain(inspect(record), record.parent)
    with pytest.raises(OutputExistsError, match=r"s3://bucket-of-tools/sets/out/some\.idx is there already"):
        index(rec)
    (made,) = index(rec, overwrite=True, rekey=True, output=record.parent / "other.idx")
    assert made.idx == str(record.parent / "other.idx") and (record.parent / "other.idx").read_text()[:4] == "0\t0\n"


@pytest.mark.parametrize("make", [foreign_records.insightface, foreign_records.without_ids, foreign_records.joined])
def test_records_of_other_writers(make: Any, s3: Any, tmp_path: Path) -> None:
    make(tmp_path / "out" / "train.rec")
    same_as_locally(tmp_path / "out", put(s3, tmp_path / "out"))


def test_a_plain_web_server(packed: Path, record: Path, s3: Any, s3_url: str, tmp_path: Path) -> None:
    """The same server, as one for files: of a folder, the manifest names them."""
    s3.put_bucket_acl(Bucket="bucket-of-tools", ACL="public-read")
    put(s3, packed)
    folder = f"{s3_url}/bucket-of-tools/sets/out"
    same_as_locally(packed, folder)
    put(s3, record.parent)
    rec = f"{folder}/some.rec"
    assert inspect(rec).records == inspect(record).records
    with pytest.raises(UsageError, match=r"some\.idx: web servers take no files: name a place.*--output"):
        index(rec)
    (made,) = index(rec, output=tmp_path / "some.idx")
    assert made.ok and (tmp_path / "some.idx").stat().st_size
    s3.delete_object(Bucket="bucket-of-tools", Key="sets/out/manifest.json")
    with pytest.raises(SourceError, match=f"{folder}: cannot be read: No such file"):
        verify(folder)


def _through(url: str, s3: Any, record: Path, plan: Plan) -> Iterator[tuple[Proxy, RemotePath]]:
    put(s3, record.parent)
    with proxy(url, plan) as found:
        yield found, RemotePath(parse_address(f"{ADDRESS}/some.rec"), StoreOptions(found.url, retry=QUICK))


@pytest.mark.parametrize("plan", [first(2, RESET, "some.rec"), first(2, CUT, "some.rec")])
def test_what_goes_wrong_for_a_moment_is_repeated(record: Path, s3: Any, s3_url: str, plan: Plan) -> None:
    for found, place in _through(s3_url, s3, record, plan):
        assert plain(verify(place), ADDRESS) == plain(verify(record), record.parent)
        assert len([each for each in found.asked if "some.rec" in each.path]) > 3


@pytest.mark.parametrize("plan", [always(RESET, "some.rec"), always(CUT, "some.rec")])
def test_what_goes_wrong_again_and_again_is_one_sentence(record: Path, s3: Any, s3_url: str, plan: Plan) -> None:
    for _, place in _through(s3_url, s3, record, plan):
        with pytest.raises(GpuPackError) as caught:
            inspect(place)
        assert str(caught.value).startswith(f"{place}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("s3://bucket-of-tools/none.rec", "s3://bucket-of-tools/none.rec: cannot be read: No such file or directory"),
        ("s3://bucket-of-tools/none", "s3://bucket-of-tools/none: cannot be listed: there is nothing"),
        ("s3://no-bucket/out/x.rec", "s3://no-bucket: there is no such bucket"),
        ("s3:/bucket-of-tools/x", "an address has two slashes"),
    ],
)
def test_what_is_not_there_is_one_sentence(address: str, sentence: str, s3: Any, tmp_path: Path) -> None:
    for command in (["verify", address], ["inspect", address], ["extract", address, str(tmp_path / "x")]):
        with pytest.raises(GpuPackError) as caught:
            run(command)
        assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_the_command_line_takes_addresses_and_the_server(
    packed: Path, s3: Any, s3_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    s3.put_bucket_acl(Bucket="bucket-of-tools", ACL="private")
    put(s3, packed)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert run(["verify", ADDRESS, "--endpoint-url", s3_url, "-q"]) == 0
    assert run(["inspect", ADDRESS, "--endpoint-url", s3_url, "--anonymous"]) == 1  # it is not public
    assert "access is denied (403)" in capsys.readouterr().out
    s3.put_bucket_acl(Bucket="bucket-of-tools", ACL="public-read")
    put(s3, packed)
    capsys.readouterr()
    assert run(["inspect", ADDRESS, "--endpoint-url", s3_url, "--anonymous", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 16
    assert run(["index", f"{ADDRESS}/train-00000-of-00002.rec", "--overwrite", "--endpoint-url", s3_url]) == 0


def test_heads_of_large_records_are_read_and_no_more(s3: Any, s3_url: str, tmp_path: Path) -> None:
    rec = tmp_path / "out" / "train.rec"
    image = foreign_records.smooth_jpeg(0) + bytes(200_000)
    foreign_records.write_rec(rec, ((n, n, 1.0, image) for n in range(20)))
    put(s3, rec.parent)
    with proxy(s3_url) as counted:
        report = inspect(f"{ADDRESS}/train.rec", first=0, endpoint_url=counted.url)
        read = counted.bytes_of("train.rec")
        taken = extract(f"{ADDRESS}/train.rec", tmp_path / "x", keys=[3, 17], endpoint_url=counted.url)
        more = counted.bytes_of("train.rec") - read
    assert (report.records, report.sampled, report.sizes) == (20, 20, {"40x30": 20})
    assert read < 20 * 5000
    assert (taken.written, taken.faults, taken.missing) == (2, [], []) and more < 2 * len(image) + 20 * 5000
    assert {path.read_bytes() for path in (tmp_path / "x").rglob("*.jpg")} == {image}
