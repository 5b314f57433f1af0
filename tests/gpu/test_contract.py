"""The backend contract on the GPU path, with each of its encoders."""

from __future__ import annotations

import pytest

from cpu_fallback.worker import make_codec
from gpu_pack.errors import BackendError
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.interface import TransformSpec, Worker
from tests.contract import BackendContract
from tests.gpu.conftest import DEVICE, need_dali


class GpuContract(BackendContract):
    backend_name = "gpu"
    encoder = "cpu"

    def make_worker(self, spec: TransformSpec) -> Worker:
        need_dali()
        from gpu_pack.gpu.worker import open_workers

        settings = GpuSettings(workers=1, batch_size=8, threads=2, encoder=self.encoder, device=DEVICE)
        return open_workers(spec, make_codec(spec), [0], settings)[0]

    def test_png_result_is_lossless(self) -> None:
        """PNG is the CPU's to write."""
        with pytest.raises(BackendError, match="--encoding png"):
            self.make_worker(TransformSpec(encoding="png", quality=3))

    def test_pass_through_keeps_the_file(self) -> None:
        """Nothing is decoded, so there is nothing for a GPU to do."""
        with pytest.raises(BackendError, match="--pass-through"):
            self.make_worker(TransformSpec(pass_through=True))


class TestCpuEncoder(GpuContract):
    encoder = "cpu"


class TestNvJpegEncoder(GpuContract):
    encoder = "nvjpeg"
