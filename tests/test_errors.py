"""The error tree: as drawn, and no exception of another class leaves the packages unnamed."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

from gpu_pack import errors

ROOT = Path(errors.__file__).parents[1]


def drawn() -> list[tuple[int, str, int]]:
    """(depth, name, exit status) of each line of the tree in the module's docstring."""
    found = re.findall(r"^([│├└─ ]*)(\w+Error) +exit (\d)", errors.__doc__ or "", re.MULTILINE)
    return [(len(indent) // 4, name, int(status)) for indent, name, status in found]


def tree(kind: type[errors.GpuPackError], depth: int = 0) -> list[tuple[int, str, int]]:
    children = (line for child in kind.__subclasses__() for line in tree(child, depth + 1))
    return [(depth, kind.__name__, kind.exit_code), *children]


def test_the_tree_is_as_drawn() -> None:
    assert len(drawn()) == 10
    assert drawn() == tree(errors.GpuPackError)


def test_every_other_exception_is_named_as_internal() -> None:
    classes = [
        node
        for package in ("gpu_pack", "cpu_fallback")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    exceptions = {
        node.name for node in classes if any(ast.unparse(base).endswith(("Error", "Exception")) for base in node.bases)
    }
    internal = set(re.findall(r"^(\w+Error)(?! +exit) {2,}", errors.__doc__ or "", re.MULTILINE))
    assert exceptions - {name for _, name, _ in drawn()} == internal


def test_errors_are_also_the_builtin_ones_and_survive_pickling() -> None:
    error = errors.FormatError("no magic number", "a.rec", 12)
    assert str(error) == "a.rec: at byte 12: no magic number" and isinstance(error, ValueError)
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), twin.reason, twin.path, twin.offset) == (str(error), "no magic number", "a.rec", 12)
    assert str(errors.FormatError("short")) == "short"
    assert issubclass(errors.UsageError, ValueError)
