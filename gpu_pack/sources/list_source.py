"""Whatever `create` is given, a folder or a .lst file, as a listing."""

from __future__ import annotations

from pathlib import Path

from gpu_pack.errors import SourceError, UsageError
from gpu_pack.sources.folder import list_folder
from gpu_pack.sources.list_file import list_file
from gpu_pack.sources.listing import Listing


def list_source(
    source: Path, root: Path | None, classes: tuple[str, ...] | None, *, allow_outside: bool = False
) -> Listing:
    """A folder or a .lst file, whichever ``source`` is; see `list_folder` and `list_file`.

    Raises:
        SourceError: there is nothing that can be packed as asked.
        UsageError: an option that is about lists, for a folder.
    """
    if source.suffix.lower() == ".lst" and not source.is_dir():
        if not source.exists():
            raise SourceError(f"{source}: no such file")
        return list_file(source, root if root is not None else source.parent, classes, allow_outside=allow_outside)
    if source.is_file():
        raise SourceError(f"{source}: neither a folder nor a .lst file")
    for given, flag in ((root is not None, "--root"), (allow_outside, "--allow-outside")):
        if given:
            raise UsageError(f"{flag} is about the paths in a .lst file, and {source} is a folder: leave it out")
    return list_folder(source, classes)
