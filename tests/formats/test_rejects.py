"""Lines of rejects.jsonl, written and read."""

from __future__ import annotations

import json

import pytest

from gpu_pack.formats.rejects import parse_reject, reject, reject_line
from gpu_pack.types import Entry, Rejected

SPLITS = ("train", None)


@pytest.mark.parametrize(
    ("entry", "split", "line"),
    [
        (
            Entry(7, (1.0,), "ü.jpg"),
            "train",
            '{"key": 7, "path": "ü.jpg", "label": 1.0, "split": "train", '
            '"stage": "decode", "reason": "it is \\"bad\\"", "code": "damaged"}\n',
        ),
        (
            Entry(2**64 - 1, (1.0, 2.5), "\udcff.jpg"),
            None,
            '{"key": 18446744073709551615, "path": "\\udcff.jpg", "label": [1.0, 2.5], "split": null, '
            '"stage": "decode", "reason": "it is \\"bad\\"", "code": "damaged"}\n',
        ),
    ],
)
def test_lines_are_read_as_they_were_written(entry: Entry, split: str | None, line: str) -> None:
    value = reject(Rejected(entry, "decode", 'it is "bad"', "damaged"), split)
    assert reject_line(value) == line.encode()
    assert parse_reject(reject_line(value), SPLITS) == value


def test_a_label_that_is_not_known_is_empty_outside_of_lists() -> None:
    value = reject(Rejected(Entry(7, (), "a.rec!/byte 8"), "read", "cut short", "damaged"), None)
    assert parse_reject(reject_line(value), [None]) == value and value["label"] == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"key": None}, "it has no key"),
        ({"key": -1}, "it has no key"),
        ({"key": True}, "it has no key"),
        ({"key": 2**64}, "it has no key"),
        ({"path": 1}, "key 7 has no path"),
        ({"reason": None}, "key 7 has no reason"),
        ({"code": "bad luck"}, "key 7 has no known code"),
        ({"label": []}, "key 7 has no label"),
        ({"label": "1"}, "key 7 has no label"),
        ({"label": [1, True]}, "key 7 has no label"),
        ({"stage": "publish"}, "key 7 has no known stage"),
        ({"stage": ["read"]}, "key 7 has no known stage"),
        ({"split": "other"}, "key 7 has no known split"),
        ({"split": ["train"]}, "key 7 has no known split"),
    ],
)
def test_damaged_values_are_named(changes: dict[str, object], what: str) -> None:
    value = reject(Rejected(Entry(7, (1.0,), "a.jpg"), "read", "no such file", "missing"), "train")
    with pytest.raises(ValueError, match=what):
        parse_reject(json.dumps({**value, **changes}).encode(), SPLITS)


@pytest.mark.parametrize(("line", "what"), [(b"", "not JSON"), (b"[]", "not a JSON object"), (b"{" * 9999, "not JSON")])
def test_other_lines_are_refused(line: bytes, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse_reject(line, SPLITS)
