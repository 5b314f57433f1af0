"""One call of ``python -m bench``: environments, workloads within the time, results."""

from __future__ import annotations

import datetime
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench import machine, reading
from bench.contenders import CONTENDERS, SCRIPTS
from bench.environments import Environment, environment
from bench.executor import Setting
from bench.figures import collect, unfinished
from bench.runner import Tools, run_workload
from bench.state import State
from bench.workloads import WORKLOADS
from bench.workloads.inputs import Inputs

if TYPE_CHECKING:
    from bench.__main__ import Options

#: Of the time, beside the workloads' own shares; and the least that it starts with, in seconds.
_READING_SHARE, _READING_LEAST = 3.5, 20.0


class Session:
    """Runs what the options ask for; ``run`` returns the exit status."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._console = Console(stderr=True)
        self._cores = machine.available_cores()

    def run(self) -> int:
        options = self._options
        environments = self._environments()
        if options.install_only:
            if reading.NAME in options.workloads:
                reading.install(options.envs, self._say)
            return 0
        options.work.mkdir(parents=True, exist_ok=True)
        inputs, state = Inputs(options.photos, options.work), self._state()
        if state.first(kind="about") is None:
            state.add({"kind": "about", **self._about(inputs)})
        if state.first(kind="call", command=options.command) is None:
            state.add({"kind": "call", "command": options.command})
        deadline = time.monotonic() + options.minutes * 60
        setting = Setting(options.work, options.rounds, deadline, self._cores)
        with self._progress(options.minutes * 60) as show:
            try:
                self._workloads(Tools(setting, inputs, state, environments, show))
                status = 0
            except KeyboardInterrupt:
                status = 130
        missing = self._write(state, environments)
        status = status or (3 if missing else 0)
        if status:
            self._say("Not all is done: the same command resumes.")
        return status

    def _state(self) -> State:
        path = self._options.work / "state.jsonl"
        if self._options.fresh:
            path.unlink(missing_ok=True)
        photographs = machine.digest(self._options.photos)
        facts = {"photographs": photographs, "cores": self._cores, "python": sys.version, "commit": machine.commit()}
        return State(path, facts)

    def _workloads(self, tools: Tools) -> None:
        """Each with its share of the time that is left: what one does not use, the others have."""
        names = self._options.workloads
        shares = {name: WORKLOADS[name].share if name in WORKLOADS else _READING_SHARE for name in names}
        for number, name in enumerate(names):
            left = tools.setting.left()
            seconds = left * shares[name] / sum(shares[later] for later in names[number:])
            if name in WORKLOADS:
                run_workload(name, tools, seconds)
            elif seconds > _READING_LEAST:
                self._read(tools.state, seconds)
            self._write(tools.state, tools.environments)

    def _read(self, state: State, seconds: float) -> None:
        if state.first(kind=reading.NAME):
            return
        found = reading.measure(self._options.photos, self._options.work, self._options.envs, seconds)
        state.add({"kind": reading.NAME, "found": found})

    # ---- before and after

    def _environments(self) -> dict[str, Environment]:
        """Of each contender that was asked for; installed one after the other, and those kept are at hand."""
        found: dict[str, Environment] = {}
        no_gpu: str | None = None
        for name in self._options.only:
            contender = CONTENDERS[name]
            if contender.gpu and no_gpu is None:
                no_gpu = _no_gpu()
            if contender.environment is not None:
                found[name] = self._environment(name)
            elif contender.gpu and no_gpu:
                found[name] = Environment(None, no_gpu)
            else:
                found[name] = Environment(sys.executable)
        return found

    def _environment(self, name: str) -> Environment:
        contender, options = CONTENDERS[name], self._options
        assert contender.environment is not None
        found = environment(
            contender.environment,
            options.envs,
            script=SCRIPTS / f"{contender.script}.py" if contender.installs else None,
            source=options.mxnet_source,
            retry=options.install_only,
            say=self._say,
        )
        if found.python is None:
            self._say(f"{contender.title} cannot be installed: {found.reason}")
        return found

    def _about(self, inputs: Inputs) -> dict[str, Any]:
        photographs = inputs.photographs
        mean = sum(len(data) for _, data in photographs) / len(photographs)
        return {
            "begun": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
            "machine": machine.describe(self._cores, self._options.work),
            "photographs": {"files": len(photographs), "mean_bytes": round(mean)},
        }

    def _write(self, state: State, environments: Mapping[str, Environment]) -> bool:
        """JSON, Markdown and chart of what is known; whether anything is missing for want of time."""
        from bench.__main__ import render

        read = state.first(kind=reading.NAME)
        workloads = collect(state, environments, len(self._cores), self._options.workloads)
        results = {
            "command": "; ".join(call["command"] for call in state.find(kind="call")),
            **{name: value for name, value in (state.first(kind="about") or {}).items() if name != "kind"},
            "versions": {name: list(found.versions) for name, found in environments.items() if found.versions},
            "workloads": workloads,
            "reading": read["found"] if read else None,
        }
        self._options.results.mkdir(parents=True, exist_ok=True)
        path = self._options.results / "bench.json"
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        render(path)
        unread = reading.NAME in self._options.workloads and not read
        return unread or any(map(unfinished, workloads))

    # ---- what people see

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def _progress(self, seconds: float) -> Iterator[Callable[[str], None]]:
        """A bar of the time on a terminal, a line for each run elsewhere."""
        if not self._console.is_terminal:
            yield self._say
            return
        part = TextColumn("{task.percentage:.0f}% of the time")
        columns = TextColumn("{task.description}"), BarColumn(), part, TimeElapsedColumn()
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
