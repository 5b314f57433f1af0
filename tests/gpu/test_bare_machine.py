"""A machine with a driver and nothing else: no CUDA toolkit, no home folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack.gpu.import_cupy import temporary_cache

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the GPU path runs on Linux")

ROOT = Path(gpu_pack.__file__).parents[1]
#: Makes its cache's folder when it is imported, as CuPy 14.2 does.
FAKE_CUPY = """
import os
cache = os.environ.get("CUPY_CACHE_DIR", os.path.expanduser("~/.cupy/kernel_cache"))
os.makedirs(cache, exist_ok=True)
"""
#: CuPy's own options and NVRTC, as RawModule uses them; it would need a driver to load the result.
COMPILE = """
from gpu_pack.gpu.import_cupy import import_cupy
import_cupy()
from cupy._core.core import assemble_cupy_compiler_options
from cupy.cuda.compiler import _NVRTCProgram
from gpu_pack.gpu.kernels import SOURCE
options = assemble_cupy_compiler_options(())
assert not any("/usr/local" in option for option in options), options
for architecture in (75, 80, 90, 100, 120):
    binary, _ = _NVRTCProgram(SOURCE, "kernels.cu").compile((*options, f"-arch=sm_{architecture}"))
    print(architecture, len(binary))
"""


@pytest.mark.parametrize("home", ["file", "folder", None])
def test_cupy_can_be_imported_whatever_the_home_folder_is(tmp_path, home):
    (tmp_path / "cupy.py").write_text(FAKE_CUPY)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "CUPY_CACHE_DIR"}
    environment |= {"TMPDIR": str(tmp_path), "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    environment.pop("HOME", None)
    if home is not None:
        environment["HOME"] = str(tmp_path / home)
    unknown = "import pwd; pwd.getpwuid = {}.__getitem__; " if home is None else ""
    code = unknown + "from gpu_pack.gpu.import_cupy import import_cupy; print(import_cupy().cache)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    cache = tmp_path / ("folder/.cupy/kernel_cache" if home == "folder" else f"gpu-pack-kernels-{os.geteuid()}")
    assert Path(done.stdout.strip()) == cache


def test_kernels_are_not_taken_from_a_folder_that_others_can_write(tmp_path):
    mine = temporary_cache(tmp_path)
    assert mine == temporary_cache(tmp_path)
    assert mine.stat().st_mode & 0o777 == 0o700
    mine.chmod(0o777)
    assert temporary_cache(tmp_path) != mine
    mine.rmdir()
    mine.symlink_to(tmp_path)
    assert temporary_cache(tmp_path) != mine


@pytest.mark.skipif("BARE_MACHINE" not in os.environ, reason="BARE_MACHINE=1 installs 1 GB: run by hand")
def test_the_extra_alone_compiles_the_kernels(tmp_path):
    """Any toolkit under /usr/local is hidden by an empty file system, which needs root."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([tmp_path / "venv/bin/pip", "install", "--quiet", f"{ROOT}[cuda13]"], check=True)
    hide = "for folder in /usr/local/cuda*; do mount -t tmpfs none $(realpath $folder); done"
    run = f'{hide} 2> /dev/null; exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", run, tmp_path / "venv/bin/python", COMPILE],
        env={"PATH": "/usr/bin:/bin", "HOME": "/proc/nowhere", "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5
