"""`report`: what the page holds, that it is bounded, and that nothing in a dataset becomes a part of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gpu_pack.errors import OutputError, SourceError
from gpu_pack.tools.report.build import report
from gpu_pack.tools.report.quality import jpeg_quality
from gpu_pack.tools.report.words import bars, shown
from tests.folders import Run
from tests.pictures import jpeg, photo
from tests.tools import foreign_records
from tests.tools.report_sets import HOSTILE, hostile_set, noise_set


def page_of(path: Path, tmp_path: Path, **options: object) -> str:
    result = report(path, tmp_path / "page.html", **options)  # type: ignore[arg-type]
    page = Path(result.page).read_bytes()
    assert len(page) == result.page_bytes
    return page.decode()


def test_the_page_of_a_dataset(dataset: Path, tmp_path: Path) -> None:
    page = page_of(dataset, tmp_path)
    for words in ("class 0", "validation", "24x24", "quality 95", "antialias", "truncated", "gpu-pack 0"):
        assert words in page
    assert page.count("data:image/jpeg;base64,") >= 16
    outside = re.sub(r"http://www\.w3\.org/2000/svg", "", page)
    assert (
        "http:" not in outside and "https:" not in outside and "//" not in re.sub(r"\s//.*|base64,[^\"]*", "", outside)
    )


def test_nothing_of_a_dataset_becomes_markup(tmp_path: Path) -> None:
    page = page_of(hostile_set(tmp_path / "set"), tmp_path)
    assert len(re.findall("<script", page)) == 3 and "<img src=x" not in page and ' onfocus="' not in page
    assert not any(letter in page for letter in "\x00\x07\x1b\u202e")
    assert len(page) < 400_000, "names are shortened"


def test_a_page_is_bounded_whatever_the_pictures(tmp_path: Path) -> None:
    assert 5_000_000 < len(page_of(noise_set(tmp_path / "set"), tmp_path)) < 10_000_000


def test_a_page_is_bounded_whatever_the_names_and_labels(tmp_path: Path) -> None:
    folder, data = tmp_path / "set", jpeg(photo(20, 20))
    for number in range(12):
        records = ((key, key, key + 1000 * number, data) for key in range(1000))
        foreign_records.write_rec(folder / f"split{number}.rec", records)
    names = "".join(f"{number}{'<名' * 300}\n" for number in range(12_000))
    (folder / "classes.txt").write_text(names, encoding="utf-8")
    page = page_of(folder, tmp_path)
    assert len(page.encode()) < 10_000_000
    assert "5 others" in page and "of 12,000 labels" in page


def test_records_of_others(tmp_path: Path, record: Path) -> None:
    for path in (
        record,
        foreign_records.insightface(tmp_path / "faces" / "train.rec"),
        foreign_records.without_ids(tmp_path / "ids.rec"),
        foreign_records.joined(tmp_path / "joined.rec"),
        foreign_records.write_rec(tmp_path / "empty.rec", []),
        foreign_records.write_rec(tmp_path / "boxes.rec", [(1, 1, [4.0, 5, 0.5, 0.1], jpeg(photo(50, 50)))]),
        foreign_records.write_rec(tmp_path / "junk.rec", [(1, 1, float("nan"), b"no picture at all")]),
    ):
        assert "<h1>" in page_of(path, tmp_path)


def test_pictures_of_rejects_come_from_below_the_root_only(dataset: Path, tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret.jpg"
    root.mkdir()
    data = jpeg(photo(200, 200))
    secret.write_bytes(data)
    (root / "torn.jpg").write_bytes(data[: len(data) // 2])
    (root / "link.jpg").symlink_to(secret)
    paths = ["torn.jpg", "../secret.jpg", str(secret), "link.jpg", "nul\0", ".", "gone.jpg"]
    lines = [json.dumps({"key": 1, "path": path, "reason": "x", "code": "damaged"}) for path in paths]
    (dataset / "rejects.jsonl").write_text("\n".join([*lines, "[]", "{"]))
    assert page_of(dataset, tmp_path).count("<li><img") == 0
    page = page_of(dataset, tmp_path, root=root)
    assert page.count("<li><img") == 1 and "<li><img" in page[: page.index("<b>torn.jpg")]


def test_damage_shows_and_fails(record: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    data = record.read_bytes()
    record.write_bytes(data[: len(data) // 2])
    done = gpu_pack_command("report", record, code=1)
    assert "report.html: " in done.stderr
    assert "Faults (1)" in (tmp_path / "report.html").read_text()


def test_the_command(dataset: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    done = gpu_pack_command("report", dataset, "-o", "some.html", "--json")
    found = json.loads(done.stdout)
    assert found["page"] == "some.html" and found["records"] == 16 and found["findings"]["pictures"] == 16
    assert (tmp_path / "some.html").stat().st_size == found["page_bytes"]
    assert gpu_pack_command("report", "nowhere", code=1).stderr.count("\n") == 1
    with pytest.raises(OutputError):
        report(dataset, tmp_path / "no" / "page.html")
    with pytest.raises(SourceError, match=r"root=nowhere \(--root\): no such folder"):
        report(dataset, tmp_path / "page.html", root="nowhere")


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg(quality: int) -> None:
    assert jpeg_quality(jpeg(photo(40, 40), quality)) == quality


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xdb\x00\x02", b"\xff\xd8\xff\xdb\xff\xff\x00", b"PNG"]
)
def test_no_quality(data: bytes) -> None:
    assert jpeg_quality(data) is None


def test_words() -> None:
    assert shown("a\x1bb\n\ud800") == "a\\x1bb\\n\\ud800"
    assert len(shown(HOSTILE[5])) == 120
    rows = bars([("a", 8), ("b", 4), ("c", 1), ("d", 2)], 2)
    assert [(row.name, row.number, row.share) for row in rows] == [("a", 8, 100), ("b", 4, 50), ("2 others", 3, 37.5)]
