"""What verify is told, tells on the way, and answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gpu_pack.errors import UsageError
from gpu_pack.tools.faults import Fault


@dataclass(frozen=True)
class VerifyOptions:
    """How thoroughly, and with how much.

    Attributes:
        decode: decode every image; otherwise only its structure is looked at.
        workers: threads; None for one a core.

    Raises:
        UsageError: a number of workers out of range.
    """

    decode: bool = True
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and not 1 <= self.workers <= 1024:
            raise UsageError(f"--workers {self.workers}: between 1 and 1024")


@dataclass
class VerifyProgress:
    """How far a verification is."""

    records: int = 0
    bytes: int = 0
    total_bytes: int = 0
    faults: int = 0


@dataclass
class Verification:
    """What verify found.

    Attributes:
        files: .rec files looked at.
        records, bytes: whole records in them, and their sizes.
        decoded: whether images were decoded.
        notes: what a reader should know that is no fault.
        faults: by file and place; ``fault_count`` of them, of which at most 100,000 are kept.
        seconds: that it took.
    """

    files: int = 0
    records: int = 0
    bytes: int = 0
    decoded: bool = True
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.fault_count == 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return {"ok": self.ok, **self.__dict__, "faults": [fault.to_json() for fault in self.faults]}


OnVerify = Callable[[VerifyProgress], None]
