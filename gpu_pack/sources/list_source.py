"""Whatever `create` is given, a folder or a .lst file, as a listing."""

from __future__ import annotations

from pathlib import Path

from gpu_pack.errors import SourceError, UsageError, told
from gpu_pack.sources.folder import list_folder
from gpu_pack.sources.list_file import list_file
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.source_options import SourceOptions


def list_source(source: Path, options: SourceOptions) -> Listing:
    """A folder or a .lst file, whichever ``source`` is; see `list_folder` and `list_file`.

    With a list format given, a list may have any suffix.

    Raises:
        SourceError: there is nothing that can be packed as asked.
        UsageError: an option that is about lists, for a folder, or the other way round.
    """
    is_list = source.suffix.lower() == ".lst" and not source.is_dir()
    if is_list and not source.exists():
        raise SourceError(f"{source}: no such file")
    if is_list or source.is_file():
        return _list(source, options)
    if flag := options.about_lists():
        raise UsageError(f"{flag} is about the paths in a .lst file, and {source} is a folder: leave it out")
    if options.classes is not None and options.class_order != "name":
        raise UsageError(
            f"{told('class_order', options.class_order)}: the labels are those of classes (--classes): leave one out"
        )
    return list_folder(source, options.classes, options.layout, options.class_order)


def _list(source: Path, options: SourceOptions) -> Listing:
    if source.suffix.lower() != ".lst" and options.list_format == "auto":
        raise SourceError(
            f"{source}: neither a folder nor a .lst file; --list-format mxnet, csv or aligned reads a list of any name"
        )
    if flag := options.about_folders():
        raise UsageError(f"{flag} is about folders of classes, and {source} is a list: leave it out")
    return list_file(source, options)
