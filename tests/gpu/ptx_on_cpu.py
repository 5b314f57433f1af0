"""Runs PTX on the CPU: translates each instruction to a call of a C++ function of its name, and builds the result.

It serves kernels without shared memory, barriers and floating-point numbers. An instruction that ptx_on_cpu.h does not
have fails to build, and the compiler names it.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import numpy as np

from tests.gpu.compiler import build
from tests.gpu.host_kernels import WARPS, as_c, run

_THREADS_PER_BLOCK = 128
_HEADER = Path(__file__).with_name("ptx_on_cpu.h")
_KERNEL = re.compile(r"\.entry (\w+)\((.*?)\)[^{]*\{(.*?)\n\}", re.DOTALL)
_PARAMETER = re.compile(r"\.param \.(\w+)[^,]*?(\w+)(?:,|$)", re.MULTILINE)
_REGISTERS = re.compile(r"\.reg \.(\w+)\s+%(\w+)(?:<(\d+)>)?;")
_LOCAL = re.compile(r"\.local \.align (\d+) \.b8\s+(\w+)\[(\d+)\];")
_LABEL = re.compile(r"(\$?\w+):")
_INSTRUCTION = re.compile(r"(?:@(!?)(%\w+)\s+)?([\w.]+)\s*(.*);")
_OPERAND = re.compile(r"\{[^}]*\}|\[[^]]*\]|[^,\s]+")
_TYPE = re.compile(r"[bsu](?:8|16|32|64)|pred")
#: State spaces, and what orders memory operations.
_IGNORED = {"global", "local", "relaxed", "gpu", "to", "uni"}


class PtxLaunch:
    """A `gpu_pack.gpu.cuda_encoder.Launch` in blocks of 128: the threads run one after another, or warp by warp where
    they exchange values."""

    def __init__(self, ptx: str, library: Path) -> None:
        source = translate(ptx)
        # The registers wrap around, and memory is accessed through any type.
        self._library = build(source, library, "-O2", "-fwrapv", "-fno-strict-aliasing", "-shared", "-fPIC", "-pthread")

    def __call__(self, kernel: str, threads: int, *arguments: int | np.int32) -> None:
        blocks = -(-threads // _THREADS_PER_BLOCK)
        run(self._library, kernel, ctypes.c_uint(blocks), ctypes.c_uint(_THREADS_PER_BLOCK), *map(as_c, arguments))


def translate(ptx: str) -> str:
    """C++ with a function ``run_NAME(blocks, threads per block, the kernel's parameters)``, which returns a fault or
    nothing, for each kernel."""
    kernels = [_translate_kernel(*match.groups()) for match in _KERNEL.finditer(ptx)]
    return WARPS + _HEADER.read_text(encoding="utf-8") + "\n".join(kernels)


def _translate_kernel(name: str, parameter_list: str, body: str) -> str:
    parameters = _PARAMETER.findall(parameter_list)
    declared = ", ".join(f"{kind} {parameter}" for kind, parameter in parameters)
    passed = ", ".join(parameter for _, parameter in parameters)
    lines = [line.split("//")[0].strip() for line in body.splitlines()]
    declarations = [_translate_declaration(line) for line in lines if line.startswith(".")]
    statements = [_translate_line(line) for line in lines if line and not line.startswith(".")]
    if "ptx_shfl" in "".join(statements):
        loop = "run_warps(count / LANES, 1, 1, run);"
    else:
        loop = "for (int64_t n = 0; n < count; n++) run(n);"
    return f"""
static void {name}({declared}, u32 ctaid, u32 ntid, u32 tid) {{
    {" ".join(declarations)}
    {" ".join(statements)}
}}
extern "C" const char* run_{name}(u32 blocks, u32 threads, {declared}) {{
    auto run = [=](int64_t n) {{ {name}({passed}, n / threads, threads, n % threads); }};
    const int64_t count = (int64_t)blocks * threads;
    {loop}
    return fault.exchange(nullptr);
}}
"""


def _translate_declaration(line: str) -> str:
    if match := _LOCAL.fullmatch(line):
        alignment, name, size = match.groups()
        return f"alignas({alignment}) unsigned char bytes_of{name}[{size}]; const u64 {name} = (u64)bytes_of{name};\n"
    if match := _REGISTERS.fullmatch(line):
        kind, name, count = match.groups()
        names = [f"{name}{number}" for number in range(int(count))] if count else [name]
        return f"{kind} {', '.join(f'{name} = 0' for name in names)};\n"
    if line.startswith(".pragma"):
        return ""
    raise ValueError(f"unknown PTX directive: {line}")


def _translate_line(line: str) -> str:
    if match := _LABEL.fullmatch(line):
        return f"{_name(match[1])}:;\n"
    match = _INSTRUCTION.fullmatch(line)
    if not match:
        raise ValueError(f"unknown PTX: {line}")
    negated, predicate, instruction, operands = match.groups()
    code = _translate_instruction(instruction.split("."), _OPERAND.findall(operands))
    return f"if ({'!' if negated else ''}{_name(predicate)}) {{ {code} }}\n" if predicate else f"{code}\n"


def _translate_instruction(words: list[str], operands: list[str]) -> str:
    if words[0] == "ret":
        return "return;"
    if words[0] == "bra":
        return f"goto {_name(operands[0])};"
    if words[:2] == ["ld", "param"]:
        return f"{_name(operands[0])} = ({words[-1]}){operands[1][1:-1]};"
    groups = [_names(operand) for operand in operands]
    if words[0] == "mov" and max(map(len, groups)) > 1:
        return _translate_halves(words[-1], *groups)
    if words[0] in ("ld", "st") and max(map(len, groups)) > 1:
        return _translate_vector(words, *groups)
    values = [group[0] for group in groups]
    types = ", ".join(word for word in words if _TYPE.fullmatch(word))
    function = "_".join(word for word in words if not _TYPE.fullmatch(word) and word not in _IGNORED)
    if words[0] == "st":
        return f"ptx_{function}<{types}>({', '.join(values)});"
    target, *second = values[0].split("|")  # shfl also says whether its source is one of the lanes
    return f"{target} = ptx_{function}<{types}>({', '.join(second + values[1:])});"


def _translate_halves(kind: str, targets: list[str], sources: list[str]) -> str:
    """``mov`` of a register to two of half its size, or of two to one."""
    if len(sources) > 1:
        return f"{targets[0]} = ptx_join<{kind}>({', '.join(sources)});"
    return " ".join(
        f"{target} = ptx_part<{kind}>({sources[0]}, {number});"
        for number, target in enumerate(targets)
        if target != "_"
    )


def _translate_vector(words: list[str], first: list[str], second: list[str]) -> str:
    """A load or a store of two or four values."""
    kind, size = words[-1], int(words[-1][1:]) // 8
    if words[0] == "ld":
        return " ".join(f"{to} = ptx_ld<{kind}>({second[0]} + {size * n});" for n, to in enumerate(first))
    return " ".join(f"ptx_st<{kind}>({first[0]} + {size * n}, {value});" for n, value in enumerate(second))


def _names(operand: str) -> list[str]:
    """``[%rd1+8]`` and ``{%r1, %r2}`` without their brackets."""
    return [_name(part.strip()) for part in operand.strip("{}[]").split(",")]


def _name(operand: str) -> str:
    return operand.replace("%", "").replace("$", "").removesuffix(".x")
