"""A part's processes, one after another: where an item fails, the next process runs those after it."""

from __future__ import annotations

from collections.abc import Callable

from bench.gpu import child
from bench.gpu.record import Record


def drive(record: Record, part: str, start: Callable[[], tuple[int | None, str]]) -> Record:
    """Run a part that has been started; the record as it is in the file afterwards.

    Args:
        start: runs `bench.gpu.child` for the part: its exit status, None if time ran out, and what it said.
    """
    while True:
        tried = len(record.items(part))
        status, said = start()
        record = Record.read(record.path)
        running = record.data.get("running")
        if status in (child.DONE, child.OUT_OF_TIME):
            break
        if status is None:
            record.cut(part, f"{running[1] if running else 'its start'} was cut off by the end of the call")
            break
        if running:  # it crashed, or was ended because it did not end
            record.put(part, running[1], {"error": f"its process ended with status {status}: {said}"[:2000]})
        if len(record.items(part)) == tried:
            record.cut(part, f"failed: {said or f'exit status {status}'}")
            break
    why = record.data["parts"][part].get("why")
    print(f"    incomplete: {why}" if why else "    complete", flush=True)
    return record
