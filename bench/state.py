"""What was measured so far: a JSON object a line, appended as results come, so that a run can be resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class OtherRunError(Exception):
    """The file holds results of another run."""


class State:
    """The records of one run.

    Args:
        path: of the file; a last line that was cut short is dropped.
        facts: what the run is: the photographs, the machine, the code.

    Raises:
        OtherRunError: the file is of a run with other facts.
    """

    def __init__(self, path: Path, facts: Record) -> None:
        self._path = path
        self.records: list[Record] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            whole = path.read_bytes().rpartition(b"\n")[0]
            self.records = [json.loads(line) for line in whole.splitlines()]
            path.write_bytes(whole + b"\n" if whole else b"")
        if not self.records:
            self.add({"kind": "facts", "facts": facts})
        elif self.records[0]["facts"] != facts:
            changed = [name for name in facts if self.records[0]["facts"].get(name) != facts[name]]
            raise OtherRunError(
                f"{path} holds another run's results (differs: {', '.join(changed)}): --fresh removes them"
            )

    def add(self, record: Record) -> Record:
        with self._path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        self.records.append(record)
        return record

    def find(self, **wanted: Any) -> list[Record]:
        return [record for record in self.records if wanted.items() <= record.items()]

    def first(self, **wanted: Any) -> Record | None:
        return next(iter(self.find(**wanted)), None)
