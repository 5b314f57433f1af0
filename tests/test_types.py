"""Options that check themselves."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from gpu_pack.errors import UsageError
from gpu_pack.types import TransformSpec


def test_each_encoding_has_a_quality_of_its_own() -> None:
    assert (TransformSpec().quality, TransformSpec(encoding="png").quality) == (95, 3)
    assert asdict(TransformSpec(encoding="png"))["quality"] == 3
    assert TransformSpec(encoding="png", quality=9).quality == 9


@pytest.mark.parametrize(
    "values",
    [
        {"encoding": "gif"}, {"interp": "cubic"}, {"color": "bgr"}, {"size": 32.5}, {"size": True}, {"quality": 90.5},
        {"crop": "no"}, {"upscale": 1}, {"pass_through": None}, {"max_pixels": "9"}, {"size": 0}, {"quality": 101},
    ],
)  # fmt: skip
def test_wrong_values_are_named_as_a_caller_and_a_command_line_know_them(values: dict[str, Any]) -> None:
    ((name, value),) = values.items()
    with pytest.raises(UsageError) as raised:
        TransformSpec(**values)
    flag = name.replace("_", "-")
    assert str(raised.value).startswith((f"{name}={value} (--{flag}): ", f"{name}={value!r} (--{flag}): "))
