"""One call of ``python -m bench``: environments, workloads within the time, results."""

from __future__ import annotations

import datetime
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.contenders import CONTENDERS
from bench.environments import Environment, environment
from bench.figures import collect
from bench.runner import Runner, Setting
from bench.state import State
from bench.workloads import WORKLOADS
from bench.workloads.inputs import Inputs, on_tmpfs

if TYPE_CHECKING:
    from bench.__main__ import Options

_ROOT = Path(__file__).parents[1]
#: Of the time, beside the workloads' own shares.
_READING_SHARE = 2.0


class Session:
    """Runs what the options ask for; ``run`` returns the exit status."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._console = Console(stderr=True)
        self._cores = (
            sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
        )

    def run(self) -> int:
        options = self._options
        environments = self._environments()
        if options.install_only:
            return 0
        options.work.mkdir(parents=True, exist_ok=True)
        path = options.work / "state.jsonl"
        if options.fresh:
            path.unlink(missing_ok=True)
        inputs = Inputs(options.photos, options.work)
        facts = {
            "photographs": _digest(options.photos),
            "cores": self._cores,
            "python": sys.version,
            "commit": _commit(),
        }
        state = State(path, facts)
        if state.first(kind="about") is None:
            state.add({"kind": "about", **self._about(inputs)})
        deadline = time.monotonic() + options.minutes * 60
        status = 0
        with self._progress(options.minutes * 60) as show:
            runner = Runner(
                Setting(options.work, options.rounds, deadline, self._cores), inputs, state, environments, show
            )
            try:
                self._workloads(runner, state, environments, deadline)
            except KeyboardInterrupt:
                status = 130
        self._write(state, environments)
        if status == 0 and time.monotonic() >= deadline:
            status = 3
        if status:
            self._say("Not all is done: the same command resumes.")
        return status

    def _workloads(self, runner: Runner, state: State, environments: dict[str, Environment], deadline: float) -> None:
        """Each with its share of the time that is left: what one does not use, the others have."""
        shares = {
            name: WORKLOADS[name].share if name in WORKLOADS else _READING_SHARE for name in self._options.workloads
        }
        for name in list(shares):
            left = deadline - time.monotonic()
            seconds = left * shares[name] / sum(shares.values())
            del shares[name]
            if left <= 0:
                return
            if name in WORKLOADS:
                runner.run(name, seconds)
            else:
                self._read(state, seconds)
            self._write(state, environments)

    def _read(self, state: State, seconds: float) -> None:
        """Reading 224 crops at random and in order: ``bench.readers``."""
        if state.first(kind="reading") or importlib.util.find_spec("bench.readers") is None:
            return
        work = self._options.work / "readers"
        work.mkdir(exist_ok=True)
        found = importlib.import_module("bench.readers").run(self._options.photos, work, seconds)
        state.add({"kind": "reading", "found": found})

    # ---- before and after

    def _environments(self) -> dict[str, Environment]:
        """Of each contender that was asked for; installed one after the other, and those kept are at hand."""
        found: dict[str, Environment] = {}
        gpu: str | None = None
        for name in self._options.only:
            contender = CONTENDERS[name]
            if contender.environment is None:
                if contender.gpu and gpu is None:
                    gpu = _no_gpu()
                found[name] = Environment(None, gpu) if contender.gpu and gpu else Environment(sys.executable)
                continue
            self._say(f"environment of {contender.title}")
            script = contender.script if contender.installs else None
            found[name] = environment(
                contender.environment, self._options.envs, script=script, source=self._options.mxnet_source,
                retry=self._options.install_only,
            )  # fmt: skip
            if found[name].python is None:
                self._say(f"{contender.title} cannot be installed: {found[name].reason}")
        return found

    def _about(self, inputs: Inputs) -> dict[str, Any]:
        photographs = inputs.photographs
        if not photographs:
            sys.exit(f"{self._options.photos}: no photograph that OpenCV decodes")
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
        mean = sum(len(data) for _, data in photographs) / len(photographs)
        return {
            "command": self._options.command,
            "begun": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
            "machine": {
                "processor": _processor(), "cores": len(self._cores), "memory_gb": round(memory / 1e9),
                "system": f"{platform.system()} {platform.release().split('-')[0]}",
                "python": platform.python_version(),
                "commit": _commit(), "work": "in memory (tmpfs)" if on_tmpfs(self._options.work) else "on a disk",
                "load_before": round(os.getloadavg()[1], 2),
            },
            "photographs": {"files": len(photographs), "mean_bytes": round(mean)},
        }  # fmt: skip

    def _write(self, state: State, environments: dict[str, Environment]) -> None:
        from bench.__main__ import render

        about = state.first(kind="about") or {}
        reading = state.first(kind="reading")
        results = {
            **{name: value for name, value in about.items() if name != "kind"},
            "versions": {name: list(found.versions) for name, found in environments.items() if found.versions},
            "workloads": collect(state, environments, len(self._cores)),
            "reading": reading["found"] if reading else None,
        }
        self._options.results.mkdir(parents=True, exist_ok=True)
        path = self._options.results / "bench.json"
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        render(path)

    # ---- what people see

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def _progress(self, seconds: float) -> Iterator[Any]:
        """A bar of the time on a terminal, a line for each run elsewhere."""
        if not self._console.is_terminal:
            yield self._say
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f}% of the time"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as bar:
            task, began = bar.add_task("", total=seconds), time.monotonic()

            def show(text: str) -> None:
                bar.update(task, description=text, completed=time.monotonic() - began)

            yield show


def _no_gpu() -> str:
    """Why gpu-pack finds no GPU; empty where it does."""
    from gpu_pack.gpu.probe import probe

    found = probe()
    return "" if found.usable else f"needs a GPU: {found.reason}"


def _digest(photos: Path) -> str:
    """Of names and sizes."""
    files = sorted(
        (path.relative_to(photos).as_posix(), path.stat().st_size) for path in photos.rglob("*") if path.is_file()
    )
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]


def _commit() -> str:
    git = shutil.which("git")
    done = (
        subprocess.run([git, "describe", "--always", "--dirty"], cwd=_ROOT, capture_output=True, text=True)
        if git
        else None
    )
    return done.stdout.strip() if done and done.returncode == 0 else "of no commit"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
