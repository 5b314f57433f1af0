"""Extract: records back into image files, below one folder and nowhere else."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gpu_pack.errors import GpuPackError, ListError, SourceError, UsageError
from gpu_pack.formats import lst
from gpu_pack.formats.image_headers import sniff
from gpu_pack.recordio.framing import HEADER_SIZE
from gpu_pack.tools.check_account import CLASSES, read_class_names
from gpu_pack.tools.check_sidecars import text_lines
from gpu_pack.tools.faults import Fault, Faults
from gpu_pack.tools.locate import Located, Target, locate, other_count
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.safe_folder import Folder
from gpu_pack.tools.safe_names import Taken, safe_part, safe_parts, with_suffix
from gpu_pack.tools.salvage_scan import Damage, FoundRecord, salvage_scan

Layout = Literal["list", "class", "flat"]

_MAX_LINE = 1 << 20
_MAX_AHEAD = 2_000_000
_MAX_RENAMES = 100


@dataclass(frozen=True)
class ExtractOptions:
    """Which records, and under which names.

    Attributes:
        split: of this split only, by the manifest or by the file's name.
        keys: these records only.
        limit: so many records at most.
        layout: ``list`` takes the paths of the .lst (and ``class`` where it names none), ``class`` is
            class/key.jpg, ``flat`` is key.jpg.
        overwrite: replace files of the same names.

    Raises:
        UsageError: a limit under 1, or no key.
    """

    split: str | None = None
    keys: frozenset[int] | None = None
    limit: int | None = None
    layout: Layout = "list"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit {self.limit}: at least 1")
        if self.keys is not None and not self.keys:
            raise UsageError("--keys names no key")


@dataclass
class Extraction:
    """What extract did.

    Attributes:
        written, bytes: files, and what they hold; those that an earlier, interrupted extract had written included.
        renamed: files that do not bear the name that the .lst gives them, since some system would refuse it or since
            it was taken; ``renames`` has the first hundred, old name to new.
        missing: keys that were asked for and are in no record.
        faults: places where records could not be read; those records are left out.
    """

    dest: str
    written: int = 0
    bytes: int = 0
    renamed: int = 0
    renames: dict[str, str] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.missing and not self.fault_count

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return {"ok": self.ok, **self.__dict__, "faults": [fault.to_json() for fault in self.faults]}


def parse_keys(text: str) -> frozenset[int]:
    """``1,5,10-20`` as keys.

    Raises:
        UsageError: anything else, or over a million keys.
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
    path: str | Path,
    dest: str | Path,
    options: ExtractOptions | None = None,
    on_written: Callable[[int], None] | None = None,
) -> Extraction:
    """Write the images of a dataset or a .rec file below ``dest``, each as its record holds it.

    Args:
        on_written: called now and then with the number of files so far.

    Raises:
        SourceError: nothing there, or no such split.
        OutputExistsError: a file of that name is there, and ``overwrite`` is not given.
        OutputError: not writable, or a link stands where a folder should be.
    """
    options = options or ExtractOptions()
    located = locate(Path(path))
    began = time.monotonic()
    targets = _of_split(located, options.split)
    run = _Extractor(located, Folder(Path(dest), options.overwrite), options, on_written or (lambda _: None))
    for target in targets:
        if run.finished:
            break
        run.extract(target)
    if located.whole and not run.finished:
        run.check_counts(targets)
    result = run.result
    if options.keys is not None and not (options.limit and result.written >= options.limit):
        result.missing = sorted(options.keys - run.done)
    result.faults, result.fault_count = run.faults.sorted(), run.faults.count
    result.seconds = time.monotonic() - began
    return result


def _of_split(located: Located, split: str | None) -> list[Target]:
    if split is None:
        return list(located.targets)
    named = [target for target in located.targets if (target.split or target.rec.stem.split("-")[0]) == split]
    if not named:
        known = sorted({target.split or target.rec.stem.split("-")[0] for target in located.targets})
        raise SourceError(f"{located.folder}: no split {split!r}; there are {', '.join(known[:10])}")
    return named


class _Extractor:
    def __init__(
        self, located: Located, folder: Folder, options: ExtractOptions, on_written: Callable[[int], None]
    ) -> None:
        self.folder, self.options, self.on_written = folder, options, on_written
        self.result = Extraction(str(folder.path))
        self.faults = Faults()
        self.done: set[int] = set()
        self._taken = Taken()
        self._counts: Counter[str | None] = Counter()
        self._damaged: set[str | None] = set()  # splits of which not all could be read
        self._tell_at = 0.0
        self._classes = self._class_names(located)

    @property
    def finished(self) -> bool:
        options = self.options
        if options.limit is not None and self.result.written >= options.limit:
            return True
        return options.keys is not None and options.keys <= self.done

    def extract(self, target: Target) -> None:
        """All wanted records of one file."""
        names = _Names(target.lst, self.faults) if self.options.layout == "list" else None
        with RecFile(target.rec, whole=True) as file:
            for found in salvage_scan(file, payloads=True):
                if isinstance(found, Damage):
                    self._damaged.add(target.split)
                    self.faults.add(Fault(str(target.rec), found.reason, found.offset))
                    continue
                self._counts[target.split] += 1
                self._write(found, names)
                if self.finished:
                    return

    def check_counts(self, targets: list[Target]) -> None:
        """A file cut between two records looks whole: only the manifest knows how many there were."""
        for target in {target.split: target for target in targets if target.split not in self._damaged}.values():
            if wrong := other_count(target, self._counts[target.split]):
                self.faults.add(wrong)

    def _write(self, found: FoundRecord, names: _Names | None) -> None:
        info, payload = found.info, found.payload
        assert info is not None and payload is not None
        if self.options.keys is not None and info.key not in self.options.keys:
            return
        data = payload[len(payload) - info.data_size :] if info.data_size else b""
        assert len(payload) >= HEADER_SIZE
        listed = names.of(info.key) if names is not None else None
        parts = safe_parts(listed) if listed is not None else self._parts(info.key, info.labels[0])
        kind = sniff(data)
        parts[-1] = with_suffix(parts[-1], kind)
        parts = self._taken.unique(parts, info.key)
        if listed is not None:
            self._compare(listed, kind, "/".join(parts))
        self.folder.write(parts, data)
        self.done.add(info.key) if self.options.keys is not None else None
        self.result.written += 1
        self.result.bytes += len(data)
        if (now := time.monotonic()) >= self._tell_at:
            self._tell_at = now + 0.1
            self.on_written(self.result.written)

    def _compare(self, listed: str, kind: str | None, name: str) -> None:
        """Note a name that is not the list's; a suffix that fits what was packed is no other name."""
        folder, slash, last = listed.rpartition("/")
        if name != folder + slash + with_suffix(last, kind):
            self.result.renamed += 1
            if len(self.result.renames) < _MAX_RENAMES:
                self.result.renames[listed] = name

    def _parts(self, key: int, label: float) -> list[str]:
        if self.options.layout == "flat":
            return [str(key)]
        whole = label.is_integer()
        if whole and 0 <= label < len(self._classes):
            return [safe_part(self._classes[int(label)]), str(key)]
        return [safe_part(str(int(label)) if whole else f"{label:g}"), str(key)]

    def _class_names(self, located: Located) -> list[str]:
        path = located.folder / CLASSES
        try:
            return read_class_names(path) if path.exists() else []
        except GpuPackError as error:
            self.faults.add(Fault(str(path), f"label numbers are used: {str(error).removeprefix(f'{path}: ')}"))
            return []


class _Names:
    """The paths of a .lst by key, read along with the records, which are in its order as a rule."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self._path, self._faults = path, faults
        self._ahead: dict[int, str] = {}
        self._lines = self._read() if path.exists() else iter(())

    def of(self, key: int) -> str | None:
        """The path of this key, or None where the list has none."""
        if key in self._ahead:
            return self._ahead.pop(key)
        for found, name in self._lines:
            if found == key:
                return name
            if len(self._ahead) < _MAX_AHEAD:
                self._ahead[found] = name
        return None

    def _read(self) -> Iterator[tuple[int, str]]:
        try:
            for number, line in text_lines(self._path, _MAX_LINE):
                with contextlib.suppress(ListError):  # verify says what is wrong with the list
                    entry = lst.parse_line(line.decode("utf-8", "surrogateescape"), str(self._path), number)
                    yield entry.key, entry.path
        except SourceError as error:
            self._faults.add(Fault(str(self._path), str(error).removeprefix(f"{self._path}: ")))
