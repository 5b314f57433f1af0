"""Names of sources, paths and addresses alike: patterns, the stores that they lie in, and what several share."""

from __future__ import annotations

import glob
import os
import posixpath
from collections.abc import Sequence
from fnmatch import fnmatchcase

from gpu_pack.errors import SourceError, UsageError
from gpu_pack.sources.braces import expand_braces
from gpu_pack.stores.address import Address, StoreOptions, is_address, parse_address
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.stores.open_store import open_store
from gpu_pack.stores.store import Store


def expand(source: str, options: StoreOptions) -> list[str]:
    """The files and folders that a source stands for: itself, or what fits a pattern, in sorted order.

    Raises:
        SourceError: a path that is not there, or a pattern that nothing fits.
    """
    remote = is_address(source)
    if not remote and os.path.lexists(source):
        return [source]
    found = []
    for name in expand_braces(source):
        if not glob.has_magic(name):
            found.append(name)
        else:
            found += _matching_objects(name, options) if remote else sorted(glob.glob(name))
    for name in () if remote else found:
        if not os.path.lexists(name):
            raise SourceError(f"{name}: no such folder or file")
    if not found:
        what = "no file or folder fits this pattern" if set(source) & set("*?") else "no such folder or file"
        raise SourceError(f"{source}: {what}")
    return found


def is_folder(name: str, options: StoreOptions) -> bool:
    """Whether it is a folder; in a bucket, whatever is no object."""
    if not is_address(name):
        return os.path.isdir(name)
    address = parse_address(name)
    if address.is_web:
        return False
    return not address.key or name.endswith("/") or _stat(address, options) < 0


def place(names: Sequence[str], options: StoreOptions) -> tuple[Store, list[str]]:
    """A store over the folder that files share, and their paths in it; all are addresses of one bucket, or none is."""
    if is_address(names[0]):
        addresses = [parse_address(name) for name in names]
        folder = posixpath.commonpath(["/" + address.parent.key for address in addresses])[1:]
        root = Address(addresses[0].scheme, addresses[0].bucket, folder)
        skip = len(folder) + 1 if folder else 0
        return ObjectStore(root, options), [address.key[skip:] for address in addresses]
    if len({os.path.isabs(name) for name in names}) > 1:
        names = [os.path.abspath(name) for name in names]
    local = os.path.commonpath([os.path.dirname(name) for name in names])
    return LocalStore(local), [os.path.relpath(name, local or ".").replace(os.sep, "/") for name in names]


def bucket(name: str) -> str:
    """Where a name lies: the bucket of an address, empty for a path."""
    if not is_address(name):
        return ""
    address = parse_address(name)
    return f"{address.scheme}://{address.bucket}"


def join(folder: str, name: str) -> str:
    """The name of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_address(folder) else os.path.join(folder, name)


def _stat(address: Address, options: StoreOptions) -> int:
    """The size of an object; -1 where there is none."""
    return ObjectStore(address.parent, options).stat(address.name).size


def _matching_objects(pattern: str, options: StoreOptions) -> list[str]:
    """Objects and folders that fit a pattern in the last part of an address."""
    folder, _, last = pattern.rstrip("/").rpartition("/")
    if glob.has_magic(folder):
        raise UsageError(f"{pattern}: a pattern stands in the last part of an address only")
    items = open_store(folder, options).list("")
    return [join(folder, item.name) for item in items if fnmatchcase(item.name, last)]
