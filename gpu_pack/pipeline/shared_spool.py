"""What a plan has spooled, for other processes and machines that pack its shards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.plan import STAGING, Plan
from gpu_pack.sources.spool import Spool
from gpu_pack.stores.joined_store import JoinedStore
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.spool_store import SpoolStore
from gpu_pack.stores.store import Store
from gpu_pack.types import Container

#: Suffix of a spool's files in the staging.
_SPOOL = ".spool"


def share_spool(plan: Plan, spool: Spool, staging: Staging) -> Plan:
    """The plan for others, as long as the spool is open.

    In a folder that all share, they read the spool where it lies; to an output in a store, it goes up first.

    Raises:
        OutputError: it cannot be put there.
    """
    if plan.store is not None:
        return keep_spool(plan, spool, staging)
    here = {os.path.basename(file.path): Container(os.path.basename(file.path), file.size, -1) for file in spool.files}
    return _with_spool(plan, spool, LocalStore(spool.folder or ""), here)


def keep_spool(plan: Plan, spool: Spool, staging: Staging) -> Plan:
    """The plan for others, also after this process: the spool's files lie in the staging until all is published.

    Their names tell what is in them: one that is there from before need not be put there again.

    Raises:
        OutputError: it cannot be put there.
    """
    there: dict[str, Container] = {}
    for file in spool.files:
        name = f"{file.digest}-{file.size}{_SPOOL}"
        version = staging.take_in(name, Path(file.path))
        there[os.path.basename(file.path)] = Container(name, file.size, version)
    if plan.store is None:
        return _with_spool(plan, spool, LocalStore(os.path.join(staging.folder.absolute(), "")), there)
    return _with_spool(plan, spool, replace(plan.store, folder=plan.store.folder.below(STAGING)), there)


def _with_spool(plan: Plan, spool: Spool, store: Store, files: Mapping[str, Container]) -> Plan:
    """The plan, with what lies in the spool's folder read from a store."""
    if not files:
        return plan
    own = plan.listing.store
    joined = JoinedStore(((spool.folder or "", SpoolStore(store, files)), ("", own)), own.root)
    return replace(plan, listing=replace(plan.listing, store=joined))
