"""One run of what the host does around a GPU, with a device that takes no time: read, examine, hand over, write.

python -m bench.where.gpu_host PHOTOS OUT
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from bench.gpu.host import nothing_workers
from bench.where.whole import photographs
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.output.checkpoint import RecordFileState
from gpu_pack.output.shard_writer import RecordWriter
from gpu_pack.pipeline.engine import Engine
from gpu_pack.processes.process_group import WorkerGroup
from gpu_pack.processes.worker_main import WorkerSetup
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Encoded, Entry, TransformSpec

_IN_FLIGHT = 1 << 30


def main() -> None:
    folder, out = map(Path, sys.argv[1:])
    entries = [Entry(key, (1.0,), str(path), path.stat().st_size) for key, path in enumerate(photographs(folder))]
    settings = GpuSettings(device="cpu")
    work = partial(nothing_workers, TransformSpec(), settings.batch_size, settings.workers)
    setup = WorkerSetup(work, LocalStore("."), "bench.gpu.host")
    group = WorkerGroup("gpu:0", setup, setup, settings.workers, settings.batch_size, 0)
    group.open()
    writer = RecordWriter(out, RecordFileState(), lambda point: None)
    for outcome in Engine(group.channels(), bytes_in_flight=_IN_FLIGHT).run(entries):
        assert isinstance(outcome, Encoded), outcome
        writer.append(outcome)
    writer.finish()


if __name__ == "__main__":
    main()
