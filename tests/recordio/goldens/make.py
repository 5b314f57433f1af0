"""Wrote the files beside it, with MXNet 1.9.1, numpy 1.23.5, opencv-python-headless 4.10, Python 3.11 on Linux.

To write them again: in an environment with those versions, ``python tests/recordio/goldens/make.py``. What goes in is
in ``tests/recordio/cases.py``; the tests only read the files, and need no MXNet.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import sys
from pathlib import Path

import mxnet as mx
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import cases  # noqa: E402


def write(name: str, records: list[tuple[int, bytes]]) -> None:
    file = mx.recordio.MXIndexedRecordIO(str(HERE / f"{name}.idx"), str(HERE / f"{name}.rec"), "w")
    for key, payload in records:
        file.write_idx(key, payload)
    file.close()


def image(labels: list[float], key: int, data: bytes) -> tuple[int, bytes]:
    label = labels[0] if len(labels) == 1 else labels
    return key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), data)


def pictures() -> list[tuple[int, bytes]]:
    picture = np.array(cases.picture(), np.uint8)
    return [
        (0, mx.recordio.pack_img((0, 3, 0, 0), picture)),
        (1, mx.recordio.pack_img((0, 4, 1, 0), picture, quality=50, img_fmt=".JPEG")),
        (2, mx.recordio.pack_img((0, [5, 6], 2, 0), picture, quality=9, img_fmt=".png")),
        (3, mx.recordio.pack_img((0, 7, 3, 0), picture[:, :, 0])),
    ]


def im2rec_lists() -> None:
    place = Path(mx.__file__).parent / "tools" / "im2rec.py"
    spec = importlib.util.spec_from_file_location("im2rec", place)
    im2rec = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(im2rec)
    im2rec.write_list(str(HERE / "im2rec.lst"), cases.ROWS)
    (HERE / "odd.lst").write_bytes(cases.ODD_LIST.encode())
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        rows = list(im2rec.read_list(str(HERE / "odd.lst")))
    read = {"rows": rows, "printed": printed.getvalue().splitlines()}
    (HERE / "odd.json").write_text(json.dumps(read, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


write("lengths", list(enumerate(cases.LENGTHS)))
write("magics", list(enumerate(cases.MAGICS)))
write("images", [image(*case) for case in cases.IMAGES])
write("split_headers", [image(labels, key, b"image") for labels, key in cases.SPLIT_HEADERS])
write("pictures", pictures())
im2rec_lists()
