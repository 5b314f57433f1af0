"""Each recipe of docs/recipes.md runs as it stands there, where its library is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import gpu_pack

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## (.*?)\n(?:(?!^## ).)*?```python\n(.*?)```", TEXT, re.MULTILINE | re.DOTALL))
NEEDS = {
    "PyTorch": "torch", "PyTorch Lightning": "lightning", "PyTorch, as a stream": "torch", "DALI": "nvidia.dali",
    "MXNet": "mxnet", "TensorFlow": "tensorflow", "To WebDataset": "webdataset",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipes")
    gpu_pack.create(ROOT / "tests/photos", path / "out", device="cpu")
    return path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    search = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=search, cwd=folder)


def installed(module: str) -> bool:
    return all(find_spec(".".join(module.split(".")[: end + 1])) for end in range(module.count(".") + 1))


def test_every_recipe_has_a_test() -> None:
    assert RECIPES.keys() == NEEDS.keys()


@pytest.mark.parametrize("name", NEEDS)
def test_recipe(folder: Path, name: str) -> None:
    if not installed(NEEDS[name]):
        pytest.skip(f"{NEEDS[name]} is not installed")
    script = folder / "recipe.py"
    script.write_text(RECIPES[name], encoding="utf-8")
    done = run(folder, sys.executable, str(script))
    assert done.returncode == 0, done.stderr
    if name == "To WebDataset":
        gpu_pack.create(folder / "train-00000.tar", folder / "back", pass_through=True, device="cpu", shuffle=False)
        packed = [gpu_pack.RecordDataset(folder / each / "train.rec", decode=False) for each in ("out", "back")]
        assert sorted(map(repr, packed[0])) == sorted(map(repr, packed[1]))


def test_image_folder(folder: Path) -> None:
    command = next(line for line in TEXT.splitlines() if line.startswith("gpu-pack extract")).partition("#")[0].split()
    done = run(folder, sys.executable, "-m", "gpu_pack", *command[1:])
    assert done.returncode == 0, done.stderr
    classes = sorted(path.name for path in (ROOT / "tests/photos").iterdir() if path.is_dir())
    assert sorted(path.name for path in (folder / "images").iterdir() if path.is_dir()) == classes
    assert len(list((folder / "images").glob("*/*.jpg"))) == 12
