"""``--duplicates``: what becomes of files with the same bytes, before a listing is divided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu_pack.errors import UsageError, told
from gpu_pack.pipeline.options import CreateOptions
from gpu_pack.sources.duplicates import drop_duplicates, first_of_same
from gpu_pack.sources.listing import Listing
from gpu_pack.types import OnProgress

if TYPE_CHECKING:
    from gpu_pack.sources.duplicates import Rows


def settle_duplicates(
    source: str, listing: Listing, options: CreateOptions, on_progress: OnProgress
) -> tuple[Listing, Rows | None]:
    """The listing without what is dropped, and for each row the first one of its group, which is not to be divided.

    None: every row stands for itself.

    Raises:
        UsageError: groups are asked for, and the source is divided already.
    """
    if options.duplicates == "keep":
        return listing, None
    if options.duplicates == "group" and listing.own_splits is not None:
        raise UsageError(
            f"{told('duplicates', 'group')}: {source} is divided already, into {', '.join(listing.own_splits.names)}, "
            "and its splits stay as they are: duplicates=drop (--duplicates drop) keeps the first of such files"
        )
    firsts = first_of_same(listing, options.device.workers, on_progress)
    return (drop_duplicates(listing, firsts), None) if options.duplicates == "drop" else (listing, firsts)
