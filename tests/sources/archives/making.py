"""Archives for tests: of folders, or written block by block, so that they can lie."""

from __future__ import annotations

import io
import tarfile
from array import array
from pathlib import Path
from typing import Any

from gpu_pack.sources.list_source import list_source
from gpu_pack.sources.listing import Listing, entries
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool
from gpu_pack.types import Image

END = bytes(1024)


def header(name: str | bytes, size: int = 0, type_: bytes = b"0", link: bytes = b"", ustar: bool = True) -> bytes:
    """A tar's header block."""
    block = bytearray(512)
    raw = name.encode() if isinstance(name, str) else name
    block[: len(raw)] = raw
    block[100:136] = b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size
    block[136:148] = b"%011o\0" % 0
    block[156:157] = type_
    block[157 : 157 + len(link)] = link
    if ustar:
        block[257:265] = b"ustar\x0000"
    return with_checksum(block)


def with_checksum(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: str | bytes, data: bytes, **fields: Any) -> bytes:
    """A header with its data."""
    return header(name, len(data), **fields) + data + bytes(-len(data) % 512)


def pax(**records: str) -> bytes:
    """An extended header."""
    data = b""
    for key, value in records.items():
        body = f" {key}={value}\n".encode()
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length += 1
        data += str(length).encode() + body
    return member("PaxHeader", data, type_=b"x")


def tar_of(folder: Path, path: Path, mode: str = "w", top: str = "") -> Path:
    """A tar of all files in a folder, below ``top``."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for file in sorted(folder.rglob("*")):
            tar.add(file, top + file.relative_to(folder).as_posix(), recursive=False)
    return path


def tar_bytes(files: dict[str, bytes]) -> bytes:
    """A tar as `tarfile` writes it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


def listed(*sources: Path | str, spool: Spool | None = None, **options: Any) -> Listing:
    """Sources as a listing; a dry run without a spool."""
    return list_source([str(source) for source in sources], SourceOptions(**options), spool or Spool(None))


def read_all(listing: Listing) -> dict[str, bytes]:
    """The bytes of all images, by shown path."""
    found = {}
    for item in listing.store.read_many(entries(listing, array("I", range(len(listing))))):
        assert isinstance(item, Image), item
        found[item.entry.path] = item.data
    return found


def labels(listing: Listing) -> dict[str, float | str]:
    """The class of each image, or its label value, by shown path."""
    names = listing.classes
    return {
        path: names[int(values[0])] if names is not None else values[0]
        for path, values in zip(listing.paths, listing.labels, strict=True)
    }


def refused(listing: Listing) -> dict[str, tuple[str, str]]:
    """Codes and reasons of rejects, by shown path."""
    return {each.entry.path: (each.code, each.reason) for each in listing.rejects}
