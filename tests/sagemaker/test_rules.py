"""Each rule of the training job: broken, it is named, and nothing is uploaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import pytest

import gpu_pack
from gpu_pack.errors import SourceError
from gpu_pack.sagemaker.options import JobOptions
from gpu_pack.sagemaker.upload import upload
from tests.sagemaker.datasets import HALVES, pack


def _faults(out: Path, *pairs: tuple[str, str], validation: str | None = None) -> list[str]:
    job = upload(out, "s3://some-bucket", JobOptions(validation=validation, hyperparameters=pairs, dry_run=True))
    assert job.ok == (not job.faults) == bool(job.request)
    return job.faults


def _listed(folder: Path, pictures: Path, label: str) -> Path:
    """A dataset from .lst lines with these labels."""
    names = sorted(str(path) for path in pictures.rglob("*.jpg"))
    path = folder / "my.lst"
    path.write_text("".join(f"{number}\t{label.format(number % 3)}\t{name}\n" for number, name in enumerate(names)))
    return pack(path, folder / "out", size=32, stratify=False, root="/", allow_outside=True)


def test_a_dataset_that_keeps_every_rule(dataset: Path) -> None:
    seen: list[tuple[str, int, int | None, str]] = []
    job = upload(
        dataset,
        "s3://some-bucket/",
        JobOptions(dry_run=True),
        lambda state: seen.append((state.detail, state.done, state.total, state.unit)),
    )
    assert job.ok and job.images == {"train": 40, "validation": 32}
    total = sum((dataset / name).stat().st_size for name in ("train.rec", "val.rec"))
    assert seen[-1] == ("checked", total, total, "bytes")


def test_fewer_images_than_a_batch(dataset: Path) -> None:
    assert _faults(dataset, ("mini_batch_size", "40")) == [
        f"{dataset / 'val.rec'}: fewer images (32) than mini_batch_size (40): pack more, or give --hyperparameter "
        "mini_batch_size=32"
    ]


def test_images_smaller_than_the_shape(dataset: Path) -> None:
    faults = _faults(dataset, ("image_shape", "3,32,33"))
    assert len(faults) == 2 and "smaller than 32 x 33 (image_shape): 40 of 40 images, the smallest key" in faults[0]
    assert _faults(dataset, ("use_pretrained_model", "1")) != []
    assert _faults(dataset, ("image_shape", "3,28,28")) == []
    # What the job itself enlarges may be small.
    assert _faults(dataset, ("image_shape", "3,32,64"), ("resize", "64")) == []
    faults = _faults(dataset, ("image_shape", "3,32,64"), ("resize", "48"))
    assert faults == ["resize=48 is less than image_shape 3,32,64: images would be too small"]


def test_upright_sizes_count_for_shapes_that_are_not_square(pictures: Path, tmp_path: Path) -> None:
    out = pack(pictures, tmp_path / "out", pass_through=True)
    assert _faults(out, ("image_shape", "3,36,40")) == []
    assert len(_faults(out, ("image_shape", "3,40,36"))) == 2
    assert "smaller than 224 x 224 (image_shape): 40 of 40" in _faults(out)[0]


def test_formats_that_the_job_does_not_decode(pictures: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(pictures, tmp_path / "source"))
    for path in sorted(source.rglob("*.jpg"))[::3]:
        picture = cv2.imread(str(path))
        path.write_bytes(cv2.imencode(".webp", picture)[1].tobytes())
    faults = _faults(pack(source, tmp_path / "out", pass_through=True), ("image_shape", "3,32,32"))
    assert faults and all("webp, where the job reads JPEG and PNG" in fault for fault in faults)


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ("{}.5", "label 0.5 is no class number"),
        ("-{}", "label -"),
        ("{}\t7", "several labels, where a job with RecordIO files takes one: 40 of 40 images"),
        ("1{}", "no image has the label 0, 1, 2, 3, 4, 5, 6, 7 and 2 more; the job takes 0 to 12 without gaps"),
    ],
)
def test_labels_that_are_no_class_numbers(label: str, sentence: str, pictures: Path, tmp_path: Path) -> None:
    faults = _faults(_listed(tmp_path, pictures, label))
    assert any(sentence in fault for fault in faults), faults


def test_a_class_without_training_images_is_named(pictures: Path, tmp_path: Path) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("a\nb\nc\nd\n")
    faults = _faults(pack(pictures, tmp_path / "out", size=32, classes=names))
    assert len(faults) == 1 and "no image has the label 3 (d); the job takes 0 to 3" in faults[0]


@pytest.mark.parametrize("at", [0.0, 0.3, 0.99])
def test_bytes_that_changed_since_they_were_published(at: float, dataset: Path) -> None:
    path = dataset / "train.rec"
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 4
    path.write_bytes(data)
    assert any("its bytes are not those that were published" in fault for fault in _faults(dataset))


def test_splits_that_cannot_be_channels(dataset: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no split is named test, only train, val"):
        _faults(dataset, validation="test")
    cases = (
        ({"splits": "train=1"}, "no split but train, .*`gpu-pack create SOURCE .* --split validation=0.1` makes one"),
        ({"splits": {"train": "1/3", "one": "1/3", "two": "1/3"}}, "which split is for validation: one, two"),
        ({"splits": HALVES, "shards": 2}, "split train has 2 .rec files, and a channel takes one"),
    )
    for number, (options, sentence) in enumerate(cases):
        gpu_pack.create(pictures, tmp_path / str(number), size=32, device="cpu", **options)  # type: ignore[arg-type]
        with pytest.raises(SourceError, match=sentence):
            _faults(tmp_path / str(number))


def test_what_is_no_dataset(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        _faults(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="name a folder that `gpu-pack create` has finished"):
        _faults(dataset / "train.rec")
    (dataset / "val.rec").unlink()
    with pytest.raises(SourceError, match=r"val\.rec: cannot be read"):
        _faults(dataset)
