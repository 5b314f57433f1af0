"""What was found, in one JSON file that is written anew after every item, with the page of findings beside it.

    {"rehearsal": false, "machine": {"gpu": ...}, "calls": ["--part sweep ..."],
     "parts": {"sweep": {"complete": false, "why": "...", "items": {KEY: {"call": 1, "seconds": 9.3, ...}}}},
     "running": ["sweep", KEY]}

An item that failed has an ``error``. ``running`` is what was being measured when the file was written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.gpu.findings import page

Figures = dict[str, Any]


class Record:
    """The file and what is in it.

    Args:
        path: the JSON file; the page is written to its folder, as ``gpu.md``.
        data: what it begins with.
    """

    def __init__(self, path: Path, data: Figures) -> None:
        self.path, self.data = path, data

    @classmethod
    def read(cls, path: Path) -> Record:
        """The record of a file.

        Raises:
            SystemExit: it cannot be read, or holds something else.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if not all(isinstance(part["items"], dict) for part in data["parts"].values()):
                raise TypeError
        except OSError as error:
            raise SystemExit(f"{path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SystemExit(f"{path}: not a file that prove_gpu.py wrote") from None
        return cls(path, data)

    @classmethod
    def begin(cls, path: Path, earlier: Path, call: str, machine: Figures, rehearsal: bool) -> Record:
        """The record of a new call, which resumes an earlier one's if that was on the same machine."""
        data: Figures = {"rehearsal": rehearsal, "machine": machine, "calls": [], "parts": {}}
        if earlier.exists() or earlier != path:
            known = cls.read(earlier).data
            if (known.get("rehearsal"), known.get("machine")) == (rehearsal, machine):
                data = known
            else:
                print(f"{earlier} is of another machine, whose figures cannot be compared: everything is measured anew")
        data.pop("running", None)
        data["calls"].append(call)
        record = cls(path, data)
        record.save()
        return record

    def start(self, part: str) -> None:
        """Begin or resume a part; what failed in earlier calls is forgotten."""
        found = self.data["parts"].setdefault(part, {"items": {}})
        found["items"] = {key: item for key, item in found["items"].items() if "error" not in item}
        self._end(part, False, "it was cut off")

    def begin_item(self, part: str, key: str) -> None:
        """Note what is being measured, in case it ends the process."""
        self.data["running"] = [part, key]
        self.save()

    def put(self, part: str, key: str, figures: Figures) -> None:
        """Add an item that has ended."""
        self.items(part)[key] = {"call": len(self.data["calls"]), **figures}
        self.data.pop("running", None)
        self.save()

    def finish(self, part: str) -> None:
        """Every item of the part was tried: it is complete unless one failed."""
        failed = [key for key, item in self.items(part).items() if "error" in item]
        self._end(part, not failed, f"failed: {'; '.join(failed)}")

    def cut(self, part: str, why: str) -> None:
        """The part ended before its end."""
        self.data.pop("running", None)
        self._end(part, False, why)

    def complete(self, part: str) -> bool:
        """Whether the part need not be repeated."""
        return bool(self.data["parts"].get(part, {}).get("complete"))

    def items(self, part: str) -> dict[str, Figures]:
        """What the part has measured so far; empty if nothing."""
        found: dict[str, Figures] = self.data["parts"].get(part, {"items": {}})["items"]
        return found

    def save(self) -> None:
        """Write the file and the page, each in one step."""
        _replace(self.path, json.dumps(self.data, indent=1, default=str) + "\n")
        try:  # as the file has it, so that the page is the same when it is made from the file
            text = page(json.loads(json.dumps(self.data, default=str)))
        except Exception as error:  # the figures are worth more than their page
            text = f"# The page cannot be written: {type(error).__name__}: {error}\n"
        _replace(self.path.with_name("gpu.md"), text)

    def _end(self, part: str, complete: bool, why: str) -> None:
        found = self.data["parts"][part]
        found["complete"] = complete
        found.pop("why", None)
        if not complete:
            found["why"] = why
        self.save()


def _replace(path: Path, text: str) -> None:
    scratch = path.with_name(path.name + ".tmp")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
