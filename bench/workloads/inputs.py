"""The pictures of each workload, made from the folder of photographs and kept in the work folder."""

from __future__ import annotations

import os
import random
import shutil
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

#: Pixels of a photograph that is used as it is (ImageNet's have 180,000 on average); others get this shorter edge.
_PIXELS, _SHORT_EDGE = range(100_000, 400_000), 375
_DISTINCT = 512
_TILE, _TILES = (500, 375), 8
_LARGE_DISTINCT = 6
_DAMAGED_AMONG = 61
_MEMBERS_A_SHARD = 250
_SUFFIXES = (".jpg", ".jpeg")
_PICTURES = (*_SUFFIXES, ".png", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Source:
    """What every contender of a workload gets.

    Attributes:
        listed: lines ``key, label, path below root``, shuffled as training data are; keys count from 0.
        others: the same pictures elsewhere: ``folder``, ``tar``, ``shards``, ``bucket``, ``http``, ``endpoint``.
        damaged: which keys are damaged files, and what is the matter with each.
    """

    listed: Path
    root: Path
    count: int
    others: Mapping[str, str] = field(default_factory=dict)
    damaged: Mapping[int, str] = field(default_factory=dict)


class Inputs:
    """Makes sources in ``work``, each once; one of another count replaces its predecessor."""

    def __init__(self, photos: Path, work: Path) -> None:
        self._photos, self._work = photos, work

    @cached_property
    def photographs(self) -> list[tuple[str, bytes]]:
        """Names in class folders, and JPEG files as ImageNet has them."""
        files = sorted(path for path in self._photos.rglob("*") if path.suffix.lower() in _PICTURES)
        step = max(1, len(files) // _DISTINCT)
        found = [(path, as_imagenet(path)) for path in files[::step]]
        names = [
            path.relative_to(self._photos).parent.as_posix().replace("/", "_").strip(".") or "all" for path, _ in found
        ]
        return [(f"{name}/{path.stem}.jpg", data) for name, (path, data) in zip(names, found, strict=True) if data]

    def photos(self, count: int) -> Source:
        """Every file has bytes of its own, so that memory is read as it is with different ones."""
        return self._made("photos", count, self.photographs)

    def shards(self, count: int) -> Source:
        """Photographs, and tars of them in the list's order, each named after its first key."""
        source = self.photos(count)
        folder = source.root.with_name("shards")
        if not folder.exists():
            folder.mkdir()
            items = _items(source.listed)
            for first in range(0, count, _MEMBERS_A_SHARD):
                with tarfile.open(folder / f"{first:08d}.tar", "w") as tar:
                    for key, _, path in items[first : first + _MEMBERS_A_SHARD]:
                        tar.add(source.root / path, f"{key:08d}.jpg")
        return Source(source.listed, source.root, count, {"shards": str(folder)})

    def large(self, count: int) -> Source:
        """12 megapixels: mosaics of photographs, so that they are as busy as real ones."""
        return self._made("large", count, self._mosaics)

    def tiny(self, count: int) -> Source:
        return self._made("tiny", count, self._tiny)

    def damaged(self, count: int) -> Source:
        """Photographs and, among them, a file cut short, one with a block of zeros and one that is no image."""
        data = self.photographs[0][1]
        middle = len(data) * 2 // 3
        block = min(4096, len(data) // 8)
        bad = {
            "truncated": data[:middle],
            "block of zeros": data[:middle] + bytes(block) + data[middle + block :],
            "not an image": b"<!doctype html><title>404</title>" * 20,
        }
        source = self._made("damaged", _DAMAGED_AMONG, self.photographs)
        items = _items(source.listed)
        places = {key: what for (key, _, _), what in zip(items[10::20], bad, strict=False)}
        for key, _, path in items:
            if key in places:
                (source.root / path).write_bytes(bad[places[key]])
        return Source(source.listed, source.root, len(items), damaged=places)

    def nested_tar(self, count: int) -> Source:
        """A tar of a tar for each class, as ImageNet ships."""
        source = self.photos(count)
        outer = source.root.with_name("photos.tar")
        if not outer.exists():
            with tarfile.open(outer, "w") as tar:
                for folder in sorted(source.root.iterdir()):
                    inner = outer.with_name(f"{folder.name}.tar")
                    with tarfile.open(inner, "w") as members:
                        for path in sorted(folder.iterdir()):
                            members.add(path, path.name)
                    tar.add(inner, inner.name)
                    inner.unlink()
        return Source(source.listed, source.root, count, {"tar": str(outer)})

    def flat(self, count: int) -> Source:
        """Photographs in one folder, where a server finds them as /bucket/photos/NAME."""
        flat = [(f"photos/{name.replace('/', '_')}", data) for name, data in self.photographs]
        source = self._made("bucket", count, flat, "root/bucket")
        listed = source.listed.with_suffix(".flat.lst")
        listed.write_text(source.listed.read_text().replace("\tphotos/", "\t"))
        return Source(listed, source.root / "photos", count, source.others)

    def names(self, count: int) -> Source:
        """Files of 100 bytes in a thousand folders, to be listed."""
        return self._made(
            "names", count, [(f"{number:03d}/n.jpg", b"\xff\xd8\xff" + bytes(97)) for number in range(1000)]
        )

    def records(self, count: int) -> Source:
        """A list of ``count`` lines over a hundred files of 600 bytes."""
        folder = self._work / "records"
        data = _jpeg(np.zeros((8, 8, 3), np.uint8), 92)
        for number in range(100):
            path = folder / f"files/{number % 10}/{number:02d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        listed = folder / f"{count}.lst"
        if not listed.exists():
            lines = (f"{key}\t{key % 10}\t{key % 10}/{key % 100:02d}.jpg\n" for key in range(count))
            with listed.open("w") as file:
                file.writelines(lines)
        return Source(listed, folder / "files", count)

    @cached_property
    def _mosaics(self) -> list[tuple[str, bytes]]:
        rng = np.random.default_rng(0)
        return [(f"class{number % 4}/{number}.jpg", self._mosaic(rng)) for number in range(_LARGE_DISTINCT)]

    def _mosaic(self, rng: np.random.Generator) -> bytes:
        chosen = rng.integers(0, len(self.photographs), _TILES * _TILES)
        tiles = [cv2.resize(_decoded(self.photographs[at][1]), _TILE) for at in chosen]
        rows = [np.hstack(tiles[start : start + _TILES]) for start in range(0, len(tiles), _TILES)]
        return _jpeg(np.vstack(rows), 92)

    @cached_property
    def _tiny(self) -> list[tuple[str, bytes]]:
        return [(name, _jpeg(_square(_decoded(data), 64), 92)) for name, data in self.photographs]

    def _made(self, kind: str, count: int, files: list[tuple[str, bytes]], place: str = "files") -> Source:
        """``count`` files, which repeat ``files`` under other names, and their list."""
        folder = self._work / kind
        listed = folder / f"{count}.lst"
        if not listed.exists():
            shutil.rmtree(folder, ignore_errors=True)
            classes = {name: number for number, name in enumerate(sorted({name.split("/")[0] for name, _ in files}))}
            lines = []
            for number, (name, data) in enumerate(islice(cycle(files), count)):
                label, _, base = name.partition("/")
                path = folder / place / label / f"{number // len(files):05d}_{base}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                lines.append(f"{float(classes[label]):f}\t{label}/{path.name}\n")
            random.Random(100).shuffle(lines)
            listed.write_text("".join(f"{key}\t{line}" for key, line in enumerate(lines)))
        return Source(listed, folder / place, count, {"folder": str(folder / place)})


Make = Callable[[Inputs, int], Source]


def as_imagenet(path: Path) -> bytes | None:
    """A JPEG of about 500 x 375 pixels: the file itself if it is one; None where OpenCV cannot decode it."""
    data = path.read_bytes()
    image = _decoded(data)
    if image is None:
        return None
    height, width = image.shape[:2]
    if path.suffix.lower() in _SUFFIXES and height * width in _PIXELS:
        return data
    scale = _SHORT_EDGE / min(height, width)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return _jpeg(cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=how), 92)


def _items(listed: Path) -> list[tuple[int, str, str]]:
    rows = (line.split("\t") for line in listed.read_text().splitlines())
    return [(int(key), label, path) for key, label, path in rows]


def _square(image: Any, size: int) -> Any:
    height, width = image.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    return cv2.resize(image[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_AREA)


def _decoded(data: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None


def _jpeg(image: Any, quality: int) -> bytes:
    return bytes(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1])


def on_tmpfs(path: Path) -> bool:
    """Whether a folder lies in memory."""
    mounts = (
        [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        if os.path.exists("/proc/mounts")
        else []
    )
    holding = [mount for mount in mounts if path.resolve().is_relative_to(mount[1])]
    return bool(holding) and max(holding, key=lambda mount: len(mount[1]))[2] == "tmpfs"
