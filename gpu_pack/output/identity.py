"""Which run this is: what must be the same for an interrupted one to be resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: What must be the same for a run to be resumed; plain JSON.
Identity = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """One way in which an interrupted run differs from the one that is asked for now."""

    what: str
    before: object
    now: object

    def __str__(self) -> str:
        return f"{self.what} was {self.before}, is {self.now}"


def differences(before: Identity, now: Identity) -> list[Difference]:
    """How an identity that was read from JSON differs from this run's."""
    found, asked = _flatten(before), _flatten(plain(now))
    names = sorted(found.keys() | asked.keys())
    return [Difference(name, found.get(name), asked.get(name)) for name in names if found.get(name) != asked.get(name)]


def plain(value: Identity) -> Identity:
    """An identity as it is after a trip through JSON."""
    return dict(json.loads(json.dumps(value)))


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, dict):
            flat |= _flatten(item, f"{prefix}{name}.")
        else:
            flat[prefix + name] = item
    return flat
