"""One run of one contender: its process, its output, its pictures beside the reference."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import damage
from bench.contenders import CONTENDERS, Contender
from bench.environments import Environment, shortened
from bench.measure import HERE, Run, measure, size_of
from bench.quality import FILTERS, Quality
from bench.state import Record
from bench.workloads import Case, Workload
from bench.workloads.inputs import Source

_SAMPLE = 24  #: crops that are compared with a reference
_READING_LIMIT = 120.0  #: seconds
_WORDS = 140


@dataclass(frozen=True)
class Setting:
    """Attributes: ``work`` holds inputs and outputs; ``deadline`` is of the monotonic clock; ``cores`` to run on."""

    work: Path
    rounds: int
    deadline: float
    cores: Sequence[int]

    def left(self) -> float:
        return self.deadline - time.monotonic()


class Executor:
    """Runs contenders in their environments, one at a time.

    Args:
        environments: of each contender, with a ``python``.
    """

    def __init__(self, setting: Setting, environments: Mapping[str, Environment]) -> None:
        self._setting, self._environments, self._quality = setting, environments, Quality()
        self.out, self._crops = setting.work / "out", setting.work / "crops"

    def pack(self, workload: Workload, case: Case, source: Source, limit: float) -> Run:
        """Pack the source into ``out``, which is not there before; ``limit`` in seconds."""
        self.clean()
        return self._child(workload, case, source, "pack", limit)

    def read(self, workload: Workload, case: Case, source: Source) -> list[Path]:
        """The pictures in ``out``, as files named after their keys."""
        shutil.rmtree(self._crops, ignore_errors=True)
        self._crops.mkdir()
        if self.out.exists():
            self._child(workload, case, source, "read", _READING_LIMIT)
        return sorted(self._crops.iterdir(), key=lambda path: int(path.stem))

    def check(self, workload: Workload, case: Case, source: Source) -> Record:
        """How what was packed differs from the reference, or from the files themselves."""
        crops = self.read(workload, case, source)
        sources = damage.paths(source)
        found: Record = {"found": len(crops), "of": source.count}
        if workload.pass_through:
            return {**found, "kept": sum(crop.read_bytes() == sources[int(crop.stem)].read_bytes() for crop in crops)}
        values = [self._quality.psnr(crop, sources[int(crop.stem)], workload.size) for crop in crops[:_SAMPLE]]
        whole = [value for value in values if value]
        for name in FILTERS if whole else ():
            each = [value[name] for value in whole]
            found[name] = [sum(each) / len(each), min(each)]
        return {**found, "other_size": len(values) - len(whole)}

    def output_bytes(self) -> int:
        return size_of(self.out) if self.out.exists() else 0

    def clean(self) -> None:
        """Whoever overwrites a file has its memory at hand, whoever makes one must ask for it."""
        for path in (self.out, *self._setting.work.glob("out.*"), self._crops):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _child(self, workload: Workload, case: Case, source: Source, do: str, limit: float) -> Run:
        contender = CONTENDERS[case.contender]
        cores = list(self._setting.cores[: case.cores or len(self._setting.cores)])
        job = job_of(contender, workload, source, do, str(self.out), len(cores), str(self._crops))
        python = str(self._environments[case.contender].python)
        command = [python, str(HERE / "contenders" / f"{contender.script}.py"), json.dumps(job)]
        own = contender.environment is None
        return measure(command, self._setting.work / "scratch", own=own, limit=limit, cores=cores)


def job_of(
    contender: Contender, workload: Workload, source: Source, do: str, out: str, cores: int, crops: str
) -> Record:
    """The argument of a contender's script."""
    asked = {
        "do": do,
        "out": out,
        "listed": str(source.listed),
        "root": str(source.root),
        "cores": cores,
        "crops": crops,
    }
    how = {"size": workload.size, "pass_through": workload.pass_through}
    return {**asked, **how, "options": dict(contender.options), "source": dict(source.others)}


def last_words(run: Run) -> str:
    """Why a run failed, in a line."""
    if run.status is None:
        return f"stopped after {run.seconds:.0f} s"
    lines = [line.strip() for line in run.log.splitlines() if line.strip()]
    return f"exit status {run.status}: {shortened((lines or ['no word why'])[-1][:_WORDS])}"
