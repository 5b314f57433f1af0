from __future__ import annotations

import pytest

from gpu_pack.errors import UsageError
from gpu_pack.formats.image_headers import read_header
from gpu_pack.gpu.capabilities import decodable, unsupported
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import TransformSpec
from tests.gpu.pictures import SAMPLINGS, jpeg, photograph, png


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"batch_size": 0},
        {"batch_size": 5000},
        {"batch_pixels": 0},
        {"hw_decoder_load": 1.1},
        {"hybrid_huffman_threshold": -1},
        {"threads": 0},
        {"encoder": "quick"},
        {"device": "tpu"},
    ],
    ids=str,
)
def test_settings_check_themselves(wrong):
    (value,) = wrong.values()
    with pytest.raises(UsageError, match=str(value)):
        GpuSettings(**wrong)


def test_cores_are_shared_out():
    assert GpuSettings(threads=7).threads_per_worker(3) == 7
    assert GpuSettings().threads_per_worker(10_000) == 1
    share = GpuSettings(cores=24)  # of a larger machine, whose other cores are others'
    assert (share.processes_per_gpu(2), share.threads_per_worker(6)) == (3, 4)


def test_processes_are_bounded_by_memory(monkeypatch):
    monkeypatch.setattr("gpu_pack.gpu.settings.available_cores", lambda: 64)
    gib = 1 << 30
    usual = GpuSettings()
    assert [usual.processes_per_gpu(1, memory * gib) for memory in (1, 4, 8, 16, 80)] == [1, 1, 2, 4, 4]
    assert GpuSettings(batch_size=1024).processes_per_gpu(1, 16 * gib) == 1
    split = GpuSettings(hw_decoder_load=0.7)
    assert split.process_bytes - gib == 2 * (usual.process_bytes - gib), "two graphs a worker"
    assert [split.processes_per_gpu(1, memory * gib) for memory in (4, 8, 16, 80)] == [1, 1, 3, 4]
    assert usual.processes_per_gpu(1) == usual.processes_per_gpu(2, 80 * gib) == 4
    assert GpuSettings(processes=3).processes_per_gpu(1, gib) == 3, "as it was asked for"


def test_which_options_the_gpu_serves():
    assert unsupported(TransformSpec()) is None
    assert unsupported(TransformSpec(color="gray", size=None, crop=False)) is None
    assert "png" in unsupported(TransformSpec(encoding="png", quality=3))
    assert "unchanged" in unsupported(TransformSpec(color="unchanged"))
    assert "pass-through" in unsupported(TransformSpec(pass_through=True))


PHOTO = photograph(64, 48)
BASELINE = jpeg(PHOTO)


def adobe(transform: int) -> bytes:
    """With an APP14 segment as Photoshop writes it."""
    return BASELINE[:2] + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform]) + BASELINE[2:]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        *((jpeg(PHOTO, sampling), sampling != "4:1:1") for sampling in SAMPLINGS),
        (jpeg(PHOTO[:, :, 0]), True),
        (jpeg(PHOTO, progressive=True), False),
        (png(PHOTO), False),
        (adobe(1), True),
        (adobe(0), False),
    ],
    ids=[*SAMPLINGS, "gray", "progressive", "png", "Adobe YCbCr", "Adobe RGB"],
)
def test_which_images_the_device_may_try(data, expected):
    assert decodable(data, read_header(data)) == expected


@pytest.mark.parametrize(
    "change", [{"components": 4, "sampling": ((1, 1),) * 4}, {"precision": 12}, {"sampling": ((1, 1),) * 2 + ((2, 2),)}]
)
def test_which_images_it_may_not(change):
    assert not decodable(BASELINE, read_header(BASELINE)._replace(**change))
