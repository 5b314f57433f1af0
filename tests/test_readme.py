"""The README names every code and every flag as the program does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from gpu_pack.formats.notices import NOTICES
from gpu_pack.types import REJECT_CODES

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = (
    "create",
    "im2rec",
    "verify",
    "inspect",
    "report",
    "extract",
    "index",
    "merge",
    "divide",
    "sagemaker",
    "doctor",
)


def test_the_table_of_codes_is_complete() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (note|warning|reject) \|", README, re.MULTILINE)
    codes = {code: level for code, (level, _) in NOTICES.items()} | dict.fromkeys(REJECT_CODES, "reject")
    assert dict(rows) == codes and len(rows) == len(codes)


def test_every_flag_of_its_commands_exists(gpu_pack_command: Callable[..., CompletedProcess[str]]) -> None:
    known = {name: {*re.findall(r"--[a-z0-9-]+", gpu_pack_command(name, "--help").stdout)} for name in COMMANDS}
    used = {
        (name, flag)
        for name, rest in re.findall(r"gpu-pack ([a-z0-9]+) ([^`\n]*)", README)
        if name in known
        for flag in re.findall(r"(?<![\w-])--[a-z0-9-]+", rest.partition("#")[0])
    }
    assert used and not {(name, flag) for name, flag in used if flag not in known[name]}
