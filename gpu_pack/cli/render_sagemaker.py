"""What people see of an upload: the result on standard output, progress on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpu_pack.cli.render import size
from gpu_pack.console import clean, say, watch

if TYPE_CHECKING:
    from gpu_pack.sagemaker.upload import Job, OnTransfer, Transfer

_PLAIN_EVERY = 10.0


def print_job(job: Job, quiet: bool) -> None:
    """The broken rules, or where everything is."""
    for fault in job.faults:
        print(clean(fault))
    if quiet:
        return
    for line in _refused(job) if job.faults else _done(job):
        print(clean(line))


def _refused(job: Job) -> Iterator[str]:
    yield f"{len(job.faults)} rule{'s' * (len(job.faults) != 1)} of the training job broken: nothing was uploaded"


def _done(job: Job) -> Iterator[str]:
    for channel in job.request["InputDataConfig"]:
        name = channel["ChannelName"]
        yield f"{name:<11}{channel['DataSource']['S3DataSource']['S3Uri']}  {job.images[name]:,} images"
    yield f"{'job':<11}{', '.join(f'{name}={value}' for name, value in job.request['HyperParameters'].items())}"
    if job.dry_run:
        yield "every rule kept; nothing was uploaded (--dry-run)"
        return
    kept = f", {len(job.kept)} there already" if job.kept else ""
    yield f"{len(job.sent)} files ({size(job.bytes)}) uploaded{kept}; for CreateTrainingJob: {job.out}/sagemaker.json"


@contextmanager
def transfer_progress(quiet: bool) -> Iterator[OnTransfer]:
    """What to hand to upload as ``on_transfer``: a bar on a terminal, a line now and then elsewhere."""
    with watch(quiet, _bar, _plain_lines) as show:
        yield show


@contextmanager
def _bar() -> Iterator[OnTransfer]:
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.DownloadColumn(),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5) as bar:
        tasks: dict[str, rich.TaskID] = {}

        def show(state: Transfer) -> None:
            if state.step not in tasks:
                tasks[state.step] = bar.add_task(state.step, total=state.total)
            bar.update(tasks[state.step], completed=state.done)

        yield show


def _plain_lines() -> OnTransfer:
    last = time.monotonic()

    def show(state: Transfer) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _PLAIN_EVERY:
            last = now
            say(f"{size(state.done)} of {size(state.total)} {state.step}")

    return show
