"""What a record proves: what failed, what is missing, and one sentence about both."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from bench.gpu.parts import PARTS

Data = dict[str, Any]
#: Images/s: the whole of ImageNet-1k in a minute.
TARGET = 21_400
#: dB, of the GPU path's pictures against the CPU's.
LEAST_MEAN = 40.0
LOW = "under 30 dB"
#: They change the pixels, or what is noticed of damage: a sweep measures them, and they are not recommended.
_ONLY_MEASURED = {"fancy_upsampling": False, "check_scans": False}.items()


def headline(data: Data) -> str:
    """The verdict in one line; a failure of the JPEG engines comes before any other."""
    name = (data.get("machine") or {}).get("gpu") or "no GPU"
    if data.get("rehearsal"):
        name = "rehearsal without a GPU"
    if failed := failures(data):
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        return f"FAILED on {name}: {failed[0]}{more}"
    if missing := incomplete(data):
        return f"Incomplete on {name}: {', '.join(missing)}"
    speed = side_by_side(data).get("gpu")
    if data.get("rehearsal") or speed is None:
        return f"Complete: {name}"
    compared = "reaches" if speed >= TARGET else "falls short of"
    return f"Proven on {name}: {speed:,.0f} images/s, which {compared} the target of {TARGET:,}"


def failures(data: Data) -> list[str]:
    """What is not as it should be; the JPEG engines first."""
    return [*_engines(data), *_errors(data), *_pictures(data), *_damage(data)]


def incomplete(data: Data) -> dict[str, str]:
    """The parts that are missing or were cut off, and why."""
    parts = data.get("parts", {})
    return {
        name: parts.get(name, {}).get("why", "not begun") for name in PARTS if not parts.get(name, {}).get("complete")
    }


def items(data: Data, part: str) -> dict[str, Data]:
    """The items of a part; empty if it was not begun."""
    found: dict[str, Data] = data.get("parts", {}).get(part, {}).get("items", {})
    return found


def trials(data: Data, part: str = "sweep") -> list[Data]:
    """The settings that were tried and worked, the fastest first."""
    worked = [item for item in items(data, part).values() if item.get("images/s")]
    return sorted(worked, key=lambda trial: -trial["images/s"])


def best_trial(items: dict[str, Data]) -> Data | None:
    """The trial of a sweep with the most images/s, of those that can be recommended; None if none worked."""
    trials = [item for item in items.values() if item.get("images/s") and not _ONLY_MEASURED & item["settings"].items()]
    return max(trials, key=lambda trial: trial["images/s"], default=None)


def side_by_side(data: Data) -> dict[str, float]:
    """The median images/s of each device's whole runs."""
    rates: dict[str, list[float]] = {}
    for name, item in items(data, "side_by_side").items():
        if name.startswith("round") and "error" not in item:
            for device in ("cpu", "gpu", "hybrid"):
                rates.setdefault(device, []).append(item[device]["images_per_second"])
    return {device: statistics.median(values) for device, values in rates.items()}


def _engines(data: Data) -> Iterator[str]:
    if data.get("rehearsal"):
        return
    for gpu in items(data, "facts").get("machine", {}).get("gpus", [])[:1]:
        if gpu["jpeg_engines"] == 0 or (gpu["jpeg_engines"] and gpu["jpeg_engines_reason"]):
            reason = f": {gpu['jpeg_engines_reason']}" if gpu["jpeg_engines_reason"] else ""
            yield f"{gpu['jpeg_engines'] if not reason else 0} JPEG engines can be used{reason}"
        if gpu["jpeg_engines"] is None:
            yield f"how many JPEG engines there are is unknown: {gpu['jpeg_engines_reason']}"
    for part in ("sweep", "mps"):
        asked = [trial for trial in trials(data, part) if trial["settings"].get("hw_decoder_load", 1.0) > 0]
        idle = [trial for trial in asked if trial.get("engines") and not trial["engines"]["max"]]
        if idle:
            yield f"the JPEG engines were never busy in {len(idle)} of {part}'s {len(asked)} trials with a load above 0"
        unknown = [trial for trial in asked if not trial.get("engines")]
        if unknown:
            yield f"NVML does not say how busy the JPEG engines were in {len(unknown)} of {len(asked)} trials of {part}"
    for name, item in items(data, "under_load").items():
        if name != "load=0" and str(item.get("jpeg_engines")).startswith("never busy"):
            yield f"under load, {name}: the JPEG engines were {item['jpeg_engines']}"


def _errors(data: Data) -> Iterator[str]:
    for part in PARTS:
        for name, item in items(data, part).items():
            if "error" in item:
                yield f"{part}, {name}: {' '.join(item['error'].split())[:300]}"
        why = data.get("parts", {}).get(part, {}).get("why", "")
        if why.startswith("failed: ") and not any("error" in item for item in items(data, part).values()):
            yield f"{part}: {' '.join(why.split())[:300]}"


def _pictures(data: Data) -> Iterator[str]:
    for name, item in items(data, "decoders").items():
        for load, figures in item.items():
            # Without fancy upsampling, pictures are meant to differ more.
            meant = load.startswith("load=") and "fancy_upsampling=True" in name
            if meant and (figures["mean"] or 0) < LEAST_MEAN:
                yield f"decoders, {name}, {load}: {figures['mean']} dB in the mean, below {LEAST_MEAN:g}"
    for name, item in items(data, "under_load").items():
        if "error" in item:
            continue
        if not item["compared"]:
            yield f"under load, {name}: the GPU packed no picture of its own"
        elif item["mean"] < LEAST_MEAN:
            yield f"under load, {name}: {item['mean']} dB in the mean, below {LEAST_MEAN:g}"
        if item[LOW]:
            yield f"under load, {name}: {len(item[LOW])} pictures {LOW}"
        if item["in one file only"]:
            yield f"under load, {name}: {item['in one file only']} pictures are in one of the files only"


def _damage(data: Data) -> Iterator[str]:
    for name, item in items(data, "faults").items():
        if item.get("others_exact") is False:
            yield f"faults, {name}: it changed other pictures of its batch"
