"""One .rec with .idx and .lst, written of records that exist already: their pictures stay byte for byte."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable
from types import TracebackType

from gpu_pack.errors import FormatError
from gpu_pack.formats import lst
from gpu_pack.formats.boxes import Labels, held_labels
from gpu_pack.formats.image_headers import sniff
from gpu_pack.formats.published_file import PublishedFile, read_published
from gpu_pack.formats.salvage_scan import OVERLONG
from gpu_pack.output.staging import Staging
from gpu_pack.recordio.framing import frame_pieces, framed_size
from gpu_pack.recordio.index import format_index
from gpu_pack.stores.atomic_file import unwritable
from gpu_pack.tools.input_records import WholeRecord
from gpu_pack.tools.safe_names import safe_part, with_suffix
from gpu_pack.tools.whole_file import WholeFile
from gpu_pack.types import Entry

_LINES = 1024


class RecordOutput:
    """The files of one shard of an output; a context manager, which gives them up unless they were finished.

    The .rec grows where it will be published, .idx and .lst in the staging folder of this machine. None of them is
    synced.

    Args:
        name: of the files, without suffix.
        classes: names by label, for records that no list names.
        expected: size of the .rec in bytes, about.

    Attributes:
        firsts: the first label of each record.

    Raises:
        OutputError: they cannot be written.
    """

    def __init__(self, staging: Staging, name: str, classes: tuple[str, ...] | None, expected: int = 0) -> None:
        self.name, self._staging, self._classes = name, staging, classes or ()
        self.firsts = array("f")
        self._keys, self._offsets = array("Q"), array("Q")
        self._entries: list[Entry] = []
        self._lst = staging.path(name + ".lst")
        try:
            self._list = self._lst.open("wb")
        except OSError as error:
            raise unwritable(self._lst, error) from error
        try:
            self._rec = staging.open_joined(name + ".rec", expected, synced=False)
        except BaseException:
            self._list.close()
            raise

    def __enter__(self) -> RecordOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._list.close()
        self._rec.__exit__(kind, error, trace)

    def add(self, record: WholeRecord, key: int, labels: Labels, listed: Entry | None) -> None:
        """Append a record.

        Args:
            listed: the entry of the list beside its file, whose path it keeps.

        Raises:
            FormatError: the record's length may be damaged, or its header cannot hold ``key``.
            OutputError: the disk is full, or failed.
        """
        info, image = record.info, record.image
        if not all(map(math.isfinite, labels)):
            raise FormatError(f"its labels {labels[:8]} are not all finite, and no .lst can hold them")
        pieces = frame_pieces(key, labels, image)
        if sum(map(len, pieces)) != info.length and framed_size(record.payload) != info.length:
            raise FormatError(OVERLONG)
        self._keys.append(key)
        self._offsets.append(self._rec.size)
        for piece in pieces:
            self._rec.write(piece)
        self.firsts.append(labels[0])
        path = listed.path if listed is not None else self._made_up_path(key, labels[0], image)
        # The list's own numbers, where they are the record's: 0.1 is not the float32 that a record has for it.
        known = listed.labels if listed is not None and info.labels == labels else ()
        self._add_entries([Entry(key, held_labels(known, labels), path)])

    def append(self, file: WholeFile, on_bytes: Callable[[int], None]) -> None:
        """Append all records of a file as they are.

        Raises:
            SourceError: it cannot be read, or is not what its manifest says.
            OutputError: the disk is full, or failed.
        """
        import numpy as np

        begin = np.uint64(self._rec.size)
        self._rec.append(file.rec, file.published, on_bytes)
        self._keys.extend(file.keys.keys)
        self._offsets.frombytes((np.asarray(file.keys.offsets) + begin).tobytes())
        self.firsts.extend(file.firsts)
        self._add_entries(file.entries())

    def finish(self) -> dict[str, PublishedFile]:
        """Complete the files; size and hashes of each.

        Raises:
            OutputError: the disk is full, or failed.
        """
        self._write_list()
        idx = self._staging.path(self.name + ".idx")
        path = self._lst
        try:
            self._list.close()
            path = idx
            with idx.open("wb") as file:
                file.writelines(format_index(self._keys, self._offsets))
        except OSError as error:
            raise unwritable(path, error) from error
        return {
            self.name + ".rec": self._rec.finish(),
            self.name + ".idx": read_published(idx),
            self.name + ".lst": read_published(self._lst),
        }

    def _add_entries(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._entries.append(entry)
            if len(self._entries) == _LINES:
                self._write_list()

    def _write_list(self) -> None:
        try:
            self._list.writelines(lst.format_list(self._entries))
        except OSError as error:
            raise unwritable(self._lst, error) from error
        self._entries = []

    def _made_up_path(self, key: int, label: float, image: bytes) -> str:
        """class/key.jpg, as extract would name it."""
        number = int(label) if label.is_integer() else -1
        named = 0 <= number < len(self._classes)
        folder = safe_part(self._classes[number] if named else f"{label:.9g}")
        return f"{folder}/{with_suffix(str(key), sniff(image))}"
