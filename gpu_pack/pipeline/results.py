"""What packing shards of a plan gave, in one call or in many, by one machine or several."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import uuid4

from gpu_pack.errors import OutputError
from gpu_pack.formats.notices import Notice
from gpu_pack.formats.rejects import Reject
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.plan import Plan
from gpu_pack.pipeline.shard_numbers import format_shards

#: Suffix of what calls of `pack_shards` keep in the staging folder.
_CALL = ".call"


@dataclass(frozen=True)
class ShardResult:
    """What one packed shard holds.

    Attributes:
        name: of its files, without suffix.
        records, bytes: in the .rec.
        digest: the .rec's checksum, hexadecimal.
        packed_by: records by backend.
        rejects: its images that were not packed, in the list's order.
        resumed: records that an earlier, interrupted call had written.
        notices: notes and warnings about its images, one a code.
    """

    name: str
    records: int
    bytes: int
    digest: str
    packed_by: dict[str, int]
    rejects: tuple[Reject, ...]
    resumed: int = 0
    notices: tuple[Notice, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, as another machine's run reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ShardResult:
        """What `to_json` made ``value`` of."""
        rejects, notices = tuple(value["rejects"]), tuple(Notice(**each) for each in value["notices"])
        return cls(**{**value, "rejects": rejects, "notices": notices})


@dataclass(frozen=True)
class PackResult:
    """What one call of `pack_shards` did.

    Attributes:
        shards: those that it packed.
        device, reason: what ran, and why that.
        workers: how many.
        encoder: the GPU path's JPEG encoder; None without a GPU.
        broken: one sentence for each worker that was given up.
        batch_failures, jpeg_engines: see `gpu_pack.pipeline.report.Report`.
        repeated_requests: of worker processes to object stores.
        host: the machine.
        began: when, in seconds since 1970 by the machine's clock.
        seconds: that it took, or all calls together; 0 where they are the run's own.
        machines: see `gpu_pack.pipeline.report.Report`.
    """

    shards: tuple[ShardResult, ...]
    device: str
    reason: str
    workers: int
    encoder: str | None = None
    broken: tuple[str, ...] = ()
    batch_failures: tuple[tuple[str, int], ...] = ()
    repeated_requests: int = 0
    jpeg_engines: str | None = None
    host: str = field(default_factory=platform.node)
    began: float = 0.0
    seconds: float = 0.0
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the names of the shards in place of what they hold."""
        names = [shard.name for shard in self.shards]
        images = sum(shard.records - shard.resumed + len(shard.rejects) for shard in self.shards)
        return {**asdict(replace(self, shards=())), "shards": names, "images": images}


def merge(plan: Plan, results: Iterable[PackResult]) -> PackResult:
    """The results of several calls of `pack_shards` as one, with the shards in the plan's order.

    Raises:
        OutputError: a shard of the plan is in none of them.
    """
    parts = list(results)
    found: dict[str, ShardResult] = {}
    for shard in (shard for part in parts for shard in part.shards):
        if shard.name not in found or shard.resumed < found[shard.name].resumed:
            found[shard.name] = shard  # packed twice: by the call that wrote most of it
    missing = [number for number, shard in enumerate(plan.shards) if shard.name not in found]
    if missing or not parts:
        raise OutputError(
            f"{plan.place}: {len(missing)} of {len(plan.shards)} shards are not packed yet: {format_shards(missing)}"
        )
    return replace(_joined(parts), shards=tuple(found[shard.name] for shard in plan.shards))


def _joined(parts: Sequence[PackResult]) -> PackResult:
    """The parts as one, without their shards."""
    failures: Counter[str] = Counter()
    for part in parts:
        failures.update(dict(part.batch_failures))
    devices, reasons = dict.fromkeys(part.device for part in parts), dict.fromkeys(part.reason for part in parts)
    workers = {(part.host, part.device): part.workers for part in parts}
    return replace(
        parts[0],
        device=" and ".join(devices),
        reason="; ".join(reasons),
        workers=sum(workers.values()),
        broken=tuple(sentence for part in parts for sentence in part.broken),
        batch_failures=tuple(failures.items()),
        repeated_requests=sum(part.repeated_requests for part in parts),
        seconds=sum(part.seconds for part in parts),
        encoder=next((part.encoder for part in parts if part.encoder is not None), None),
        jpeg_engines=next((part.jpeg_engines for part in parts if part.jpeg_engines is not None), None),
        shards=(),
    )


# ---- what calls keep in the output for the one that publishes


def keep_call(staging: Staging, packed: PackResult) -> None:
    """Keep what a call did, unless it found all of its shards packed."""
    if packed.shards:
        staging.keep(uuid4().hex + _CALL, json.dumps(packed.to_json()).encode())


def gather(plan: Plan, staging: Staging) -> PackResult:
    """What all calls did that packed shards of a plan, of whatever processes and machines.

    Raises:
        OutputError: shards are not packed yet; all of them are named.
    """
    staging.refresh()
    calls = [json.loads(text) for text in staging.kept(_CALL)]
    found = [staging.result(shard.name) for shard in plan.shards]
    shards = tuple(ShardResult.from_json(value) for value in found if value is not None)
    parts = [_of_call(call) for call in calls] or [PackResult(shards, "", "the process that packed them was killed", 0)]
    held = replace(parts[0], shards=shards, broken=(), batch_failures=(), repeated_requests=0, seconds=0.0)
    merged = merge(plan, [*parts, held])
    return replace(merged, machines=_machines(plan, calls))


def _of_call(call: dict[str, Any]) -> PackResult:
    value = {name: each for name, each in call.items() if name != "images"}
    failures = tuple((str(failure), int(times)) for failure, times in call["batch_failures"])
    return PackResult(**{**value, "shards": (), "broken": tuple(call["broken"]), "batch_failures": failures})


def _machines(plan: Plan, calls: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Who packed what; see `gpu_pack.pipeline.report.Report`."""
    numbers = {shard.name: number for number, shard in enumerate(plan.shards)}
    of_host: dict[str, list[dict[str, Any]]] = {}
    for call in sorted(calls, key=lambda call: (str(call["host"]), call["began"])):
        of_host.setdefault(call["host"], []).append(call)
    return {host: _machine(numbers, own) for host, own in of_host.items()}


def _machine(numbers: Mapping[str, int], calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What one machine did, from its calls in the order in which they began."""
    seconds = end = 0.0  # while any call ran: those of several tasks overlap
    for call in calls:
        began, ended = max(call["began"], end), call["began"] + call["seconds"]
        seconds, end = seconds + max(0.0, ended - began), max(end, ended)
    images = sum(call["images"] for call in calls)
    shards = {numbers[name] for call in calls for name in call["shards"] if name in numbers}
    return {
        "device": " and ".join(dict.fromkeys(call["device"] for call in calls)),
        "encoder": calls[0]["encoder"],
        "shards": format_shards(sorted(shards)),
        "images": images,
        "seconds": round(seconds, 3),
        "images_per_second": round(images / max(seconds, 1e-9), 1),
    }
