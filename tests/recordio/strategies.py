"""What may be in a record: payloads, keys and labels, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.recordio import cases

#: The label that has the magic number's bits.
MAGIC_LABEL = -1804698880.0

words = st.sampled_from([cases.MAGIC, b"abcd", cases.MAGIC[:2], cases.MAGIC[2:], b"x"])
payloads = st.one_of(st.binary(max_size=200), st.lists(words, max_size=30).map(b"".join))
labels = st.floats(width=32, allow_nan=False).filter(lambda value: value != MAGIC_LABEL)
keys = st.integers(0, 2**64 - 1).filter(lambda key: 0xCED7230A not in (key & 0xFFFFFFFF, key >> 32))
