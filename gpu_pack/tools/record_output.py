"""One .rec with .idx and .lst, written of records that exist already: their pictures stay byte for byte."""

from __future__ import annotations

import math
from array import array
from pathlib import Path
from types import TracebackType

from gpu_pack.errors import FormatError
from gpu_pack.formats import lst
from gpu_pack.formats.boxes import Labels, held_labels
from gpu_pack.formats.image_headers import sniff
from gpu_pack.formats.published_file import PublishedFile
from gpu_pack.formats.salvage_scan import OVERLONG
from gpu_pack.output.checkpoint import RecordFileState
from gpu_pack.output.shard_writer import RecordWriter, write_index
from gpu_pack.output.staging import Staging
from gpu_pack.recordio.framing import frame_pieces, framed_size
from gpu_pack.stores.atomic_file import hash_file, sync_file, unwritable
from gpu_pack.tools.input_records import WholeRecord
from gpu_pack.tools.safe_names import safe_part, with_suffix
from gpu_pack.types import Entry

_LINES = 1024


class RecordOutput:
    """The files of one shard in a staging folder; a context manager, which closes them.

    Args:
        name: of the files, without suffix.
        classes: names by label, for records that no list names.

    Attributes:
        firsts: the first label of each record.

    Raises:
        OutputError: they cannot be written.
    """

    def __init__(self, staging: Staging, name: str, classes: tuple[str, ...] | None) -> None:
        self.name, self._staging, self._classes = name, staging, classes or ()
        self.firsts = array("f")
        self._entries: list[Entry] = []
        self._lst = staging.path(name + ".lst")
        self._state = RecordFileState()
        try:
            self._list = self._lst.open("wb")
        except OSError as error:
            raise unwritable(self._lst, error) from error
        self._writer = RecordWriter(staging.path(name + ".rec"), self._state, lambda _: None)

    def __enter__(self) -> RecordOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._list.close()
        self._writer.close()

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
        self._writer.append_framed(key, pieces)
        self.firsts.append(labels[0])
        path = listed.path if listed is not None else self._made_up_path(key, labels[0], image)
        # The list's own numbers, where they are the record's: 0.1 is not the float32 that a record has for it.
        known = listed.labels if listed is not None and info.labels == labels else ()
        self._entries.append(Entry(key, held_labels(known, labels), path))
        if len(self._entries) == _LINES:
            self._write_list()

    def finish(self) -> dict[str, PublishedFile]:
        """Sync everything, and write the index; size and sha256 of each file.

        Raises:
            OutputError: the disk is full, or failed.
        """
        self._write_list()
        try:
            self._list.flush()
            sync_file(self._list.fileno())
        except OSError as error:
            raise unwritable(self._lst, error) from error
        self._writer.finish()
        idx = self._staging.path(self.name + ".idx")
        write_index(idx, self._state)
        return {
            self.name + ".rec": PublishedFile(self._state.size, self._state.checksum.hexdigest()),
            self.name + ".idx": published(idx),
            self.name + ".lst": published(self._lst),
        }

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


def published(path: Path) -> PublishedFile:
    """Size and sha256 of a file."""
    return PublishedFile(path.stat().st_size, hash_file(path))
