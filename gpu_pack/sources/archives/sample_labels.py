"""Labels of WebDataset samples: a ``.cls`` with text, or a field of a ``.json``."""

from __future__ import annotations

import re
import struct
from typing import Any

from gpu_pack.formats.bounded_json import bounded_json
from gpu_pack.sources.found import Label

#: Looked for where no field is named, the first that is there.
JSON_FIELDS = ("label", "cls", "class", "class_id", "class_name", "target")
#: Of a file with a label.
MOST_BYTES = 1 << 20
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
_MOST_NAME = 200


def split_name(name: str) -> tuple[str, str]:
    """A sample's key, and its file's suffix in lower case: they meet at the first dot behind the last ``/``."""
    folder, slash, file = name.removeprefix("./").rpartition("/")
    key, _, ending = file.partition(".")
    return f"{folder}{slash}{key}", ending.lower()


def read_json(data: bytes) -> dict[str, Any]:
    """The object in a JSON; empty where there is none."""
    try:
        value = bounded_json(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


class LabelKey:
    """Which file of a sample has its label, and where in it.

    Args:
        asked: ``cls`` or another suffix, ``json`` or ``json.FIELD``; None: the first of the guesses that a sample has.

    Attributes:
        name: as it was asked for, or as it was found once a label was read.
    """

    def __init__(self, asked: str | None) -> None:
        self.name = asked
        self._guessing = asked is None
        self._ending, self._field = (asked or "").lower(), ""
        if asked is not None and self._ending.startswith("json."):
            self._ending, self._field = "json", asked.partition(".")[2]

    def may_be(self, ending: str) -> bool:
        """Whether a file with this suffix may have the label."""
        return ending == self._ending or (self._guessing and ending in ("cls", "json"))

    def settle(self) -> None:
        """All further samples have their labels where the first one had it."""
        self._guessing = self._guessing and not self._ending

    def read(self, ending: str, data: bytes) -> Label | None:
        """The label in a file; None where it has none of the name that is looked for.

        Raises:
            ValueError: what is there is no label.
        """
        if not self.may_be(ending):
            return None
        if ending != "json":
            self._found(ending, "")
            return _from_text(_decoded(data))
        if self._guessing and self._ending == "cls":
            return None
        found = read_json(data)
        names = (self._field,) if self._field else JSON_FIELDS
        for name in names:
            value = _look_up(found, name)
            if value is not None:
                self._found("json", name)
                return _from_value(value)
        return None

    def _found(self, ending: str, field: str) -> None:
        self._ending, self._field = ending, field
        self.name = f"{ending}.{field}" if field else ending


def _look_up(found: dict[str, Any], name: str) -> Any:
    """A field by its name, or by names of fields within fields with dots between."""
    if name in found:
        return found[name]
    first, dot, rest = name.partition(".")
    inner = found.get(first)
    return _look_up(inner, rest) if dot and isinstance(inner, dict) else None


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"its label is not UTF-8 at byte {error.start}") from None


def _from_text(text: str) -> Label:
    """A number stays one; anything else is the name of a class."""
    text = text.strip()
    if not text:
        raise ValueError("its label is empty")
    if _NUMBER.fullmatch(text):
        return (_exact(float(text)),)
    if len(text) > _MOST_NAME or not text.isprintable():
        raise ValueError(f"its label is no name of a class: {text[:40]!r}")
    return text


def _from_value(value: Any) -> Label:
    if isinstance(value, str):
        return _from_text(value)
    values = value if isinstance(value, list) else [value]
    if not values or any(type(each) not in (int, float) for each in values):
        raise ValueError(f"its label is neither a number, numbers, nor a name: {str(value)[:40]}")
    return tuple(map(_exact, values))


def _exact(value: float) -> float:
    try:
        same = struct.unpack("<f", struct.pack("<f", value))[0]
    except (OverflowError, struct.error):
        same = None
    whole = isinstance(value, int) or value.is_integer()
    if same is None or same != same or (whole and same != value):
        raise ValueError(f"its label {str(value)[:40]} is none that a record can hold")
    return float(value)
