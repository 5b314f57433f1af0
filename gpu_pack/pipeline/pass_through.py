"""Files into records as they are (``--pass-through``): read, examined, framed, written and hashed by a few threads.

There is no picture to compute, so there are no workers and no engine: what costs is moving bytes. One thread does
everything to a run of files, in a buffer that it uses over and over. At each of the three steps, reading, writing and
hashing, there is one thread at a time. So while one writes and hashes, which takes no interpreter, another reads, which
is full of Python: two that read would only take it from each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial

from gpu_pack.pipeline.record_buffer import RecordBuffer, Records
from gpu_pack.pipeline.sequencer import Sequencer
from gpu_pack.stores.io_threads import MOST_READERS, IoThreads, Task
from gpu_pack.stores.local import chunks
from gpu_pack.types import Entry, Framed, TransformSpec

#: Bytes of records in a slab. Each costs a third of a millisecond for handing over: with 4 MiB instead, runs took 4 to
#: 8 % longer, with 2 MiB a fifth; with 16 MiB they were no faster.
BUFFER_BYTES = 8 << 20
#: Files in a slab, so that small ones show progress too.
_BUFFER_FILES = 256
#: What a record has besides the file: head and padding, with room for some labels.
_HEAD_BYTES = 64
Step = Callable[[Framed], None]


class FilePasser:
    """Makes records of files, list after list.

    In memory are a slab for each thread, and at most 96 MiB of files or one file.

    Args:
        root: what the entries' paths are relative to, unless they are absolute.
        spec: what is let pass: pictures of too many pixels are not, since somebody will decode them.
        threads, most_threads: how many there are, to begin with and at most: see `IoThreads`.
    """

    def __init__(self, root: str, spec: TransformSpec, threads: int = 2, most_threads: int = MOST_READERS) -> None:
        self._root = root
        self._spec = spec
        self._threads = IoThreads[Framed](threads, most_threads, readers=1)
        self._own = threading.local()  # each thread's slab

    def run(self, entries: Iterable[Entry], append: Step, follow: Step) -> Generator[Framed, None, None]:
        """What became of the files, in order, without the bytes: these are where they belong by then.

        Args:
            append: takes the records of some files, in the order of the entries; called from the pool's threads, but
                only once at a time.
            follow: called after it with the same, and again only once at a time; the bytes are gone when it returns.

        Raises:
            SourceError: the storage does not answer.
            Exception: whatever ``append`` or ``follow`` raised.
        """
        appending, following = Sequencer(), Sequencer()

        def steps(number: int, records: Records) -> Framed:
            framed = records.framed()
            with appending.turn(number):
                append(framed)
            with following.turn(number):
                follow(framed)
            return framed._replace(pieces=())

        def tasks() -> Iterator[Task[Records, Framed]]:
            for number, (chunk, size) in enumerate(chunks(entries, _BUFFER_FILES, BUFFER_BYTES, _HEAD_BYTES)):
                yield Task(partial(self._read, chunk), chunk[0].path, size, partial(steps, number))

        try:
            yield from self._threads.in_order(tasks())
        finally:
            appending.end()
            following.end()

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.close()

    # ---- in a thread of the pool

    def _read(self, chunk: list[Entry]) -> Records:
        slab: RecordBuffer | None = getattr(self._own, "slab", None)
        if slab is None:
            slab = self._own.slab = RecordBuffer(BUFFER_BYTES, self._root, self._spec)
        return slab.fill(chunk)
