"""Probe and doctor on machines that this one is not: a fake driver library answers for them."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from gpu_pack import doctor
from gpu_pack.backends import DeviceOptions
from gpu_pack.gpu import probe
from gpu_pack.gpu.driver import NO_VIDEO
from gpu_pack.gpu.engine_use import EngineUse
from gpu_pack.gpu.probe import Machine
from gpu_pack.pipeline.plan import versions
from gpu_pack.types import TransformSpec

ALL13 = tuple((new, "1.0") for new, _ in probe.PACKAGES.values())
ALL12 = tuple((old, "1.0") for _, old in probe.PACKAGES.values())
H200 = ("NVIDIA H200", 150_754_820_096, (9, 0))
V100 = ("Tesla V100-SXM2-16GB", 16_935_682_048, (7, 0))


class FakeCuda:
    """libcuda and NVML in one: writes its answers where the caller's pointers point."""

    def __init__(self, cuda=13000, gpus=(), init=0, engines=7) -> None:
        self.cuda, self.gpus, self.init, self.engines, self.retained = cuda, gpus, init, engines, 0
        self.busy = [0] * len(gpus)

    def cuDriverGetVersion(self, version):  # noqa: N802 as in the C library, like the rest
        version._obj.value = self.cuda
        return 0

    def cuInit(self, flags):  # noqa: N802
        return self.init

    def cuGetErrorString(self, status, text):  # noqa: N802
        text._obj.value = {100: b"no CUDA-capable device is detected"}.get(status.value)
        return 0 if text._obj.value else 1

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = len(self.gpus)
        return 0

    def cuDeviceGet(self, device, number):  # noqa: N802
        device._obj.value = number.value
        return 0

    def cuDeviceGetName(self, name, length, device):  # noqa: N802
        name.value = self.gpus[device.value][0].encode()
        return 0

    def cuDeviceTotalMem_v2(self, memory, device):  # noqa: N802
        memory._obj.value = self.gpus[device.value][1]
        return 0

    def cuDeviceGetAttribute(self, value, attribute, device):  # noqa: N802
        value._obj.value = self.gpus[device.value][2][attribute.value - 75]
        return 0

    def cuDevicePrimaryCtxRetain(self, context, device):  # noqa: N802
        self.retained += 1
        return 0

    def cuCtxGetCurrent(self, context):  # noqa: N802
        return 0

    def cuCtxSetCurrent(self, context):  # noqa: N802
        return 0

    def cuDevicePrimaryCtxRelease_v2(self, device):  # noqa: N802
        self.retained -= 1
        return 0

    def nvmlInit_v2(self):  # noqa: N802
        return 0

    def nvmlSystemGetDriverVersion(self, version, length):  # noqa: N802
        version.value = b"580.65.06"
        return 0

    def cuDeviceGetPCIBusId(self, name, length, device):  # noqa: N802
        name.value = f"0000:0{device.value}:00.0".encode()
        return 0

    def nvmlDeviceGetHandleByPciBusId_v2(self, name, device):  # noqa: N802
        device._obj.value = int(name.value[5:7]) + 1
        return 0

    def nvmlDeviceGetJpgUtilization(self, device, percent, period):  # noqa: N802
        percent._obj.value = self.busy[device.value - 1]
        return 0

    def nvmlShutdown(self):  # noqa: N802
        return 0

    def nvjpegCreateSimple(self, handle):  # noqa: N802
        return 0 if self.retained else 1

    def nvjpegGetHardwareDecoderInfo(self, handle, engines, cores):  # noqa: N802
        engines._obj.value = self.engines
        return 0

    def nvjpegDestroy(self, handle):  # noqa: N802
        return 0


def machine(library, packages=ALL13, system="linux") -> Machine:
    """A machine with a C library in place of all that it loads, and with some distributions installed."""
    needs = ["numpy>=1", *(f'gpu{n}==1; sys_platform == "linux" and extra == "cuda{n}"' for n in (12, 13))]
    there = {"gpu-pack": SimpleNamespace(version="1.0", requires=needs), "numpy": SimpleNamespace(version="2.0")}
    there |= {name: SimpleNamespace(version=version) for name, version in packages}
    modules = {module for module, names in probe.PACKAGES.items() if there.keys() & set(names)}
    return Machine(system, lambda names: library, there.get, modules.__contains__)


def test_a_machine_that_has_everything():
    found = probe.probe(machine(FakeCuda(gpus=(H200, H200))))
    assert found.usable
    assert found.cure == ""
    assert found.reason == "NVIDIA H200"
    assert [(gpu.number, gpu.memory, gpu.compute) for gpu in found.gpus] == [(n, *H200[1:]) for n in (0, 1)]
    assert found.cuda == (13, 0)


def test_cuda_12_will_do():
    assert probe.probe(machine(FakeCuda(12040, (V100,)), ALL12)).usable
    assert probe.probe(machine(FakeCuda(13000, (H200,)), ALL12)).usable


@pytest.mark.parametrize(
    ("library", "packages", "reason", "cure"),
    [
        (None, ALL13, "no NVIDIA driver", "install its driver"),
        (None, (), "no NVIDIA driver", "pip install 'gpu13==1'"),
        (FakeCuda(init=100), ALL13, "no CUDA-capable device is detected", "nvidia-smi"),
        (FakeCuda(init=999), ALL13, "error 999", "nvidia-smi"),
        (FakeCuda(gpus=()), ALL13, "shows no GPU", "CUDA_VISIBLE_DEVICES"),
        (FakeCuda(11080, (H200,)), ALL13, "CUDA 11.8", "Update the driver"),
        (FakeCuda(13000, (H200,)), (), "nvidia-dali-cuda130, nvidia-nvimgcodec-cu13", "pip install 'gpu13==1'"),
        (FakeCuda(12080, (H200,)), (), "not nvidia-dali-cuda120", "pip install 'gpu12==1'"),
        (FakeCuda(13000, (V100,)), (), "not nvidia-dali-cuda120", "pip install 'gpu12==1'"),
        (FakeCuda(13000, (H200,)), ALL13[:2], "not cupy-cuda13x", "pip install 'gpu13==1'"),
        (FakeCuda(12080, (H200,)), ALL13, "driver supports CUDA 12.8", "pip install 'gpu12==1'"),
        (FakeCuda(13000, (V100,)), ALL13, "V100-SXM2-16GB needs CUDA 12", "pip uninstall -y nvidia-dali-cuda130"),
    ],
)
def test_what_is_missing_and_what_to_do(library, packages, reason, cure):
    found = probe.probe(machine(library, packages))
    assert not found.usable
    assert reason in found.reason
    assert cure in found.cure
    assert not found.reason.endswith(".")


@pytest.mark.parametrize(("system", "name"), [("darwin", "macOS"), ("win32", "Windows")])
def test_other_systems_get_a_calm_answer(system, name):
    found = probe.probe(machine(None, (), system))
    assert not found.usable
    assert name in found.reason
    assert "--device cpu" in found.cure


def test_a_broken_installation_is_an_answer_too():
    found = probe.probe(machine(object()))  # a library without any of the functions
    assert not found.usable
    assert "cannot be examined" in found.reason


def test_the_probe_imports_nothing_of_cuda():
    code = (
        "import sys; from gpu_pack.gpu.probe import probe; probe();"
        "print([name for name in ('nvidia.dali', 'cupy', 'cv2', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_versions_that_decide_pixels():
    """They are in manifest and identity of a run that may take a GPU, and only there."""
    there = machine(None, (*ALL13, ("nvidia-nvjpeg", "13.3")))
    pixels = {"nvidia-dali-cuda130": "1.0", "nvidia-nvimgcodec-cu13": "1.0", "nvidia-nvjpeg": "13.3"}
    spec, cpu = TransformSpec(), versions(TransformSpec(), DeviceOptions("cpu"), there)
    assert cpu.keys() == {"gpu-pack", "opencv"}
    for device in ("auto", "gpu", "hybrid"):
        assert versions(spec, DeviceOptions(device), there) == cpu | pixels
        assert versions(spec, DeviceOptions(device), machine(None, ())) == cpu
    assert versions(TransformSpec(color="unchanged"), DeviceOptions("auto"), there) == cpu


def test_doctor_with_a_gpu():
    library = FakeCuda(gpus=(H200,))
    diagnosis = doctor.diagnose(machine(library))
    assert library.retained == 0
    assert (diagnosis.device, diagnosis.cure, diagnosis.driver, diagnosis.cuda) == ("gpu", "", "580.65.06", "13.0")
    text = doctor.render(diagnosis)
    assert "auto takes the GPU: NVIDIA H200" in text
    assert "NVIDIA H200, 140.4 GiB, compute capability 9.0, 7 JPEG engines" in text
    assert json.loads(json.dumps(diagnosis.to_json()))["gpus"][0]["jpeg_engines"] == 7


@pytest.mark.parametrize(
    ("missing", "engines", "told"),
    [
        ("nvcuvid", 7, "7 JPEG engines: libnvcuvid.so.1 cannot be loaded"),
        ("nvjpeg", 7, "JPEG engines unknown: nvJPEG is not installed"),
        ("", 0, "no JPEG engine: this GPU has none"),
    ],
)
def test_doctor_says_why_engines_are_not_used(missing, engines, told):
    library = FakeCuda(gpus=(H200,), engines=engines)
    load = lambda names: None if missing and any(missing in name for name in names) else library  # noqa: E731
    without = dataclasses.replace(machine(library), load=load)
    if missing == "nvjpeg":
        pytest.importorskip("nvidia.nvimgcodec")  # whose packages bring nvJPEG's library
    text = doctor.render(doctor.diagnose(without))
    assert told in text
    assert ("NVIDIA_DRIVER_CAPABILITIES=compute,utility,video" in text) == (missing == "nvcuvid")
    found = probe.probe(without)
    assert found.usable
    assert ("libnvcuvid.so.1" in found.reason) == (missing == "nvcuvid")


def test_whether_the_engines_worked():
    library = FakeCuda(gpus=(H200, H200))

    def used(gpus=(0, 1), load=lambda names: library) -> str:
        with EngineUse(gpus, load) as use:
            assert use.result == ""
        return use.result

    assert used() == "never busy (samples: 2): `gpu-pack doctor` shows whether there are any"
    library.busy[1] = 73
    assert used() == "busy up to 73 %"
    assert used([0], lambda names: None if "libnvcuvid.so.1" in names else library) == (
        f"never busy (samples: 1): {NO_VIDEO}"
    )
    unknown = "unknown, since the driver does not say how busy they were"
    assert used(load=lambda names: None) == used(load=lambda names: object()) == unknown


def test_doctor_without_one():
    diagnosis = doctor.diagnose(machine(None, ()))
    text = doctor.render(diagnosis)
    assert diagnosis.device == "cpu"
    assert "auto takes the CPU: no NVIDIA driver is installed" in text
    assert "pip install 'gpu13==1'" in text
    assert "nvidia-dali-cuda130" in text
    told = json.loads(json.dumps(diagnosis.to_json()))
    assert told["versions"]["numpy"]
    assert told["versions"]["nvidia-dali-cuda130"] is None
    assert told["gpus"] == []
    assert told["cores"] >= 1


def test_doctor_names_the_cuda_12_packages_where_these_are_installed():
    assert "nvidia-dali-cuda120" in doctor.render(doctor.diagnose(machine(FakeCuda(12040, (V100,)), ALL12)))
