"""One shard's files in the staging folder: what an interrupted run left of them, and how they grow.

What is decided of a shard is always a prefix of its list: an image is a record or a reject, or comes after all these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gpu_pack.errors import FormatError, OutputLockedError
from gpu_pack.formats import lst
from gpu_pack.formats.boxes import held_labels, is_detection
from gpu_pack.output.checkpoint import MADE_BY, Checkpoint, ChecksumName, Journal, recover
from gpu_pack.output.notice_log import NoticeLog
from gpu_pack.output.reject_log import ImageName, RejectLog
from gpu_pack.output.shard_writer import RecordWriter, WriterSettings, write_index
from gpu_pack.output.staging import Staging
from gpu_pack.recordio.scanning import read_record_header, reader
from gpu_pack.sources.listing import Listing, entries
from gpu_pack.sources.splits import Shard
from gpu_pack.stores.atomic_file import cut_file, write_atomically
from gpu_pack.types import Encoded, Entry, Rejected


class ShardFiles:
    """The files of one shard, recovered when this object is made, and written between `open` and `finish`.

    Args:
        moves_boxes: detection labels of the records may differ from the listing's; the .lst then gets the records'.

    Attributes:
        decided: images of the list that are records or rejects, from its beginning.
        state: what the .rec holds.
        rejects: the shard's rejects.
        resumed: records that were there already.
    """

    def __init__(
        self,
        staging: Staging,
        listing: Listing,
        shard: Shard,
        checksum: ChecksumName,
        settings: WriterSettings | None = None,
        *,
        moves_boxes: bool = False,
    ) -> None:
        self.shard, self._settings, self._moves_boxes = shard, settings, moves_boxes
        self._listing, self._staging = listing, staging
        self._rec = staging.path(shard.name + ".rec")
        self._journal = Journal(staging.folder / f"{shard.name}.checkpoints")
        self.rejects = RejectLog(staging.path(shard.name + ".rejects.jsonl"), shard.split)
        self._recovered_from = self._rec.stat().st_size if self._rec.exists() else 0
        self.notices = NoticeLog(staging.folder / f"{shard.name}.notices")
        self.state = recover(self._rec, self._journal.checkpoints, checksum, trust_tail=self._journal.same_boot)
        self.decided, records, self._kept = self._decide()
        self.state.cut(self._rec, records)
        self.resumed = len(self.state.keys)
        self._lock = staging.lock(shard.name)
        self._writer: RecordWriter | None = None

    @property
    def undecided(self) -> int:
        """Images that are still to be packed."""
        return len(self.shard.rows) - self.decided

    def open(self) -> None:
        """Write the list, cut the .rec to what was recovered, and open it for more.

        Raises:
            OutputLockedError: another process is packing this shard, or has packed more of it meanwhile.
            OutputError: it cannot be written.
        """
        self._acquire()
        write_shard_list(self._listing, self.shard, self._staging.path(self.shard.name + ".lst"))
        cut_file(self._rec, self.state.size)  # before the journal vouches for what comes after
        self._journal.restart(self.state.size)
        self.rejects.open(self._kept)
        self.notices.open(self._decided_names())
        self._writer = RecordWriter(self._rec, self.state, self._add_checkpoint, self._settings)

    def append(self, outcome: Encoded | Rejected) -> Rejected | None:
        """Add one image as a record or a reject; gives the reject, also where no record can hold the image."""
        assert self._writer is not None
        if isinstance(outcome, Encoded):
            for code, count in Counter(outcome.notices).items() if outcome.notices else ():
                self.notices.add(code, (outcome.entry.key, outcome.entry.path), count)
            try:
                self._writer.append(outcome)
                return None
            except FormatError as error:  # larger than a record can be
                outcome = Rejected(outcome.entry, "encode", str(error), "too-large")
        self.rejects.add(outcome)
        return outcome

    def finish(self) -> None:
        """Sync everything, and write the index, and the list anew where boxes may have moved."""
        assert self._writer is not None
        self._writer.finish()
        self.rejects.close(sync=True)
        write_index(self._staging.path(self.shard.name + ".idx"), self.state)
        labels = self._listing.labels
        if self._moves_boxes and any(is_detection(labels[row]) for row in self.shard.rows):
            write_atomically(self._staging.path(self.shard.name + ".lst"), lst.format_list(self._packed_entries()))

    def paths(self) -> list[Path]:
        """All files of the shard in the staging folder."""
        name, staging = self.shard.name, self._staging
        published = [staging.path(name + suffix) for suffix in (".rec", ".idx", ".lst", ".rejects.jsonl")]
        noted = [staging.folder / f"{name}{suffix}" for suffix in (".checkpoints", ".notices")]
        return [*published, self._rec.with_suffix(MADE_BY), *noted]

    def close(self) -> None:
        """Close the files; what was written stays, to be resumed."""
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self.rejects.close()
            self.notices.close()
            self._lock.release()

    def _packed_entries(self) -> Iterator[Entry]:
        """The shard's entries, with the labels that their records hold, which a resumed run knows from nowhere else."""
        offsets = iter(self.state.offsets)
        with self._rec.open("rb") as file:
            read_at = reader(file)
            for entry in entries(self._listing, self.shard.rows):
                if (entry.key, entry.path) in self.rejects.rejects:
                    yield entry
                    continue
                offset = next(offsets)
                if is_detection(entry.labels):
                    held = read_record_header(read_at, offset, self.state.size).labels
                    entry = entry._replace(labels=held_labels(entry.labels, held))
                yield entry

    def _add_checkpoint(self, point: Checkpoint) -> None:
        self.notices.sync()
        self._journal.add(point)

    def _decided_names(self) -> set[ImageName]:
        """Key and path of each decided image, where any notice is about one."""
        rows = self.shard.rows[: self.decided] if len(self.notices) else ()
        return {(self._listing.keys[row], self._listing.paths[row]) for row in rows}

    def _acquire(self) -> None:
        try:
            self._lock.acquire(timeout=0)
            free = (self._rec.stat().st_size if self._rec.exists() else 0) == self._recovered_from
        except TimeoutError:
            free = False
        if not free:
            raise OutputLockedError(f"{self._rec}: another process is packing this shard: wait for it, or pack others")

    def _decide(self) -> tuple[int, int, list[ImageName]]:
        """How many entries are decided, how many of them are records, and the rejects among them.

        Rejects are looked up first: a record has only its key, which im2rec's lists may give to several images.
        """
        listing, keys = self._listing, self.state.keys
        records, rejected = 0, []
        for position, row in enumerate(self.shard.rows):
            name = (listing.keys[row], listing.paths[row])
            if name in self.rejects.rejects:
                rejected.append(name)
            elif records < len(keys) and keys[records] == name[0]:
                records += 1
            else:
                return position, records, rejected
        return len(self.shard.rows), records, rejected


def write_shard_list(listing: Listing, shard: Shard, path: Path) -> None:
    """Write a shard's .lst, synced.

    Raises:
        OutputError: it cannot be written.
    """
    write_atomically(path, lst.format_list(entries(listing, shard.rows)))
