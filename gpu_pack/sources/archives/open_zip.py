"""Zips as folders of images: stored and deflated members are read at their offsets, others are spooled."""

from __future__ import annotations

import stat
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from gpu_pack.errors import SourceError
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.archives.archive_tree import ArchiveTree, Member
from gpu_pack.sources.archives.member_names import shown_name
from gpu_pack.sources.archives.zip_directory import Directory, ZipEntry, find_directory, read_directory
from gpu_pack.sources.archives.zip_layout import Layout
from gpu_pack.sources.archives.zip_methods import DEFLATED, SPOOLED, STORED, method_name, unpack
from gpu_pack.sources.found import Facts, Found
from gpu_pack.sources.open_source import OpenSource, SourceFiles
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool, as_container
from gpu_pack.sources.tree import HEAD_BYTES, may_be_image
from gpu_pack.stores.members import MAX_FILE_BYTES, too_large
from gpu_pack.stores.store import OpenFile
from gpu_pack.types import Container, Place

#: Of deflated data, which is enough for the first bytes of a file.
_PACKED_HEAD_BYTES = 512
#: The disk's room is looked at each time that so much was spooled.
_STEP_BYTES = 64 << 20


def open_zip(files: SourceFiles, options: SourceOptions, classes: tuple[str, ...] | None, spool: Spool) -> OpenSource:
    """The images of zips, which are one set.

    Args:
        files: one zip or several.
        options: their layout.
        classes: names by label.
        spool: for members that are compressed in other ways than by deflate.
    """
    facts = Facts(files.source)
    return OpenSource(files.store, _find(files, options, facts, spool), facts)


def _find(files: SourceFiles, options: SourceOptions, facts: Facts, spool: Spool) -> Iterator[Found]:
    """The images.

    Raises:
        SourceError: a zip without directory, or one that is encrypted.
        OutputError: there is no room to spool.
    """
    tree = ArchiveTree(facts, files.paths)
    for path in files.paths:
        tree.begin_archive()
        with files.store.open(path) as file:
            facts.notices += _Reader(path, file, tree, spool).read()
    yield from tree.images(options)


@dataclass
class _Totals:
    """What the directory says of all members."""

    offsets: array[int] = field(default_factory=lambda: array("q"))
    files: int = 0
    encrypted: int = 0
    spooled: int = 0
    backslashes: int = 0
    example: str = ""


class _Reader:
    """Puts the members of one zip into the tree."""

    def __init__(self, path: str, file: OpenFile, tree: ArchiveTree, spool: Spool) -> None:
        self._path, self._file, self._tree, self._spool = path, file, tree, spool
        self._container = Container(path, *file.stat)

    def read(self) -> list[Notice]:
        """All of them; gives what is to be said of them."""
        directory = find_directory(self._path, self._file.read_at, self._container.size)
        totals = self._total(directory)
        layout = Layout(totals.offsets, directory.start)
        waiting = []
        for entry in read_directory(self._path, self._file.read_at, directory):
            if entry.name.endswith("/"):
                self._tree.add_folder(entry.name)
                continue
            member = self._member(entry, layout)
            if member.refused is None and member.kind == "file" and entry.method in SPOOLED and member.is_image:
                waiting.append((entry, member))
            else:
                self._add(member)
        if waiting:
            self._spool_all(waiting, totals.spooled)
        if not totals.backslashes:
            return []
        return [Notice("archive-backslashes", totals.backslashes, shown_name(totals.example))]

    def _total(self, directory: Directory) -> _Totals:
        totals = _Totals()
        for entry in read_directory(self._path, self._file.read_at, directory):
            totals.offsets.append(entry.offset)
            if not entry.name.endswith("/"):
                totals.files += 1
                totals.example = totals.example or (entry.name if entry.backslashes else "")
                totals.backslashes += entry.backslashes
                totals.encrypted += entry.encrypted
                totals.spooled += entry.size if entry.method in SPOOLED and entry.size <= MAX_FILE_BYTES else 0
        if totals.files and totals.encrypted == totals.files:
            raise SourceError(f"{self._path}: it is encrypted: unpack it with its password, and pack the folder")
        return totals

    def _member(self, entry: ZipEntry, layout: Layout) -> Member:
        kind = _kind(entry.mode)
        place, refused, head = None, None, b""
        try:
            reach = layout.reach(entry)
            refused = _refusal(entry)
            if refused is None and kind == "file":
                if entry.method not in SPOOLED:
                    place = Place(self._container, entry.offset, reach, "zip", entry.crc)
                if entry.size and not may_be_image(entry.name.rpartition("/")[2]):
                    head = self._head(entry)
        except (ValueError, zlib.error) as error:
            refused = (str(error), "damaged")
        return Member(entry.name, entry.size, place, kind, head, refused)

    def _head(self, entry: ZipEntry) -> bytes:
        """The first bytes of a file."""
        if entry.method in SPOOLED:
            return next(unpack(self._path, self._file.read_at, entry), b"")[:HEAD_BYTES]
        start = self._file.read_at(entry.offset, 30)
        if len(start) < 30:
            return b""
        offset = entry.offset + 30 + int.from_bytes(start[26:28], "little") + int.from_bytes(start[28:30], "little")
        data = self._file.read_at(offset, min(entry.packed, _PACKED_HEAD_BYTES))
        if entry.method == STORED:
            return data[:HEAD_BYTES]
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, HEAD_BYTES)

    def _spool_all(self, waiting: list[tuple[ZipEntry, Member]], size: int) -> None:
        """Unpack members into one file of the spool; a dry run only lists them."""
        if self._spool.dry:
            for _, member in waiting:
                self._add(member)
            return
        self._spool.reserve(size, self._path)
        places: list[tuple[Member, int]] = []
        with self._spool.create(self._path.rpartition("/")[2]) as copy:
            due = 0
            for entry, member in waiting:
                offset = copy.size
                try:
                    for piece in unpack(self._path, self._file.read_at, entry):
                        if copy.size >= due:
                            self._spool.reserve(_STEP_BYTES, self._path)
                            due += _STEP_BYTES
                        copy.append(piece)
                    places.append((member, offset))
                except ValueError as error:
                    self._add(member._replace(refused=(f"damaged in its archive: {error}", "damaged")))
        container = as_container(copy.path)
        for member, offset in places:
            self._add(member._replace(place=Place(container, offset, member.size)))

    def _add(self, member: Member) -> None:
        self._tree.add(member, self._path, self._container.version)


def _kind(mode: int) -> str:
    if not stat.S_IFMT(mode) or stat.S_ISREG(mode):
        return "file"
    return "symbolic link" if stat.S_ISLNK(mode) else "device"


def _refusal(entry: ZipEntry) -> tuple[str, str] | None:
    if entry.encrypted:
        return "it is encrypted: unpack the archive with its password, and pack the folder", "unsupported"
    if entry.method not in (STORED, DEFLATED, *SPOOLED):
        return f"it is compressed by {method_name(entry.method)}: pack it again with deflate", "unsupported"
    if entry.size > MAX_FILE_BYTES:
        return too_large(entry.size)
    if entry.method == STORED and entry.packed != entry.size:
        return f"stored in {entry.packed:,} bytes, where its archive says {entry.size:,}", "damaged"
    return None
