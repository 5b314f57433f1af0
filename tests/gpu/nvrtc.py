"""NVRTC through ctypes: compiles CUDA C++ for any architecture, without a GPU, CuPy or a CUDA toolkit."""

from __future__ import annotations

import ctypes
from importlib.metadata import PackageNotFoundError, files
from typing import NamedTuple

_PACKAGE = "nvidia-cuda-nvrtc"
_OPTIONS = b"--std=c++17", b"--device-as-default-execution-space"  # those that CuPy gives it


class Compiled(NamedTuple):
    """The machine code of one architecture, and the PTX that it was made from."""

    cubin: bytes
    ptx: str


def find_library() -> str | None:
    """The path of the library in its installed package, or None."""
    try:
        found = [file for file in files(_PACKAGE) or [] if file.name.startswith("libnvrtc.so")]
    except PackageNotFoundError:
        return None
    return str(found[0].locate()) if found else None


class Nvrtc:
    """The library at a path."""

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def architectures(self) -> list[int]:
        """Ascending: 75 is compute capability 7.5."""
        count = ctypes.c_int()
        self._call("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        numbers = (ctypes.c_int * count.value)()
        self._call("nvrtcGetSupportedArchs", numbers)
        return sorted(numbers)

    def compile(self, source: str, architecture: int) -> Compiled:
        """Thread-safe; releases the GIL.

        Raises:
            ValueError: the source does not compile; with the compiler's messages, warnings included.
        """
        program = ctypes.c_void_p()
        self._call("nvrtcCreateProgram", ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None)
        try:
            options = [*_OPTIONS, f"-arch=sm_{architecture}".encode()]
            pointers = (ctypes.c_char_p * len(options))(*options)
            status = self._library.nvrtcCompileProgram(program, len(options), pointers)
            log = self._get("ProgramLog", program).rstrip(b"\0").decode()
            if status or log.strip():
                raise ValueError(f"sm_{architecture}: {log or status}")
            return Compiled(self._get("CUBIN", program), self._get("PTX", program).rstrip(b"\0").decode())
        finally:
            self._call("nvrtcDestroyProgram", ctypes.byref(program))

    def _get(self, kind: str, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{kind}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{kind}", program, buffer)
        return buffer.raw

    def _call(self, function: str, *arguments: object) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            raise RuntimeError(f"{function}: {self._library.nvrtcGetErrorString(status).decode()}")
