"""The CUDA kernels without a GPU: NVRTC's machine code and PTX, sanitizers, and the encoder's launches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gpu_pack.gpu.cuda_encoder import CudaEncoder
from gpu_pack.gpu.kernels import SOURCE
from gpu_pack.types import TransformSpec
from tests.gpu import host_kernels
from tests.gpu.compiler import need_compiler
from tests.gpu.crops import crops, differing, kinds
from tests.gpu.device import ZeroedMemory, context
from tests.gpu.host_kernels import HostLaunch
from tests.gpu.nvrtc import Compiled, Nvrtc, find_library
from tests.gpu.ptx_on_cpu import PtxLaunch
from tests.gpu.signatures import KERNELS
from tests.gpu.threaded_kernels import Recorder, build_program, run_program

QUALITIES = 1, 50, 75, 95, 100
ELF = b"\x7fELF"


@pytest.fixture(scope="module")
def compiled() -> dict[int, Compiled]:
    """What NVRTC makes of the kernels for every architecture that it supports."""
    path = find_library()
    if path is None:
        pytest.skip("NVRTC is not installed")
    nvrtc = Nvrtc(path)
    architectures = nvrtc.architectures()
    with ThreadPoolExecutor() as pool:
        made = pool.map(lambda architecture: nvrtc.compile(SOURCE, architecture), architectures)
        return dict(zip(architectures, made, strict=True))


def test_nvrtc_compiles_the_kernels_for_every_architecture(compiled):
    assert {75, 80, 90, 100, 120} <= compiled.keys()
    for code in compiled.values():
        assert code.cubin.startswith(ELF)
        assert all(f".entry {kernel}(" in code.ptx for kernel in KERNELS)


@pytest.fixture(scope="module")
def ptx_launches(compiled, tmp_path_factory) -> dict[str, PtxLaunch]:
    """The PTX on the CPU by the architectures that share it: their PTX differs in its header alone."""
    bodies: dict[str, list[int]] = {}
    for architecture, code in compiled.items():
        bodies.setdefault(code.ptx.partition(".address_size")[2], []).append(architecture)
    folder = tmp_path_factory.mktemp("ptx")
    with ThreadPoolExecutor() as pool:
        launches = pool.map(lambda body: PtxLaunch(body, folder / f"ptx{bodies[body][0]}.so"), bodies)
        return dict(zip(map(str, bodies.values()), launches, strict=True))


@need_compiler
@pytest.mark.parametrize("quality", QUALITIES)
def test_the_ptx_makes_opencvs_files(ptx_launches, quality):
    edges = [*range(1, 41), 224, 225]
    for architectures, launch in ptx_launches.items():
        assert [file for edge in edges for file in differing(launch, edge, quality)] == [], architectures


@need_compiler
@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_sanitizers_find_nothing(sanitizers, tmp_path, tmp_path_factory):
    program = tmp_path / "kernels"
    try:
        build_program(program, sanitizers)
    except RuntimeError as error:
        if "-fsanitize" in str(error) or "san" in str(error).rpartition("cannot find")[2]:
            pytest.skip(f"the compiler does not have -fsanitize={sanitizers}")
        raise
    launch = HostLaunch(host_kernels.folder(tmp_path_factory))
    for edge, quality in ((1, 100), (17, 1), (17, 100), (40, 100)):
        recorder = Recorder(launch)
        spec = TransformSpec(size=edge, quality=quality)
        pictures = list(kinds(edge).values())
        made_for = context(spec, "cpu", batch_size=len(pictures))._replace(memory=recorder)
        encoder = CudaEncoder(made_for, recorder.launch)
        for count in (len(pictures), 1, 3):
            encoder.encode(crops(pictures[:count], dense=False))
        assert run_program(program, recorder.recording) == "", (edge, quality)


def test_each_launch_has_the_arguments_of_its_kernel():
    launches = []
    made_for = context(TransformSpec(size=40), "cpu", batch_size=3)._replace(memory=ZeroedMemory())
    encoder = CudaEncoder(made_for, lambda kernel, threads, *arguments: launches.append((kernel, arguments)))
    encoder.encode(crops([np.zeros((40, 40, 3), np.uint8)] * 2))
    assert {kernel for kernel, _ in launches} == KERNELS.keys()
    values: dict[str, set[int]] = {}
    for kernel, arguments in launches:
        parameters = KERNELS[kernel].parameters
        given = ["int" if isinstance(argument, np.int32) else "address" for argument in arguments]
        assert given == ["address" if "*" in kind else kind for kind in parameters.values()], kernel
        for name, argument in zip(parameters, arguments, strict=True):
            values.setdefault(name, set()).add(int(argument))
    assert {name: found for name, found in values.items() if len(found) > 1} == {}, "one name is one value in a batch"
    pointers = {name for kernel in KERNELS.values() for name, kind in kernel.parameters.items() if "*" in kind}
    assert len({values[name].pop() for name in pointers}) == len(pointers), "each pointer has a buffer of its own"
