"""Where a run's files go, and the folder of this machine in which they grow."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gpu_pack.errors import UsageError, told
from gpu_pack.stores.address import StoreOptions, is_address, parse_address
from gpu_pack.stores.object_store import ObjectStore


@dataclass(frozen=True)
class Destination:
    """The output of a run.

    Attributes:
        folder: in which its files grow: the output itself, or this machine's staging folder for an address.
        store: of the address; None for a local folder.
    """

    folder: Path
    store: ObjectStore | None = None

    def __str__(self) -> str:
        return str(self.folder) if self.store is None else self.store.root


def find_destination(out: str, options: StoreOptions, staging: Path | None = None) -> Destination:
    """The destination that a path or an address names.

    Args:
        staging: the folder for staging folders; None for one in the user's cache.

    Raises:
        UsageError: nothing can be written there.
    """
    if not is_address(out):
        if staging is not None:
            raise UsageError(f"{told('staging', staging)}: {out} is a folder, and files grow in it: leave it out")
        return Destination(Path(out))
    address = parse_address(out)
    if address.is_web:
        raise UsageError(f"{out}: web servers are only read: write to a folder, or to s3://, gs:// or az://")
    # A folder for each address, so that runs to different ones do not meet.
    name = hashlib.sha256(f"{address}\n{options.endpoint(address.scheme) or ''}".encode()).hexdigest()[:16]
    return Destination((staging or _cache_folder()) / name, ObjectStore(address, options))


def _cache_folder() -> Path:
    """This user's, as each system has it."""
    try:
        home = Path.home()
    except RuntimeError:  # as for some containers' users
        return Path(tempfile.gettempdir()) / "gpu-pack"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData/Local")
    elif sys.platform == "darwin":
        base = home / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "gpu-pack"
