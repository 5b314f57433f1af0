"""The page of findings, from a record's data alone: the same data gives the same page.

python -m bench.gpu.findings prove_gpu.json gpu.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.gpu import verdict
from bench.gpu.verdict import LOW, Data, best_trial, items, trials

_DEVICES = ("cpu", "gpu", "hybrid")
_COLUMNS = {
    "encoder": "encoder",
    "hw_decoder_load": "load",
    "processes": "processes",
    "workers": "workers",
    "batch_size": "batch",
    "threads": "threads",
    "hybrid_huffman_threshold": "Huffman threshold",
}
_OTHER_FACTS = {"photos": "photographs", "scratch": "folder for temporary files"}


def page(data: Data) -> str:
    """Markdown; the verdict is its first line."""
    sections = [
        f"# {verdict.headline(data)}",
        _list("Failures", verdict.failures(data)),
        _list("Incomplete parts", [f"{name}: {_line(why)}" for name, why in verdict.incomplete(data).items()]),
        _machine(data),
        _best(data),
        _trials("Sweep", data, "sweep"),
        _side_by_side(data),
        _under_load(data),
        _mps(data),
        _rest("Tests", data, "tests"),
        _decoders(data),
        _faults(data),
        _rest("Stages", data, "stages"),
        _rest("Memory of one long run", data, "memory"),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _machine(data: Data) -> str:
    found = items(data, "facts")
    if not found:
        return ""
    diagnosis = found.get("machine", {})
    rows: list[tuple[str, Any]] = []
    for gpu in diagnosis.get("gpus", ()):
        engines = gpu["jpeg_engines"] if gpu["jpeg_engines"] is not None else "unknown"
        reason = f" ({gpu['jpeg_engines_reason']})" if gpu["jpeg_engines_reason"] else ""
        rows.append(
            (f"GPU {gpu['number']}", f"{gpu['name']}, {gpu['memory'] / 2**30:.1f} GiB, compute {gpu['compute']}")
        )
        rows.append((f"JPEG engines of GPU {gpu['number']}", f"{engines}{reason}"))
    rows += [
        (key, diagnosis[key])
        for key in ("driver", "cuda", "system", "processor", "cores", "commit")
        if diagnosis.get(key) is not None
    ]
    rows += [(name, version or "not installed") for name, version in diagnosis.get("versions", {}).items()]
    rows += [(name, _figures(found[key])) for key, name in _OTHER_FACTS.items() if key in found]
    return "## Machine\n\n" + _table(("", ""), rows)


def _best(data: Data) -> str:
    """What to change in `gpu_pack.gpu.settings`."""
    best = best_trial(items(data, "sweep"))
    if best is None:
        return ""
    defaults = items(data, "facts").get("machine", {}).get("defaults", {})
    rows = [
        (f"`{name}`", defaults.get(name, "unknown"), value, "" if defaults.get(name) == value else "change")
        for name, value in best["settings"].items()
    ]
    under = best_trial(items(data, "mps"))
    beside = f" Under MPS: {under['images/s']:,.0f} images/s, with {_settings(under)}." if under else ""
    return (
        f"## Best settings\n\nIn `gpu_pack/gpu/settings.py`, for {best['images/s']:,.0f} images/s of the workers alone."
        f"{beside}\n\n" + _table(("setting", "default", "best here", ""), rows)
    )


def _trials(title: str, data: Data, part: str) -> str:
    found = trials(data, part)
    if not found:
        return ""
    shown = {key: name for key, name in _COLUMNS.items() if any(key in trial["settings"] for trial in found)}
    rows = []
    for trial in found:
        other = {key: value for key, value in trial["settings"].items() if key not in _COLUMNS}
        rows.append(
            (
                f"{trial['images/s']:,.0f}",
                *(trial["settings"].get(key, "") for key in shown),
                _figures(other),
                _percent(trial.get("engines")),
                _percent(trial.get("gpu")),
                f"{trial['left to the CPU']:,.0f}" if "left to the CPU" in trial else "",
                _figures(trial.get("said", {})),
            )
        )
    names = ("images/s", *shown.values(), "other", "engines %", "GPU %", "left to the CPU/s", "said")
    return f"## {title}\n\nMin / mean / max of NVML's samples.\n\n" + _table(names, rows)


def _side_by_side(data: Data) -> str:
    rounds = {
        name: item
        for name, item in items(data, "side_by_side").items()
        if name.startswith("round") and "error" not in item
    }
    if not rounds:
        return ""
    rows = []
    for name, item in rounds.items():
        rates = [item[device]["images_per_second"] for device in _DEVICES]
        ratio = f"{rates[1] / rates[0]:.2f}" if rates[0] else ""
        rows.append((name, *(f"{rate:,.0f}" for rate in rates), ratio))
    median = verdict.side_by_side(data)
    share = f"{100 * median['gpu'] / verdict.TARGET:.0f} % of the target of {verdict.TARGET:,}"
    alone = [
        f"{name}: {item['images/s']:,.0f} images/s"
        for name, item in items(data, "side_by_side").items()
        if item.get("images/s")
    ]
    return "\n\n".join(
        [
            "## Side by side",
            f"`gpu-pack create` as whole processes, images/s. The GPU's median, {median['gpu']:,.0f}, is {share}.",
            _table(("", *_DEVICES, "gpu / cpu"), rows),
            "\n".join(f"- {line}" for line in alone),
        ]
    ).rstrip()


def _under_load(data: Data) -> str:
    found = {name: item for name, item in items(data, "under_load").items() if "error" not in item}
    if not found:
        return ""
    names = ("compared", "mean", "worst", "identical", "in one file only", "repeats with other bytes")
    rows = [
        (name, f"{item['images_per_second']:,.0f}", *(item[key] for key in names), len(item[LOW]), item["jpeg_engines"])
        for name, item in found.items()
    ]
    low = [(name, one["key"], one["path"], one["dB"]) for name, item in found.items() for one in item[LOW]]
    return "\n\n".join(
        [
            "## Agreement under load",
            "Pictures of the GPU's .rec against the CPU's, in dB; identical files were made by the CPU codec in both.",
            _table(("", "images/s", *names, LOW, "engines"), rows),
            _table(("", "key", "path", "dB"), low) if low else f"No picture is {LOW}.",
        ]
    )


def _mps(data: Data) -> str:
    if reason := items(data, "mps").get("unavailable", {}).get("reason"):
        return f"## Under MPS\n\nNot measured: {reason}"
    return _trials("Under MPS", data, "mps")


def _decoders(data: Data) -> str:
    rows = [
        (
            name,
            load,
            *(figures[key] for key in ("images", "mean", "worst", "other sizes", "bytes that differ from load 1")),
        )
        for name, item in items(data, "decoders").items()
        for load, figures in item.items()
        if load.startswith("load=")
    ]
    names = ("", "", "images", "mean dB", "worst dB", "other sizes", "bytes that differ from load 1")
    return "## Decoders\n\n" + _table(names, rows) if rows else ""


def _faults(data: Data) -> str:
    tried = {name: item for name, item in items(data, "faults").items() if "verdict" in item}
    if not tried:
        return ""
    silent = [name for name, item in tried.items() if item["silent"]]
    lines = [
        f"{len(tried)} kinds tried; {sum(not item['others_exact'] for item in tried.values())} changed other pictures.",
        f"Damaged for the CPU, but packed by the GPU: {'; '.join(silent) or 'none'}.",
    ]
    return "## Damaged files\n\n" + "\n\n".join(lines)


def _rest(title: str, data: Data, part: str) -> str:
    """A row for each item that worked."""
    rows = [(name, _figures(item)) for name, item in items(data, part).items() if "error" not in item]
    return f"## {title}\n\n" + _table(("", ""), rows) if rows else ""


def _settings(trial: Data) -> str:
    return ", ".join(f"`{name}={value}`" for name, value in trial["settings"].items())


def _figures(values: Data) -> str:
    hidden = ("call", "seconds")
    return ", ".join(
        f"{key}: {value}"
        for key, value in values.items()
        if key not in hidden and not (isinstance(value, list) and len(value) > 5)
    )


def _percent(summary: Data | None) -> str:
    return f"{summary['min']} / {summary['mean']} / {summary['max']}" if summary else ""


def _list(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(
        f"| {' | '.join(_line(str(cell)).replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def _line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(page(json.loads(source.read_text(encoding="utf-8"))), encoding="utf-8")
