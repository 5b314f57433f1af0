"""The order of a pass."""

from __future__ import annotations

from random import Random

_random = Random()


def order_of(count: int, shuffled: bool) -> list[int]:
    order = list(range(count))
    if shuffled:
        _random.shuffle(order)
    return order
