"""The file of a plan.

It holds the columns of each shard, one after the other; then the rest of the plan, with the place and the SHA-256 of
each of these; then a line of JSON. So a plan of any size is written as a stream, and whoever packs three shards reads
three.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, NamedTuple

import gpu_pack
from gpu_pack.errors import OutputError
from gpu_pack.output.destination import Destination
from gpu_pack.pipeline.plan import STAGING, Plan, renumbered
from gpu_pack.sources.listing import COLUMNS, Listing
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.store import OpenFile, Store

#: Its name in the staging folder.
NAME = "plan"
#: More than the line at the end has.
_LINE_BYTES = 1 << 12
#: What a plan is made of, besides gpu-pack's own classes.
_OTHERS = {
    ("builtins", "range"),
    ("collections", "Counter"),
    ("fractions", "Fraction"),
}


class _Section(NamedTuple):
    """Where something lies in the file, in bytes, and its SHA-256."""

    offset: int
    length: int
    sha256: str


@dataclass(frozen=True)
class StoredPlan:
    """The plan that `store_plan` kept in an output.

    Attributes:
        head: all of it but the rows of its listing; its shards have the rows that these get one after the other.
        overwrite: it may replace what is published there.
        sections: of each shard.
    """

    head: Plan
    overwrite: bool
    sections: Sequence[_Section]
    _destination: Destination

    def part(self, which: Iterable[int]) -> Plan:
        """A plan of some shards alone; see `Plan.part`.

        Raises:
            UsageError: there is no such shard.
            OutputError: the plan is damaged.
        """
        numbers = sorted(set(which))
        shards = self.head.select(numbers)
        listing = Listing(self.head.listing.store, classes=self.head.listing.classes, ordered=self.head.listing.ordered)
        self._read(numbers, listing)
        return replace(self.head, listing=listing, shards=renumbered(shards), whole=False)

    def whole(self) -> Plan:
        """All shards, and what is said of the whole.

        Raises:
            OutputError: the plan is damaged.
        """
        listing = replace(self.head.listing, **_columns(Listing(self.head.listing.store)))
        self._read(range(len(self.sections)), listing)
        return replace(self.head, listing=listing, whole=False)

    def _read(self, numbers: Iterable[int], listing: Listing) -> None:
        """Append the rows of some shards."""
        with _open(self._destination) as file:
            for number in numbers:
                data = _read_section(file, self.sections[number], self._destination)
                columns = _unpickle(data, self._destination)
                listing.extend(Listing(listing.store, **columns))


def load_plan(destination: Destination) -> StoredPlan:
    """The plan that `store_plan` kept in an output.

    Raises:
        OutputError: there is none, or it is another version's or damaged.
    """
    if not is_there(destination):
        raise OutputError(f"{destination}: no plan lies there: gpu-pack plan SOURCE {destination} makes one")
    with _open(destination) as file:
        size = file.stat.size
        text = file.read_at(max(0, size - _LINE_BYTES), min(size, _LINE_BYTES))
        head = _read_section(file, _last_line(text, destination), destination)
    plan, overwrite, sections = _unpickle(head, destination)
    plan = replace(plan, out=destination.folder.absolute(), store=destination.store)
    return StoredPlan(plan, overwrite, sections, destination)


def pack_plan(plan: Plan, overwrite: bool) -> Iterator[bytes]:
    """A plan as the bytes of its file, in pieces of a shard."""
    offset, sections = 0, []
    for shard in plan.shards:
        data = pickle.dumps(_columns(plan.listing.part(shard.rows)), protocol=4)
        sections.append(_section(offset, data))
        offset += len(data)
        yield data
    body = pickle.dumps((_head(plan), overwrite, sections), protocol=4)
    yield body
    line = {"gpu-pack": gpu_pack.__version__, "head": _section(offset, body)}
    yield b"\n" + json.dumps(line).encode()


def _head(plan: Plan) -> Plan:
    """The plan without rows, and without its folder, which `load_plan` knows, and whose class other systems lack."""
    left_out = plan.listing.left_out + len(plan.listing) - sum(len(shard.rows) for shard in plan.shards)
    empty = _columns(Listing(plan.listing.store))
    listing = replace(plan.listing, **empty, own_splits=None, left_out=left_out)
    return replace(plan, out=None, listing=listing, shards=renumbered(plan.shards))  # type: ignore[arg-type]


def _columns(listing: Listing) -> dict[str, Any]:
    return {name: getattr(listing, name) for name in COLUMNS}


def _section(offset: int, data: bytes) -> _Section:
    return _Section(offset, len(data), hashlib.sha256(data).hexdigest())


def _last_line(text: bytes, destination: Destination) -> _Section:
    """Where the head lies."""
    try:
        line = dict(json.loads(text.rpartition(b"\n")[2]))
        offset, length, sha256 = line["head"]
        version, section = line.get("gpu-pack"), _Section(int(offset), int(length), str(sha256))
    except (ValueError, TypeError, KeyError):
        raise _damaged(destination) from None
    if version != gpu_pack.__version__:
        raise OutputError(
            f"{destination}: its plan is of gpu-pack {version}, and this is {gpu_pack.__version__}: use the same "
            "version for plan, pack and publish"
        )
    return section


def _read_section(file: OpenFile, section: _Section, destination: Destination) -> bytes:
    if not 0 <= section.offset <= section.offset + section.length <= file.stat.size:
        raise _damaged(destination)
    data = file.read_at(section.offset, section.length)
    if hashlib.sha256(data).hexdigest() != section.sha256:
        raise _damaged(destination)
    return data


def _damaged(destination: Destination) -> OutputError:
    return OutputError(f"{destination}: its plan is damaged: make it again with gpu-pack plan")


def _unpickle(data: bytes, destination: Destination) -> Any:
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except pickle.UnpicklingError as error:
        raise OutputError(f"{destination}: its plan holds {error}, which no plan does: make it again") from None
    except (EOFError, ImportError, AttributeError, TypeError, ValueError, LookupError):
        raise _damaged(destination) from None


class _Unpickler(pickle.Unpickler):
    """Makes nothing but gpu-pack's own values: whoever can write into an output need not be trusted."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _OTHERS:
            return super().find_class(module, name)
        found = getattr(import_module(module), name, None) if module.startswith("gpu_pack.") else None
        # Not what a module imports: of pathlib.Path, gpu-pack's own classes would open any file.
        if not isinstance(found, type) or found.__module__ != module:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return found


def _file(destination: Destination) -> tuple[Store, str]:
    store = destination.store or LocalStore(str(destination.folder))
    return store, f"{STAGING}/{NAME}"


def is_there(destination: Destination) -> bool:
    """Whether a plan lies in an output."""
    store, path = _file(destination)
    return store.stat(path).size >= 0


def _open(destination: Destination) -> OpenFile:
    store, path = _file(destination)
    return store.open(path)
