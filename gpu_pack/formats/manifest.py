"""The manifest's own checksum: it holds every other file's, and this one line holds the manifest's.

The last line of ``run`` is the sha256 of the whole text as it is with 64 zeros in place of the digest. A flipped bit
before it, in it or after it shows. It stands under ``run``, where everything is that differs from run to run.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

_ZEROS = b"0" * 64
_TAIL = re.compile(rb',\n  "sha256": "([0-9a-f]{64})"\n }\n}\Z')


def with_checksum(document: dict[str, Any]) -> bytes:
    """A manifest as JSON text, with_checksum; ``run`` must be its last member, with something in it."""
    run = {**document["run"], "sha256": _ZEROS.decode()}
    # A lone surrogate (a byte of a file name that is no UTF-8) becomes a JSON escape.
    text = json.dumps({**document, "run": run}, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")
    found = _TAIL.search(text)
    assert found is not None
    return text[: found.start(1)] + hashlib.sha256(text).hexdigest().encode() + text[found.end(1) :]


def checksum_fault(text: bytes) -> str | None:
    """Why a manifest's text is not what `with_checksum` gave, or None."""
    found = _TAIL.search(text)
    if found is None:
        return "its own checksum, the sha256 at its end, is missing or damaged"
    expected = hashlib.sha256(text[: found.start(1)] + _ZEROS + text[found.end(1) :]).hexdigest()
    return None if expected.encode() == found[1] else "its text differs from its own checksum, the sha256 at its end"
