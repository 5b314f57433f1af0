"""Probe and doctor on machines that this one is not: a fake driver library answers for them."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from gpu_pack import doctor
from gpu_pack.gpu import driver, probe

ALL13 = tuple((new, "1.0") for new, _ in probe.PACKAGES.values())
ALL12 = tuple((old, "1.0") for _, old in probe.PACKAGES.values())
H200 = ("NVIDIA H200", 150_754_820_096, (9, 0))
V100 = ("Tesla V100-SXM2-16GB", 16_935_682_048, (7, 0))


class FakeCuda:
    """libcuda and NVML in one: writes its answers where the caller's pointers point."""

    def __init__(self, cuda=13000, gpus=(), init=0) -> None:
        self.cuda, self.gpus, self.init, self.retained = cuda, gpus, init, 0

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

    def nvmlShutdown(self):  # noqa: N802
        return 0

    def nvjpegCreateSimple(self, handle):  # noqa: N802
        return 0 if self.retained else 1

    def nvjpegGetHardwareDecoderInfo(self, handle, engines, cores):  # noqa: N802
        engines._obj.value = 7
        return 0

    def nvjpegDestroy(self, handle):  # noqa: N802
        return 0


@pytest.fixture
def machine(monkeypatch):
    """A function that makes this machine another one."""

    def become(library, packages=ALL13, system="linux"):
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(driver, "_load", lambda names: library)
        monkeypatch.setattr(probe, "installed", lambda: packages)
        monkeypatch.setattr(doctor, "installed", lambda: packages)
        names = {name for name, _ in packages}
        found = {module for module, both in probe.PACKAGES.items() if names & set(both)}
        monkeypatch.setattr(probe, "_found", lambda module: module in found)
        return probe.probe()

    return become


def test_a_machine_that_has_everything(machine):
    found = machine(FakeCuda(gpus=(H200, H200)))
    assert found.usable
    assert found.cure == ""
    assert found.reason == "NVIDIA H200"
    assert [(gpu.number, gpu.memory, gpu.compute) for gpu in found.gpus] == [(n, *H200[1:]) for n in (0, 1)]
    assert found.cuda == (13, 0)


def test_cuda_12_will_do(machine):
    assert machine(FakeCuda(12040, (V100,)), ALL12).usable
    assert machine(FakeCuda(13000, (H200,)), ALL12).usable


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the installed distribution says that it needs."""
    needs = [
        "numpy>=1",
        *(f'gpu{number}==1; sys_platform == "linux" and extra == "cuda{number}"' for number in (12, 13)),
    ]
    monkeypatch.setattr("gpu_pack.gpu.probe.requires", lambda name: needs)


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
def test_what_is_missing_and_what_to_do(machine, library, packages, reason, cure):
    found = machine(library, packages)
    assert not found.usable
    assert reason in found.reason
    assert cure in found.cure
    assert not found.reason.endswith(".")


@pytest.mark.parametrize(("system", "name"), [("darwin", "macOS"), ("win32", "Windows")])
def test_other_systems_get_a_calm_answer(machine, system, name):
    found = machine(None, (), system)
    assert not found.usable
    assert name in found.reason
    assert "--device cpu" in found.cure


def test_a_broken_installation_is_an_answer_too(machine):
    found = machine(object())  # a library without any of the functions
    assert not found.usable
    assert "could not be looked at" in found.reason


def test_the_probe_imports_nothing_of_cuda_and_is_quick():
    code = (
        "import sys, time; from gpu_pack.gpu.probe import probe; start = time.perf_counter(); probe();"
        "print(time.perf_counter() - start, [name for name in ('nvidia.dali', 'cupy', 'cv2', 'numpy')"
        " if name in sys.modules])"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split(" ", 1)[1].strip() == "[]", f"after {time.monotonic() - start} s"


def test_doctor_with_a_gpu(machine):
    library = FakeCuda(gpus=(H200,))
    machine(library)
    diagnosis = doctor.diagnose()
    assert library.retained == 0
    assert (diagnosis.device, diagnosis.cure, diagnosis.driver, diagnosis.cuda) == ("gpu", "", "580.65.06", "13.0")
    text = doctor.render(diagnosis)
    assert "auto takes the GPU: NVIDIA H200" in text
    assert "NVIDIA H200, 140.4 GiB, compute capability 9.0, 7 JPEG engines" in text
    assert json.loads(diagnosis.to_json())["gpus"][0]["jpeg_engines"] == 7


def test_doctor_without_one(machine):
    machine(None, ())
    diagnosis = doctor.diagnose()
    text = doctor.render(diagnosis)
    assert diagnosis.device == "cpu"
    assert "auto takes the CPU: no NVIDIA driver is installed" in text
    assert "pip install 'gpu13==1'" in text
    assert "nvidia-dali-cuda130" in text
    told = json.loads(diagnosis.to_json())
    assert told["versions"]["numpy"]
    assert told["versions"]["nvidia-dali-cuda130"] is None
    assert told["gpus"] == []
    assert told["cores"] >= 1


def test_doctor_names_the_cuda_12_packages_where_these_are_installed(machine):
    machine(FakeCuda(12040, (V100,)), ALL12)
    assert "nvidia-dali-cuda120" in doctor.render(doctor.diagnose())
