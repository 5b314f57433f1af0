"""The tables of docs/speed.md, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import marks

PAGE = Path(__file__).parents[2] / "docs" / "speed.md"
BEGIN, END = "<!-- where: begin -->", "<!-- where: end -->"

#: The parts of each way, in the order of the data.
WAYS = {
    "linear": (
        "read", "header", "Huffman decoding", "rest of decoding, linear", "resize, linear", "encode", "frame a record",
        "hash a record", "write a record",
    ),
    "antialias": (
        "read", "header", "Huffman decoding", "rest of decoding, antialias", "resize, antialias", "encode",
        "frame a record", "hash a record", "write a record",
    ),
    "pass-through": ("read", "headers in a row", "frame a file", "hash a file", "write a file"),
    "GPU host": ("read", "headers in a row", "scan for markers", "frame a record", "hash a record", "write a record"),
}  # fmt: skip
_REST = "rest: hand-over, waiting for the interpreter, memory"
#: What bounds a part.
BOUNDS = {
    "read": "the system's copy out of its cache, and three calls",
    "header": "the interpreter, in caches that the decoder has just emptied",
    "headers in a row": "the interpreter: 46,000 instructions for nine segments",
    "scan for markers": "memory: every byte is compared once",
    "Huffman decoding": "bits come one after the other: each code's length says where the next one begins",
    "rest of decoding, linear": "libjpeg-turbo's SIMD (inverse DCT, chroma upsampling, colours), and 560 KB of pixels",
    "rest of decoding, antialias": "the same; large pictures are decoded at 1/2, 1/4 or 1/8",
    "resize, linear": "OpenCV's SIMD",
    "resize, antialias": "OpenCV's SIMD, in two passes: low-pass, then bilinear sampling",
    "encode": "libjpeg-turbo: forward DCT, and Huffman coding of 25 KB",
    "frame a record": "NumPy's search for magic numbers, and Python around it",
    "frame a file": "the same, of 110 KB",
    "hash a record": "the processor's SHA-256 instructions; a thread of its own",
    "hash a file": "the processor's SHA-256 instructions, 1.6 to 2 GB/s; a thread of its own",
    "write a record": "the system's copy into its cache",
    "write a file": "the system's copy into its cache",
    _REST: "Python around the parts, cold caches, switches between threads or processes",
}


def ways(parts: Mapping[str, float], wholes: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Microseconds of each way, by part; the rest is what the whole process took beyond them."""
    rests = {
        f"rest of decoding, {way}": parts[f"decode, {way}"] - parts["Huffman decoding"]
        for way in ("linear", "antialias")
    }
    parts = {**parts, **rests}
    found = {}
    for way, names in WAYS.items():
        of_way = {name: parts[name] for name in names}
        found[way] = {**of_way, _REST: wholes[way]["image"] - sum(of_way.values())}
    return found


def render(results: Mapping[str, Any]) -> str:
    """The text between the marks."""
    parts, wholes = results["parts"], results["whole"]
    table = ways(parts, wholes)
    rows = [*dict.fromkeys(name for way in table.values() for name in way if name != _REST), _REST]
    lines = [
        f"{results['machine']}; {results['photos']} photographs, mean {results['bytes']:,} bytes and "
        f"{results['pixels']:,} pixels; load of the machine before it began {results['load']}; `{results['command']}`.",
        "",
        "| us of a core an image | " + " | ".join(table) + " | bound by |",
        "|---" * (len(table) + 2) + "|",
    ]
    for row in rows:
        values = [f"{way[row]:.0f}" if row in way else "" for way in table.values()]
        lines.append(f"| {row} | " + " | ".join(values) + f" | {BOUNDS[row]} |")
    total = [f"**{wholes[way]['image']:.0f}**" for way in table]
    start = [f"{wholes[way]['start']:.2f} s" for way in table]
    lines += [
        "| **whole processes** | " + " | ".join(total) + " | |",
        "| start and end of a run | " + " | ".join(start) + " | imports: NumPy, OpenCV, Typer; for a GPU, processes |",
        "",
        _limit(parts, wholes),
    ]
    return "\n".join(lines)


def _limit(parts: Mapping[str, float], wholes: Mapping[str, Mapping[str, float]]) -> str:
    huffman, bare = parts["Huffman decoding"], wholes["bare"]["image"]
    linear, antialias = wholes["linear"]["image"], wholes["antialias"]["image"]
    return (
        f"A bare OpenCV loop of as many threads takes {bare:.0f} us an image, {bare / linear:.2f} of what `linear` "
        f"takes, and {wholes['bare']['start']:.2f} s to start. Huffman decoding alone is {huffman / linear:.0%} of "
        f"`linear` and {huffman / antialias:.0%} of `antialias`."
    )


def with_tables(page: str, results: Mapping[str, Any]) -> str:
    """A page with the text between its marks renewed.

    Raises:
        ValueError: it has no marks.
    """
    return marks.replace(page, BEGIN, END, render(results))
