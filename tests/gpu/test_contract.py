"""The backend contract on the GPU path, with each of its encoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from cpu_fallback.worker import make_codec
from gpu_pack.errors import BackendError
from gpu_pack.gpu.cuda_encoder import CudaEncoder
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import TransformSpec, Worker
from tests.contract import BackendContract
from tests.gpu import host_kernels
from tests.gpu.compiler import COMPILER
from tests.gpu.device import DEVICE, REQUIRE_GPU, need_dali
from tests.gpu.host_kernels import HostLaunch
from tests.pictures import jpeg, photo


class GpuContract(BackendContract):
    backend_name = "gpu"
    encoder = "cpu"
    encoders: ClassVar[dict[str, Callable]] = {}  # in place of those of `open_workers`

    def make_worker(self, spec: TransformSpec) -> Worker:
        need_dali()
        from gpu_pack.gpu.open_workers import ENCODERS, open_workers

        settings = GpuSettings(workers=1, batch_size=8, threads=2, encoder=self.encoder, device=DEVICE)
        return open_workers(spec, make_codec(spec), 0, settings, {**ENCODERS, **self.encoders})[0]

    def test_png_result_is_lossless(self) -> None:
        """PNG is the CPU's to write."""
        with pytest.raises(BackendError, match="--encoding png"):
            self.make_worker(TransformSpec(encoding="png", quality=3))


class TestCpuEncoder(GpuContract):
    encoder = "cpu"


class OtherEncoderContract(GpuContract):
    """The contract without what the graph alone decides, and pixels by definition: `TestCpuEncoder` tests these.

    Those of nvJPEG are compared with the CPU's in test_agreement; the kernels' files must equal OpenCV's.
    """

    test_pixels_agree_with_the_definition = None
    test_orientation_is_applied = None
    test_orientation_of_a_large_picture = None
    test_crop_begins_where_the_plan_says = None


class TestNvJpegEncoder(OtherEncoderContract):
    encoder = "nvjpeg"


class TestCudaEncoder(OtherEncoderContract):
    """On a GPU the kernels as NVRTC compiles them, else as a C++ compiler does for the host."""

    encoder = "cuda"
    encoders: ClassVar[dict[str, Callable]] = {}

    @pytest.fixture(autouse=True)
    def kernels(self, tmp_path_factory) -> None:
        if REQUIRE_GPU:
            return
        need_dali()
        if COMPILER is None:
            pytest.skip("no C++ compiler to build the kernels with")
        launch = HostLaunch(host_kernels.folder(tmp_path_factory))
        self.encoders["cuda"] = lambda context: CudaEncoder(context, launch)

    def test_it_is_the_encoder_that_runs(self) -> None:
        assert self.make_worker(TransformSpec(size=64)).encoder == "cuda"
        assert self.make_worker(TransformSpec(size=64, color="gray")).encoder == "cpu"

    @pytest.mark.parametrize("quality", [40, 95])
    def test_its_files_are_opencvs_for_the_same_crops(self, quality: int) -> None:
        spec = TransformSpec(size=100, quality=quality)
        files = [jpeg(photo(90 + 20 * seed, 140, seed)) for seed in range(8)]
        opencv = TestCpuEncoder()
        opencv.setup_class()
        expected = [outcome.data for outcome in opencv.packed(spec, *files)]
        opencv.teardown_class()
        assert [outcome.data for outcome in self.packed(spec, *files)] == expected
