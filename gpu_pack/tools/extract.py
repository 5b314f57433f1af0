"""Extract: write the images of records into files below one folder."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from gpu_pack.errors import SourceError, UsageError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import read_classes
from gpu_pack.formats.image_headers import sniff
from gpu_pack.formats.notices import Notice
from gpu_pack.formats.record_keys import metadata_notice
from gpu_pack.formats.salvage_scan import OVERLONG, Damage, FoundRecord, salvage_scan
from gpu_pack.recordio.scanning import read_record
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.data_path import DataPath, PathLike, data_path
from gpu_pack.tools.faults import Fault, Faults, ToolReport, choose_options
from gpu_pack.tools.keys_beside import heads, keys_beside
from gpu_pack.tools.locate import Located, Target, check_counts, locate
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.safe_folder import SafeFolder
from gpu_pack.tools.safe_names import UniquePaths, safe_part, safe_parts, with_suffix
from gpu_pack.tools.text_lines import list_entry, parsed_lines
from gpu_pack.types import OnProgress, Progress

Layout = Literal["list", "class", "flat"]

#: Names of a .lst that are kept because their records have not come yet.
_MAX_AHEAD = 2_000_000
_MAX_RENAMES = 100


@dataclass(frozen=True)
class ExtractOptions:
    """Which records to extract, and how to name the files.

    Attributes:
        split: only this split, by the manifest or by the file's name.
        keys: only these records; any collection of keys.
        limit: at most this number of records.
        layout: ``list`` takes the paths of the .lst (and ``class`` for records that it does not name), ``class`` is
            class/key.jpg, ``flat`` is key.jpg.
        overwrite: replace files of the same names.
    """

    split: str | None = None
    keys: Collection[int] | None = None
    limit: int | None = None
    layout: Layout = "list"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit={self.limit} (--limit): at least 1")
        if self.layout not in get_args(Layout):
            raise UsageError(f"layout={self.layout}: choose {', '.join(get_args(Layout))}")
        if self.keys is not None:
            object.__setattr__(self, "keys", frozenset(self.keys))
            if not self.keys:
                raise UsageError("keys (--keys) names no key")


@dataclass
class Extraction(ToolReport):
    """What extract did; ``ok`` if no record is damaged or missing.

    Attributes:
        written, bytes: files and their sizes, including those that an interrupted extract had written.
        renamed: files whose name is not the one in the .lst, since some system refuses it or another file has it;
            ``renames`` maps the first hundred, old name to new.
        metadata: records without pictures, which make no files.
        missing: keys that were asked for and are in no record.
        notes, warnings: code, message, count, example.
        faults: damage; its records are left out.
    """

    dest: str
    written: int = 0
    bytes: int = 0
    renamed: int = 0
    renames: dict[str, str] = field(default_factory=dict)
    metadata: int = 0
    missing: list[int] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.missing and not self.fault_count


def parse_keys(text: str) -> frozenset[int]:
    """The keys in a text such as ``1,5,10-20``.

    Raises:
        UsageError: another form, or over a million keys.
    """
    keys: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and len(part) <= 50):
            raise UsageError(f"--keys {part}: write keys and ranges with commas between, as in 1,5,10-20")
        low, high = int(first), int(last)
        if high - low >= 1_000_000 or len(keys) >= 1_000_000:
            raise UsageError("--keys: a million keys at most")
        keys.update(range(low, high + 1))
    return frozenset(keys)


def extract(
    path: PathLike,
    dest: str | Path,
    *,
    split: str | None = None,
    keys: Collection[int] | None = None,
    limit: int | None = None,
    layout: Layout = "list",
    overwrite: bool = False,
    options: ExtractOptions | None = None,
    endpoint_url: str | None = None,
    anonymous: bool = False,
    on_progress: OnProgress | None = None,
) -> Extraction:
    """Write the images of a dataset or a .rec file, by path or address, below ``dest``, byte for byte.

    A file that is there with the same bytes stays, so that an interrupted extract can be run again.

    Args:
        split, keys, limit, layout, overwrite: see `ExtractOptions`; or give ``options``.
        endpoint_url, anonymous: see `gpu_pack.stores.address.StoreOptions`.
        on_progress: called a few times a second, with the number of files.

    Raises:
        SourceError: nothing there, or no such split.
        UsageError: an option out of range.
        OutputExistsError: another file of that name exists, and ``overwrite`` is not set.
        OutputError: not writable, or a link is in the place of a folder.
    """
    options = choose_options(options, ExtractOptions(split, keys, limit, layout, overwrite))
    located = locate(data_path(path, StoreOptions(endpoint_url, anonymous)))
    began = time.monotonic()
    targets = _of_split(located, options.split)
    run = _Extractor(located, SafeFolder(Path(dest), options.overwrite), options, on_progress or (lambda _: None))
    for target in targets:
        if not run.finished:
            run.extract(target)
    run.finish(targets)
    run.result.seconds = time.monotonic() - began
    return run.result


def _of_split(located: Located, split: str | None) -> list[Target]:
    named = [target for target in located.targets if split in (None, target.split_name)]
    if not named and split is not None:
        known = sorted({target.split_name for target in located.targets})
        raise SourceError(f"{located.folder}: no split {split!r}; there are {', '.join(known[:10])}")
    return named


class _Extractor:
    def __init__(self, located: Located, folder: SafeFolder, options: ExtractOptions, on_progress: OnProgress) -> None:
        self.located, self.folder, self.options, self.on_progress = located, folder, options, on_progress
        self.result = Extraction(str(folder.path))
        self.faults = Faults()
        self._wanted = None if options.keys is None else set(options.keys)  # and not found yet
        self._unique = UniquePaths()
        self._notices: list[Notice] = []
        self._counts: Counter[str | None] = Counter()
        self._damaged: set[str | None] = set()  # splits that could not be read completely
        self._report_at = 0.0
        self._classes: tuple[str, ...] = ()
        path = located.folder / CLASSES
        with self.faults.collect(path, "label numbers are used: "):
            self._classes = read_classes(path) if path.exists() else ()

    @property
    def finished(self) -> bool:
        """Whether all that was asked for is written."""
        return self.result.written == self.options.limit or self._wanted == set()

    def extract(self, target: Target) -> None:
        """Write all wanted records of one file."""
        keys = keys_beside(target, self.faults)
        self._notices += [keys.repeated] if keys.repeated is not None else []
        by_list = self.options.layout == "list" and keys.repeated is None
        names = _ListNames(target.lst, self.faults) if by_list else None
        with RecFile(target.rec, whole=True) as file:
            # Of a large file in an object store, little is read besides the records that are asked for.
            spans = heads(target, keys, file.size) if self.options.keys is not None else []
            if spans:
                file.expect(spans)
            for found in salvage_scan(file, payloads=not spans):
                if isinstance(found, Damage):
                    self._damaged.add(target.split)
                    self.faults.add(target.rec, found.reason, found.at)
                    continue
                self._counts[target.split] += not found.is_metadata
                key = keys.of(found.offset, found.info.key)
                if self.options.keys is None or key in self.options.keys:
                    self._take(target, _with_payload(file, found) if spans else found, key, names)
                if self.finished:
                    return

    def finish(self, targets: list[Target]) -> None:
        """Complete the result."""
        if self.located.whole and not self.finished:
            check_counts((item for item in targets if item.split not in self._damaged), self._counts, self.faults)
        if self.result.written != self.options.limit:
            self.result.missing = sorted(self._wanted or ())
        self.result.set_faults(self.faults)
        self.result.set_notices(
            replace(each, count=self.result.metadata) if each.code == "metadata-records" else each
            for each in self._notices
        )
        self._report()

    def _take(self, target: Target, found: FoundRecord, key: int, names: _ListNames | None) -> None:
        if self._wanted is not None:
            self._wanted.discard(key)
        if found.overlong:
            self.faults.add(target.rec, OVERLONG, found.offset, key)
        if found.is_metadata:
            if not self.result.metadata:
                self._notices.append(metadata_notice(0, key, target.rec))
            self.result.metadata += 1
        else:
            self._write(found.image, key, found.info.labels[0], names)

    def _write(self, image: bytes, key: int, label: float, names: _ListNames | None) -> None:
        listed = names.of(key) if names is not None else None
        parts = safe_parts(listed) if listed is not None else self._parts(key, label)
        kind = sniff(image)
        parts[-1] = with_suffix(parts[-1], kind)
        parts = self._unique.add(parts, key)
        if listed is not None:
            self._note_rename(listed, kind, "/".join(parts))
        self.folder.write(parts, image)
        self.result.written += 1
        self.result.bytes += len(image)
        if (now := time.monotonic()) >= self._report_at:
            self._report_at = now + 0.1
            self._report()

    def _report(self) -> None:
        self.on_progress(Progress(self.result.written, None, "files", self.faults.count))

    def _note_rename(self, listed: str, kind: str | None, name: str) -> None:
        """Note a name that differs from the list's in more than a suffix for the image's format."""
        folder, slash, last = listed.rpartition("/")
        if name != folder + slash + with_suffix(last, kind):
            self.result.renamed += 1
            if len(self.result.renames) < _MAX_RENAMES:
                self.result.renames[listed] = name

    def _parts(self, key: int, label: float) -> list[str]:
        if self.options.layout == "flat":
            return [str(key)]
        if not label.is_integer():
            return [safe_part(f"{label:g}"), str(key)]
        number = int(label)
        return [safe_part(self._classes[number] if 0 <= number < len(self._classes) else str(number)), str(key)]


def _with_payload(file: RecFile, found: FoundRecord) -> FoundRecord:
    file.begin_record(found.offset)
    return found._replace(payload=read_record(file.read_at, found.offset, file.size).payload)


class _ListNames:
    """The paths of a .lst by key. It is read along with the records, which usually are in its order."""

    def __init__(self, path: DataPath, faults: Faults) -> None:
        self._path, self._faults = path, faults
        self._ahead: dict[int, str] = {}
        # Verify tells which lines of a list are damaged.
        self._lines = parsed_lines(path, partial(list_entry, path), Faults()) if path.exists() else iter(())

    def of(self, key: int) -> str | None:
        """The path of this key, or None if the list has none."""
        if key in self._ahead:
            return self._ahead.pop(key)
        with self._faults.collect(self._path):
            for _, entry in self._lines:
                if entry.key == key:
                    return entry.path
                if len(self._ahead) < _MAX_AHEAD:
                    self._ahead[entry.key] = entry.path
        return None
