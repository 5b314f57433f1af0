"""Datasets that a report page must stand: hostile names, and thousands of classes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from tests.pictures import jpeg, photo
from tests.tools.datasets import smooth_jpeg
from tests.tools.foreign_records import write_rec

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    '" autofocus onfocus="document.title=\'owned\'" x="',
    "{{ 7 * 7 }} & ampersand",
    "\x1b[2J\x00\x07 bell \u202eright to left",
    "long " * 2000,
    "名前 ελληνικά",
)


def hostile_set(folder: Path) -> Path:
    """Two splits, seven classes with names of a hostile kind, rejects, and leakage from train to val."""
    records = [(key, key, float(key % 7), jpeg(photo(100, 100, key), 80)) for key in range(35)]
    write_rec(folder / "train.rec", records)
    write_rec(folder / "val.rec", [(key + 100, key + 100, label, data) for key, _, label, data in records[:3]])
    lines = [f"{key}\t{label:g}\tfolder/{HOSTILE[int(label)][:100].strip()}/{key}.jpg" for key, _, label, _ in records]
    (folder / "train.lst").write_text("".join(line.replace("\0", "") + "\n" for line in lines), encoding="utf-8")
    names = [name.replace("\0", "") for name in HOSTILE]
    (folder / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    rejects = [
        {"key": 900 + number, "path": name, "reason": f"because {name}", "code": "damaged", "stage": "decode"}
        for number, name in enumerate(HOSTILE)
    ]
    (folder / "rejects.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rejects))
    return folder


def large_set(folder: Path, classes: int = 1500) -> Path:
    """Many classes of three pictures and more."""
    pictures = [smooth_jpeg(number) for number in range(300)]
    labels = [number % classes for number in range(3 * classes)] + [7] * 40
    write_rec(folder / "train.rec", ((key, key, label, pictures[key % 300]) for key, label in enumerate(labels)))
    (folder / "classes.txt").write_text("".join(f"kind {number:04d}\n" for number in range(classes)))
    return folder


def noise_set(folder: Path) -> Path:
    """A thousand pictures that no encoder makes small, of as many labels, each twice."""
    random = np.random.default_rng(0)
    blocks = [random.integers(0, 256, (112, 112, 3), np.uint8) for _ in range(40)]
    pictures = [cv2.imencode(".jpg", np.roll(blocks[number % 40], number, 0))[1].tobytes() for number in range(1000)]
    write_rec(folder / "train.rec", ((key, key, key % 1000, pictures[key % 1000]) for key in range(2500)))
    return folder
