"""The kernels in a program of their own, on concurrent threads, for sanitizers.

The encoder runs once on the host, and what it does to the device is recorded: allocations, copies, launches. The
program repeats it with exact allocations and checks what was copied back. So a sanitizer sees the encoder's own
buffer sizes and order of launches.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gpu_pack.gpu.cuda_encoder import Launch
from gpu_pack.gpu.kernels import SOURCE
from gpu_pack.gpu.memory import Buffer, Memory
from tests.gpu.compiler import compile_source
from tests.gpu.host_kernels import SHIM
from tests.gpu.signatures import KERNELS, WARP_KERNELS, Kernel

_PROGRAM = Path(__file__).with_name("threaded_kernels.h")
#: ThreadSanitizer's message where random addresses collide with its shadow memory.
_NO_SHADOW = "unexpected memory mapping"


class Recorder(Memory):
    """Records what an encoder does to the device, in the format that threaded_kernels.h reads."""

    def __init__(self, launch: Launch) -> None:
        self._run = launch
        self._device: list[Buffer] = []
        self._events: list[bytes] = []

    @property
    def recording(self) -> bytes:
        return b"".join(self._events)

    def allocate(self, size: int, host: bool) -> Buffer:
        buffer = super().allocate(size, host)
        if not host:
            self._device.append(buffer)  # kept, so that no later buffer gets its address
            self._events.append(struct.pack("=cq", b"A", size))
        return buffer

    def copy(self, target: int, source: int, size: int) -> None:
        super().copy(target, source, size)
        data = ctypes.string_at(target, size)
        for event, address in ((b"W", target), (b"C", source)):
            buffer, offset = self._find(address)
            if buffer >= 0:
                self._events.append(struct.pack("=cqqq", event, buffer, offset, size) + data)

    def launch(self, kernel: str, threads: int, *arguments: int | np.int32) -> None:
        """A `Launch`."""
        self._run(kernel, threads, *arguments)
        number = list(KERNELS).index(kernel)
        pairs = [(-1, int(value)) if isinstance(value, np.int32) else self._find(value) for value in arguments]
        flat = [part for pair in pairs for part in pair]
        self._events.append(struct.pack(f"=cqq{len(flat)}q", b"L", number, threads, *flat))

    def _find(self, address: int) -> tuple[int, int]:
        """The number of the device buffer that holds the address, and the offset in it; -1 if none does."""
        for number, buffer in enumerate(self._device):
            if 0 <= address - buffer.address < buffer.array.size:
                return number, address - buffer.address
        return -1, address


def build_program(target: Path, sanitizers: str, source: str = SOURCE) -> None:
    """Builds the program under sanitizers that end it with a message at their first finding.

    Raises:
        RuntimeError: the compiler does not have them.
    """
    cases = "".join(_case(number, kernel) for number, kernel in enumerate(KERNELS.values()))
    dispatch = (
        f"static Kernel kernel_of(int number, const Argument* a) {{\n switch (number) {{\n{cases} }}\n abort();\n}}"
    )
    program = _PROGRAM.read_text(encoding="utf-8").replace("// KERNELS\n", SHIM + source + dispatch)
    options = "-O1", "-g", "-pthread", "-fno-sanitize-recover=all"
    compile_source(program, target, *options, f"-fsanitize={sanitizers}")


def run_program(program: Path, recording: bytes) -> str:
    """The program's messages: none where all is well.

    Skips the calling test where this machine cannot run the sanitizer.
    """
    code, messages = _run([str(program)], recording)
    if _NO_SHADOW in messages and shutil.which("setarch"):
        code, messages = _run(["setarch", "--addr-no-randomize", str(program)], recording)
        if "personality" in messages:  # not allowed in this container
            pytest.skip(messages.strip())
    if _NO_SHADOW in messages:
        pytest.skip(messages.strip())
    return messages or ("" if code == 0 else f"exit status {code}")


def _run(command: list[str], recording: bytes) -> tuple[int, str]:
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(command, input=recording, capture_output=True, check=False, env=environment)
    return done.returncode, done.stderr.decode(errors="replace")


def _case(number: int, kernel: Kernel) -> str:
    arguments = ", ".join(
        f"({kind})a[{place}].address" if "*" in kind else f"({kind})a[{place}].number"
        for place, kind in enumerate(kernel.parameters.values())
    )
    facts = f"{len(kernel.parameters)}, {str(kernel.name in WARP_KERNELS).lower()}"
    return f"  case {number}: return {{{facts}, [=] {{ {kernel.name}({arguments}); }}}};\n"
