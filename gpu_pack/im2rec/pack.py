"""What im2rec.py does without ``--list`` (MXNet 1.9.1): .lst files into records, by the same run as create's.

All lists of the prefix are one run: the workers start once, and the records of all lists are published together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gpu_pack.backends import DeviceOptions, choose
from gpu_pack.console import progress, say
from gpu_pack.errors import SourceError
from gpu_pack.formats.rejects import Reject, reject, reject_line
from gpu_pack.im2rec.options import Options
from gpu_pack.im2rec.read_lists import Lists, find_lists, read_lists
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.plan import Plan, gpu_options, lists_digest, versions
from gpu_pack.pipeline.results import PackResult
from gpu_pack.pipeline.run import Publication, run
from gpu_pack.stores.atomic_file import write_atomically
from gpu_pack.types import HARD_MAX_PIXELS, MAX_WORKERS, TransformSpec


def pack(options: Options) -> int:
    """Pack every list of the prefix; gives the number of images left out.

    Raises:
        GpuPackError: see `gpu_pack.errors`; whatever was written stays, and can be resumed.
    """
    folder, paths = find_lists(options.prefix)
    for path in paths:
        print("Creating .rec file from", path, "in", folder, flush=True)
    lists = read_lists(paths, options)
    plan = make_plan(folder, lists, options)
    choice = choose(plan.spec, plan.device)
    with progress(quiet=False) as on_progress:
        summary = run(plan, Im2recPolicy(lists), choice, on_progress)
    for sentence in (*summary["broken"], *summary["left_out"], summary["last"]):
        say(sentence)
    return len(summary["left_out"])


def make_plan(folder: str, lists: Lists, options: Options) -> Plan:
    """The plan of an im2rec run: a shard for each list."""
    spec, device = make_spec(options), device_options(options)
    base = "" if folder == options.prefix else "-" + os.path.basename(options.prefix)
    identity = {
        "command": "im2rec",
        "versions": versions(spec, device),
        "options": {**asdict(spec), "device": device.device, **gpu_options(spec, device)},
        "root": options.root,
        "lists": lists_digest(lists.listing, lists.shards),
    }
    return Plan(
        options.root,
        Path(folder),
        f".gpu-pack-im2rec{base}",
        lists.listing,
        tuple(lists.shards),
        spec,
        device,
        identity,
        checksum="xxh3_128",
    )


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
    threads = min(options.num_thread, MAX_WORKERS) if options.num_thread > 1 else None
    return DeviceOptions(options.device, workers=options.workers or threads)


@dataclass
class Im2recPolicy:
    """How im2rec publishes: over earlier records, as im2rec.py does; a file of rejects only where there are any."""

    lists: Lists
    _clock: float = field(default_factory=time.monotonic)

    def refuse_outputs(self, plan: Plan, staging: Staging) -> None:
        """See `Policy.refuse_outputs`: im2rec.py replaces what is there."""

    def replace_run(self, plan: Plan, reason: str) -> None:
        """See `Policy.replace_run`."""
        say(f"starting anew instead of resuming the interrupted run: {reason}")

    def nothing_packed(self, plan: Plan, rejects: Sequence[Reject]) -> SourceError:
        """See `Policy.nothing_packed`."""
        first = next(value for shard in plan.shards for value in self._rejects(shard.name, rejects))
        return SourceError(
            f"none of the {len(rejects):,} listed images can be packed, so nothing was written: is "
            f"{plan.identity['root']} the right ROOT? The first: {_sentence(first)}"
        )

    def publication(self, plan: Plan, staging: Staging, packed: PackResult) -> Publication:
        """See `Policy.publication`."""
        names, stale, left_out = [], [], []
        logs = []
        for shard in packed.shards:
            rejects = self._rejects(shard.name, shard.rejects)
            log = shard.name + ".rejects.jsonl"
            names += [shard.name + ".rec", shard.name + ".idx"]
            stale.append(log)
            if rejects:
                write_atomically(staging.path(log), b"".join(map(reject_line, rejects)))
                names.append(log)
                logs.append(log)
                left_out += [f"left out: {_sentence(value)}" for value in rejects]
        broken = [f"given up on the way: {sentence}" for sentence in packed.broken]
        last = self._last_line(packed, len(left_out), logs)
        return Publication(names, stale, {"broken": broken, "left_out": left_out, "last": last})

    def _rejects(self, name: str, rejects: Sequence[Reject]) -> list[Reject]:
        """A list's images that were left out: those that no record can hold, then the others in the list's order."""
        refused = [reject(rejected, name) for rejected in self.lists.refused[name]]
        return refused + [value for value in rejects if value["split"] == name]

    def _last_line(self, packed: PackResult, left_out: int, logs: Sequence[str]) -> str:
        shards = packed.shards
        records, resumed = sum(shard.records for shard in shards), sum(shard.resumed for shard in shards)
        seconds = time.monotonic() - self._clock
        speed = f"{(records - resumed) / max(seconds, 1e-9):,.0f} images/s in {seconds:.1f} s on {packed.device}"
        into = ", ".join(f"{shard.name}.rec" for shard in shards[:4])
        more = f" and {len(shards) - 4} more" if len(shards) > 4 else ""
        where = f" (see {logs[0]}{' and others' if len(logs) > 1 else ''})" if logs else ""
        before = f" ({resumed:,} of them from before)" if resumed else ""
        skipped = f", {self.lists.bad_lines:,} bad lines skipped" if self.lists.bad_lines else ""
        return f"{records:,} images packed{before} into {into}{more}; {left_out:,} left out{where}{skipped}; {speed}"


def _sentence(value: Reject) -> str:
    which = f"{value['path']} (key {value['key']} of {value['split']}.lst)"
    return f"{which}, at {value['stage']}: {value['reason']}"
