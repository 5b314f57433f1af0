"""What an image costs in instructions, counted and compared with bench/results/costs.json: no clock, no noise."""

from __future__ import annotations

import pytest

from bench.costs import callgrind, records
from bench.costs.workloads import COUNT, PARTS


@pytest.fixture(scope="module")
def counted() -> dict[str, int]:
    if not callgrind.available():
        pytest.skip("valgrind is not installed")
    if callgrind.interpreter() not in records.read():
        pytest.skip(f"no counts are recorded for {callgrind.interpreter()}: python -m bench.costs --record")
    return callgrind.count([*PARTS], COUNT)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_costs_no_more_than_recorded(part: str, counted: dict[str, int]) -> None:
    recorded = records.read()[callgrind.interpreter()]
    assert recorded[part] > 0
    assert not records.grown({part: counted[part]}, recorded)


def test_a_part_has_grown_beyond_the_limit_only() -> None:
    recorded = {"read": 10_000, "write": 10_000}
    assert records.grown({"read": 11_499, "write": 5_000, "new": 1}, recorded) == {}
    assert [*records.grown({"read": 11_501, "write": 10_000}, recorded)] == ["read"]


def test_callgrinds_summary_is_the_count() -> None:
    assert callgrind.total("events: Ir\nfn=(1) a\n3 17\nsummary: 2662461\ntotals: 2662461\n") == 2_662_461
    with pytest.raises(ValueError, match="without a summary"):
        callgrind.total("events: Ir\n")


def test_the_table_is_what_the_records_say() -> None:
    assert (records.RESULTS / "costs.md").read_text() == records.table(records.read())
