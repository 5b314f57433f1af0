"""Parses JSON from untrusted files in bounded time and memory."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

_MAX_CONTAINERS, _MAX_VALUES = 1_000_000, 4_000_000
#: Digits; Python takes quadratic time for long integers.
_MAX_INT, _MAX_FLOAT = 30, 400


def bounded_json(text: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises:
        ValueError, RecursionError: not JSON, too many values, NaN or infinity, or a number too long or too large.
    """
    if text.count(b"[") + text.count(b"{") > _MAX_CONTAINERS or text.count(b",") > _MAX_VALUES:
        raise ValueError("it has too many parts")
    return json.loads(text.decode(), parse_int=_int, parse_float=_float, parse_constant=_constant)


def _int(text: str) -> int:
    if len(text) > _MAX_INT:
        raise ValueError("a number is too long")
    return int(text)


def _float(text: str) -> float:
    value = float(text) if len(text) <= _MAX_FLOAT else math.inf
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
