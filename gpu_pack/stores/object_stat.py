"""Size and version of an object."""

from __future__ import annotations

import hashlib
from typing import Any

from gpu_pack.errors import SourceError
from gpu_pack.stores.address import Address
from gpu_pack.stores.object_faults import ObjectError
from gpu_pack.stores.object_requests import Requests
from gpu_pack.stores.store import Stat


def stat_of(meta: dict[str, Any]) -> Stat:
    """From what obstore tells; the version is of the etag, or of the time of the last change where there is none.

    Lists and answers put the etag in quotes or not, each store in its own way.
    """
    etag = meta["e_tag"]
    text = etag.removeprefix("W/").strip('"') if etag else meta["last_modified"].isoformat()
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return Stat(meta["size"], (int.from_bytes(digest, "big") >> 1) or 1)


def look_up(requests: Requests, key: str) -> dict[str, Any]:
    """What obstore tells about an object.

    Raises:
        ObjectError: it is not there, or cannot be read.
        SourceError: nothing can be read.
    """
    obstore, client = requests.obstore, requests.client
    try:
        meta: dict[str, Any] = requests.call(key, lambda: obstore.head(client, key))
    except ObjectError as error:
        if error.fault.kind == "name":
            raise
        # Answers to HEAD do not say why it was refused; and some web servers refuse any.
        meta = requests.call(key, lambda: obstore.get(client, key, options={"range": (0, 1)}).meta)
    return meta


def look_up_existing(requests: Requests, address: Address) -> dict[str, Any]:
    """As `look_up`, for an object that has to be there.

    Raises:
        SourceError: it is not there, or cannot be read.
    """
    try:
        return look_up(requests, address.key)
    except ObjectError as error:
        raise SourceError(f"{address}: {error}") from error
