"""The README's bars, as SVG, from what bench/compare_cpu.py measured.

python bench/chart.py bench/results/cpu.json bench/results/cpu.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

WIDTH, BAR, LABELS = 720, 18, 250
#: (title, [(label, scenario, against, whose figure, colour)])
OURS, FLOOR, THEIRS = "#2f6f4f", "#b8b8b8", "#c9803a"
GROUPS = (
    (
        "to 224 x 224, linear",
        (
            ("gpu-pack create", "linear", "bare OpenCV loop", "ours", OURS),
            ("bare OpenCV loop, the floor", "linear", "bare OpenCV loop", "other", FLOOR),
            ("gpu-pack im2rec", "im2rec", "im2rec.py", "ours", OURS),
            ("im2rec.py", "im2rec", "im2rec.py", "other", THEIRS),
        ),
    ),
    (
        "to 224 x 224, antialiased",
        (
            ("gpu-pack create", "antialias", "bare loop", "ours", OURS),
            ("bare loop, INTER_AREA", "antialias", "bare loop", "other", FLOOR),
        ),
    ),
)


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    results = json.loads(source.read_text())["results"]
    rows: list[str] = []
    y = 8
    most = max(
        result["ours_per_second"] for result in results if result["scenario"] in ("linear", "im2rec", "antialias")
    )
    scale = (WIDTH - LABELS - 110) / (1.25 * most)
    for title, bars in GROUPS:
        rows.append(f'<text x="8" y="{y + 14}" font-weight="bold">{title}</text>')
        y += 24
        for label, scenario, against, whose, colour in bars:
            found = next(r for r in results if r["scenario"] == scenario and r["against"].startswith(against))
            value = found[f"{whose}_per_second"]
            rows.append(f'<text x="{LABELS - 8}" y="{y + 13}" text-anchor="end">{label}</text>')
            rows.append(f'<rect x="{LABELS}" y="{y}" width="{value * scale:.0f}" height="{BAR - 4}" fill="{colour}"/>')
            rows.append(f'<text x="{LABELS + value * scale + 6:.0f}" y="{y + 12}">{value} images/s</text>')
            y += BAR
        y += 8
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" font-size="12">'
    )
    target.write_text("\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *rows, "</svg>\n"]))


if __name__ == "__main__":
    main()
