"""Contenders that wait in processes of their own and read in turn, so that a machine that slows down slows all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.environments import shortened

ROOT = Path(__file__).parents[2]
ORDERS = ("random", "in order")


class Setting(NamedTuple):
    """What is measured of a contender: the order of its pass, and its workers; 0 is one process."""

    contender: str
    order: str
    workers: int


class FailedError(Exception):
    """A contender that ended with an error; the message is its last line."""


def command(python: Path, *arguments: object) -> list[str]:
    return [str(python), "-m", "bench.readers.child", *map(str, arguments)]


def variables(workers: int) -> dict[str, str]:
    """One process decodes in one thread, whatever its libraries would start by themselves."""
    threads = {} if workers else dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}


class Child:
    """A waiting contender."""

    def __init__(self, python: Path, module: str, crops: Path, folder: Path, workers: int, log: Path) -> None:
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                command(python, module, "serve", crops, folder, workers), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True, env=variables(workers), cwd=folder, start_new_session=True,
            )  # fmt: skip

    def read(self, order: str) -> dict[str, Any]:
        """One pass.

        Raises:
            FailedError: it ended.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise FailedError(shortened(last_line(self._log)))
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # its workers too
            self._process.communicate()


def last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it ended without a word"


def in_turns(children: dict[tuple[str, int], Child], until: float, tell: Callable[[str], None]) -> Iterator[Any]:
    """``(Setting, pass or FailedError)`` of every contender, order and number of workers, again and again.

    The first round is not given: it warms up. Another round begins if it will end before ``until``, and at least one.
    """
    settings = [Setting(name, order, workers) for workers in sorted({workers for _, workers in children})
                for order in ORDERS for name, each in children if each == workers]  # fmt: skip
    failed: set[tuple[str, int]] = set()
    number, longest = 0, 0.0
    while number < 2 or time.monotonic() + longest < until:
        begun = time.monotonic()
        for setting in settings:
            key = setting.contender, setting.workers
            if key in failed:
                continue
            try:
                found: Any = children[key].read(setting.order)
            except FailedError as error:
                failed.add(key)
                found = error
            if number or isinstance(found, FailedError):
                yield setting, found
        longest = time.monotonic() - begun if number else 0.0
        tell(f"round {number}: {time.monotonic() - begun:.1f} s")
        number += 1


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
