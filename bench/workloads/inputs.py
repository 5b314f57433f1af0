"""The pictures of each workload, made from the folder of photographs and kept in the work folder."""

from __future__ import annotations

import random
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from bench import machine
from bench.workloads.containers import write_nested_tar, write_parquet, write_zip
from bench.workloads.pictures import PICTURES, as_imagenet, centre, mosaic, speck

_DISTINCT = 512
_LARGE_DISTINCT = 4
DAMAGED_AMONG = 61
_MEMBERS_A_SHARD = 250
#: Folders of sources in the work folder.
_KINDS = ("photos", "large", "tiny", "damaged", "bucket", "names", "records")


@dataclass(frozen=True)
class Source:
    """What every contender of a workload gets.

    Attributes:
        listed: lines ``key, label, path below root``, shuffled as training data are; keys count from 0.
        others: the same pictures elsewhere: ``folder``, ``tar``, ``zip``, ``parquet``, ``shards``, ``bucket``,
            ``http``, ``endpoint``.
        damaged: which keys are damaged files, and what is the matter with each.
    """

    listed: Path
    root: Path
    count: int
    others: Mapping[str, str] = field(default_factory=dict)
    damaged: Mapping[int, str] = field(default_factory=dict)


class NoPhotographsError(Exception):
    """The folder holds nothing to measure with."""


class Inputs:
    """Makes sources in ``work``, each once; one of another count replaces its predecessor.

    Those of other photographs are removed first.
    """

    def __init__(self, photos: Path, work: Path) -> None:
        self._photos, self._work = photos, work
        made_of, digest = work / "made_of", machine.digest(photos)
        if not made_of.exists() or made_of.read_text() != digest:
            for kind in _KINDS:
                shutil.rmtree(work / kind, ignore_errors=True)
            work.mkdir(parents=True, exist_ok=True)
            made_of.write_text(digest)

    @cached_property
    def photographs(self) -> list[tuple[str, bytes]]:
        """Names in class folders, and JPEG files as ImageNet has them.

        Raises:
            NoPhotographsError: there is none.
        """
        files = sorted(path for path in self._photos.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
        step = max(1, len(files) // _DISTINCT)
        found = [(path, as_imagenet(path)) for path in files[::step]]
        names = [
            path.relative_to(self._photos).parent.as_posix().replace("/", "_").strip(".") or "all" for path, _ in found
        ]
        photographs = [
            (f"{name}/{path.stem}.jpg", data) for name, (path, data) in zip(names, found, strict=True) if data
        ]
        if not photographs:
            raise NoPhotographsError(f"{self._photos}: no photograph that OpenCV decodes")
        return photographs

    def photos(self, count: int) -> Source:
        """Repeats are files of their own, so that memory is read as it is with different ones."""
        return self._made("photos", count, self.photographs)

    def shards(self, count: int) -> Source:
        """Photographs, and tars of them."""
        return _with_shards(self.photos(count))

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
            "truncated file": data[:middle],
            "one with a block of zeros": data[:middle] + bytes(block) + data[middle + block :],
            "one that is no image": b"<!doctype html><title>404</title>" * 20,
        }
        source = self._made("damaged", DAMAGED_AMONG, self.photographs)
        items = _items(source.listed)
        places = {key: what for (key, _, _), what in zip(items[10::20], bad, strict=False)}
        for key, _, path in items:
            if key in places:
                (source.root / path).write_bytes(bad[places[key]])
        return _with_shards(Source(source.listed, source.root, len(items), damaged=places))

    def containers(self, count: int) -> Source:
        """A tar of a tar for each class, as ImageNet ships; a stored zip; Parquet files as Hugging Face has them."""
        source = self.photos(count)
        folder = source.root.with_name("containers")
        with _once(folder) as part:
            if part:
                write_nested_tar(source.root, part / "photos.tar")
                write_zip(source.root, part / "photos.zip")
                write_parquet(source.root, part / "parquet")
        places = {"tar": "photos.tar", "zip": "photos.zip", "parquet": "parquet"}
        return replace(source, others={name: str(folder / place) for name, place in places.items()})

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
        data = speck()
        for number in range(100):
            path = folder / f"files/{number % 10}/{number:02d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        listed = folder / f"{count}.lst"
        if not listed.exists():
            lines = (f"{key}\t{key % 10}\t{key % 10}/{key % 100:02d}.jpg\n" for key in range(count))
            part = listed.with_suffix(".part")
            with part.open("w") as file:
                file.writelines(lines)
            part.rename(listed)
        return Source(listed, folder / "files", count)

    @cached_property
    def _mosaics(self) -> list[tuple[str, bytes]]:
        rng = np.random.default_rng(0)
        photographs = [data for _, data in self.photographs]
        return [(f"class{number % 4}/{number}.jpg", mosaic(photographs, rng)) for number in range(_LARGE_DISTINCT)]

    @cached_property
    def _tiny(self) -> list[tuple[str, bytes]]:
        return [(name, centre(data, 64)) for name, data in self.photographs]

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


def _with_shards(source: Source) -> Source:
    """With tars of its pictures in the list's order, each named after its first key."""
    folder = source.root.with_name("shards")
    with _once(folder) as part:
        items = _items(source.listed) if part else []
        for first in range(0, len(items), _MEMBERS_A_SHARD):
            assert part
            with tarfile.open(part / f"{first:08d}.tar", "w") as tar:
                for key, _, path in items[first : first + _MEMBERS_A_SHARD]:
                    tar.add(source.root / path, f"{key:08d}.jpg")
    return replace(source, others={**source.others, "shards": str(folder)})


@contextmanager
def _once(folder: Path) -> Iterator[Path | None]:
    """A folder to fill, which becomes ``folder`` at the end; None where that is there."""
    if folder.exists():
        yield None
        return
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    yield part
    part.rename(folder)


Make = Callable[[Inputs, int], Source]


def _items(listed: Path) -> list[tuple[int, str, str]]:
    rows = (line.split("\t") for line in listed.read_text().splitlines())
    return [(int(key), label, path) for key, label, path in rows]
