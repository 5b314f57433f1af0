"""What im2rec.py does without ``--list`` (MXNet 1.9.1): .lst files into records, on the parts that create uses.

All lists of the prefix are one run: the workers start once, and the records of all lists are published together.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpu_pack.backends import Choice, DeviceOptions, choose
from gpu_pack.console import progress, say
from gpu_pack.errors import SourceError
from gpu_pack.im2rec.options import Options
from gpu_pack.im2rec.read_lists import Lists, find_lists, read_lists
from gpu_pack.output.checkpoint import Sum32
from gpu_pack.output.staging import Identity, Staging
from gpu_pack.pipeline.pack_shards import write_shards
from gpu_pack.pipeline.report import RejectLog
from gpu_pack.pipeline.resume import RunContext, ShardProgress, begin, list_digests, obstacle, resume, versions
from gpu_pack.sources.splits import Shard
from gpu_pack.stores.atomic_file import write_durably
from gpu_pack.types import HARD_MAX_PIXELS, TransformSpec

_RESULT = "result"


def pack(options: Options) -> int:
    """Pack every list of the prefix; gives the number of images left out.

    Raises:
        GpuPackError: see `gpu_pack.errors`; whatever was written stays, and can be gone on with.
    """
    folder, paths = find_lists(options.prefix)
    for path in paths:
        print("Creating .rec file from", path, "in", folder, flush=True)
    lists = read_lists(paths, options)
    spec, device = make_spec(options), device_options(options)
    choice = choose(spec, device)
    base = "" if folder == options.prefix else "-" + os.path.basename(options.prefix)
    with Staging(Path(folder), f".gpu-pack-im2rec{base}") as staging, progress(quiet=False) as on_progress:
        work = RunContext(
            staging,
            lists.listing,
            lists.shards,
            spec,
            device,
            RejectLog(staging.path("rejects.jsonl")),
            on_progress,
            new_digest=Sum32,  # no manifest tells anybody a sha256
        )
        summary = _finish_earlier(work) or _pack(work, lists, choice)
    for sentence in summary["left_out"]:
        say(f"left out: {sentence}")
    say(summary["last"])
    return len(summary["left_out"])


def make_spec(options: Options) -> TransformSpec:
    """im2rec.py's transformation; qualities out of range are what OpenCV makes of them."""
    png = options.encoding == ".png"
    return TransformSpec(
        size=options.resize or None,
        crop=options.center_crop,
        interp="linear",
        color="rgb" if options.color == 1 else "gray" if options.color == 0 else "unchanged",
        encoding="png" if png else "jpg",
        quality=min(max(options.quality, 0), 9) if png else min(max(options.quality, 1), 100),
        pass_through=options.pass_through,
        max_pixels=HARD_MAX_PIXELS,
        other_formats=True,
    )


def device_options(options: Options) -> DeviceOptions:
    """``--workers``, or else ``--num-thread`` where that asks for several."""
    threads = min(options.num_thread, 1024) if options.num_thread > 1 else None
    return DeviceOptions(options.device, workers=options.workers or threads)


# ---- the run


def _identity(work: RunContext, digests: dict[str, str]) -> Identity:
    """What must be the same for an interrupted run to be gone on with."""
    return {
        "command": "im2rec",
        "versions": versions(work.spec),
        "options": {**asdict(work.spec), "device": work.device.device},
        "root": work.listing.root,
        "lists": digests,
    }


def _finish_earlier(work: RunContext) -> dict[str, Any] | None:
    """The summary of this very run, if it was killed while it published. Another one's publication is completed too."""
    summary = work.staging.note(_RESULT)
    same = summary is not None and _can_resume(work)
    if not work.staging.finish_publishing():
        return None
    work.staging.reopen()
    if not same:
        return None
    work.staging.discard()
    return dict(summary)


def _can_resume(work: RunContext) -> bool:
    """Whether an interrupted run lies there that is this one; if it is another one, say in what."""
    if work.staging.identity() is None:
        return False
    reason = obstacle(work, _identity(work, list_digests(work.listing, work.shards)))
    if reason:
        say(f"starting anew instead of going on with the interrupted run: {reason}")
    return not reason


def _pack(work: RunContext, lists: Lists, choice: Choice) -> dict[str, Any]:
    clock = time.monotonic()
    parts = resume(work) if _can_resume(work) else begin(work, lambda digests: _identity(work, digests))
    resumed = sum(len(part.written.keys) for part in parts)
    ran = write_shards(work, parts, choice)
    for sentence in ran.broken:
        say(f"given up on the way: {sentence}")
    packed = sum(len(part.written.keys) for part in parts)
    rejects = {shard.name: _rejects(work, lists, shard) for shard in lists.shards}
    _refuse_nothing(work, packed, rejects)
    seconds = time.monotonic() - clock
    summary = {
        "left_out": [_sentence(value) for values in rejects.values() for value in values],
        "last": _last_line(parts, lists, rejects, packed, resumed)
        + f"; {(packed - resumed) / max(seconds, 1e-9):,.0f} images/s in {seconds:.1f} s on {choice.device}",
    }
    _publish(work, rejects, summary)
    return summary


def _rejects(work: RunContext, lists: Lists, shard: Shard) -> list[dict[str, Any]]:
    """A list's images that were left out: those that no record can hold, then the others in the list's order."""
    log = work.rejects
    refused = [
        log.lines[None, item.entry.key, item.entry.path] | {"split": shard.split} for item in lists.refused[shard.name]
    ]
    if not log.lines:
        return refused
    names = ((shard.split, lists.listing.keys[row], lists.listing.paths[row]) for row in shard.rows)
    return refused + [log.lines[name] for name in names if name in log.lines]


def _refuse_nothing(work: RunContext, packed: int, rejects: dict[str, list[dict[str, Any]]]) -> None:
    """A wrong ROOT must not replace good records by empty ones."""
    left_out = [value for values in rejects.values() for value in values]
    if packed or not left_out:
        return
    work.staging.clear()
    work.staging.discard()
    raise SourceError(
        f"none of the {len(left_out):,} listed images can be packed, so nothing was written: is {work.listing.root} "
        f"the right ROOT? The first: {_sentence(left_out[0])}"
    )


def _publish(work: RunContext, rejects: dict[str, list[dict[str, Any]]], summary: dict[str, Any]) -> None:
    names, stale = [], []
    for name, values in rejects.items():
        names += [name + ".rec", name + ".idx"]
        log = name + ".rejects.jsonl"
        stale.append(log)
        if values:
            lines = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
            write_durably(work.staging.path(log), lines.encode("utf-8", "backslashreplace"))
            names.append(log)
    work.staging.set_note(_RESULT, summary)
    work.staging.publish(names, stale)


def _sentence(value: dict[str, Any]) -> str:
    which = f"{value['path']} (key {value['key']} of {value['split']}.lst)"
    return f"{which}, at {value['stage']}: {value['reason']}"


def _last_line(
    parts: list[ShardProgress], lists: Lists, rejects: dict[str, list[dict[str, Any]]], packed: int, resumed: int
) -> str:
    into = ", ".join(f"{part.shard.name}.rec" for part in parts[:4])
    more = f" and {len(parts) - 4} more" if len(parts) > 4 else ""
    left_out = sum(map(len, rejects.values()))
    logs = [name for name, values in rejects.items() if values]
    where = f" (see {logs[0]}.rejects.jsonl{' and others' if len(logs) > 1 else ''})" if logs else ""
    before = f" ({resumed:,} of them from before)" if resumed else ""
    skipped = f", {lists.bad_lines:,} bad lines skipped" if lists.bad_lines else ""
    return f"{packed:,} images packed{before} into {into}{more}; {left_out:,} left out{where}{skipped}"
