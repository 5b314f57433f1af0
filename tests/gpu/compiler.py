"""Builds C++ for tests."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
need_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")


def compile_source(source: str, target: Path, *options: str) -> None:
    """To a program or, with ``-shared``, a library.

    Raises:
        RuntimeError: the source does not compile or link; with the compiler's messages.
    """
    file = target.with_suffix(".cpp")
    file.write_text(source, encoding="utf-8")
    command = [str(COMPILER), "-std=c++14", *options, str(file), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)


def build(source: str, target: Path, *options: str) -> ctypes.CDLL:
    """A library from C++."""
    compile_source(source, target, *options)
    return ctypes.CDLL(str(target))
