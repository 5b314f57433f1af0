"""A virtual environment for each contender, made once and kept."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
_REASON = 160


@dataclass(frozen=True)
class Environment:
    """Attributes: ``python``, its interpreter, or None with the ``reason``; ``versions`` of what was asked for."""

    python: str | None
    reason: str = ""
    versions: tuple[str, ...] = ()


def environment(
    name: str,
    folder: Path,
    *,
    script: Path | None = None,
    source: Path | None = None,
    retry: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Environment:
    """The environment of ``requirements/NAME.txt``, kept in ``folder`` also where it failed.

    Args:
        script: of a contender that installs something itself, once pip is done.
        source: a checkout of MXNet, for the script.
        retry: install again what failed before.
        say: told of each installation before it starts.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    place = folder / f"{name}-{_digest(requirements.read_bytes(), sys.version.encode())}"

    def install() -> Environment:
        say(f"installing {name}")
        return _install(place, requirements)

    made = _kept(place.with_suffix(".json"), retry, install)
    if made.python is None or script is None:
        return made
    told = place / f"{script.stem}-{_digest(script.read_bytes(), str(source).encode())}.json"
    return _kept(told, retry, lambda: _finish(made, script, source))


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:8]


def _kept(told: Path, retry: bool, make: Callable[[], Environment]) -> Environment:
    """What the file ``told`` says, or what ``make`` does, which is then kept there."""
    if told.exists():
        found = json.loads(told.read_text())
        known = Environment(found["python"], found["reason"], tuple(found["versions"]))
        if known.python or not retry:
            return known
    made = make()
    told.parent.mkdir(parents=True, exist_ok=True)
    told.write_text(json.dumps(asdict(made)))
    return made


def _install(place: Path, requirements: Path) -> Environment:
    shutil.rmtree(place, ignore_errors=True)
    try:
        venv.create(place, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return Environment(None, shortened(str(error)))
    python = str(place / ("Scripts" if os.name == "nt" else "bin") / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--no-input", "--quiet", "-r"]
    # What has no wheel (ffcv, older packages) is built by a setuptools that still has pkg_resources. The second
    # variable is that of pip from 25.3.
    variables = dict.fromkeys(("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"), str(REQUIREMENTS / "build.txt"))
    done = subprocess.run([*pip, str(requirements)], capture_output=True, text=True, env={**os.environ, **variables})
    if done.returncode:
        return Environment(None, why(done.stderr))
    return Environment(python, "", _versions(requirements))


def _finish(made: Environment, script: Path, source: Path | None) -> Environment:
    """What the contender's script installs, or whether it finds what it wants."""
    variables = {**os.environ, **({"BENCH_MXNET_SOURCE": str(source)} if source else {})}
    command = [str(made.python), str(script), json.dumps({"do": "install", "out": ""})]
    done = subprocess.run(command, capture_output=True, text=True, env=variables)
    return made if done.returncode == 0 else Environment(None, why(done.stderr))


def _versions(requirements: Path) -> tuple[str, ...]:
    lines = (line.partition("#")[0].strip() for line in requirements.read_text().splitlines())
    return tuple(line for line in lines if line)


def why(printed: str) -> str:
    """The line of an installation's output that tells why it failed."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines() if line.strip()]
    told = [line for line in lines if line.lower().startswith("error:")]
    return shortened((told or lines or ["no word why"])[-1])


def shortened(reason: str) -> str:
    """One line, without hosts, addresses and paths."""
    reason = re.sub(r"(?i)^error:\s*", "", reason)
    reason = re.sub(r"\w+://\S+|\b[\w-]+(\.[\w-]+)*\.(org|com|net|io|local)\b(:\d+)?", "(address)", reason)
    reason = re.sub(r"(?<![\w.])/[\w.+/-]+/", "", reason)
    return reason if len(reason) <= _REASON else f"{reason[:_REASON]}..."
