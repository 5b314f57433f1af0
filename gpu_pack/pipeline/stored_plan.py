"""A plan that lies in its output, for processes and machines that pack its shards: plan there, pack, publish."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import gpu_pack
from gpu_pack.errors import OutputError, OutputExistsError
from gpu_pack.output.destination import Destination
from gpu_pack.pipeline import create
from gpu_pack.pipeline.create_policy import CreatePolicy
from gpu_pack.pipeline.options import CreateOptions
from gpu_pack.pipeline.plan import STAGING, Plan, open_staging
from gpu_pack.pipeline.report import Report
from gpu_pack.pipeline.results import gather
from gpu_pack.pipeline.run import publish_once, resume_or_begin
from gpu_pack.pipeline.shared_spool import keep_spool
from gpu_pack.sources.given import GivenImages
from gpu_pack.sources.spool import Spool
from gpu_pack.stores.anchored import anchored
from gpu_pack.stores.atomic_file import unwritable
from gpu_pack.stores.object_folder import ObjectFolder
from gpu_pack.types import OnProgress

#: Of a shard, about, where no number of shards is given.
SHARD_BYTES = 256 << 20
_PLAN = "plan"
#: What a plan is made of, besides gpu-pack's own classes.
_OTHERS = {
    ("array", "_array_reconstructor"),
    ("array", "array"),
    ("builtins", "bytearray"),
    ("collections", "Counter"),
    ("fractions", "Fraction"),
}


def plan_apart(
    sources: Sequence[str] | GivenImages,
    out: str,
    options: CreateOptions,
    spool: Spool,
    on_progress: OnProgress | None = None,
) -> Plan:
    """The plan of a run whose shards other processes pack, on this machine or on others that have the same paths.

    Args:
        spool: others find it as `gpu_pack.pipeline.shared_spool` says.

    Raises:
        GpuPackError: there is nothing that can be packed as asked.
    """
    plan = create.plan(sources, out, options, spool, on_progress, SHARD_BYTES)
    return replace(plan, out=plan.out.absolute(), listing=replace(plan.listing, store=anchored(plan.listing.store)))


def store_plan(sources: Sequence[str], out: str, options: CreateOptions, on_progress: OnProgress | None = None) -> Plan:
    """Plan a run and keep the plan in its output; the same call again keeps what is packed already.

    Raises:
        GpuPackError: see `gpu_pack.errors`.
    """
    with create.open_spool(out, options) as spool:
        plan = plan_apart(sources, out, options, spool, on_progress)
        with plan.open_staging() as staging:
            if staging.finish_publishing() is not None:
                staging.reopen()
            resume_or_begin(plan, CreatePolicy(options.overwrite), staging)
            plan = keep_spool(plan, spool, staging)
            staging.keep(_PLAN, _pack(plan, options.overwrite))
    return plan


def load_plan(destination: Destination) -> tuple[Plan, bool]:
    """The plan that `store_plan` kept in an output, and whether it may replace what is published there.

    Raises:
        OutputError: there is none, or it is another version's or damaged.
    """
    text = _read(destination)
    if text is None:
        raise OutputError(f"{destination}: no plan lies there: gpu-pack plan SOURCE {destination} makes one")
    plan, overwrite = _unpack(text, destination)
    return replace(plan, out=destination.folder.absolute(), store=destination.store), overwrite


def publish_stored(destination: Destination) -> Report:
    """Publish the shards of the plan in an output, all of which are packed.

    Raises:
        GpuPackError: shards are missing, which are named, or see `gpu_pack.errors`.
    """
    if _read(destination) is None and (report := _publish_rest(destination)) is not None:
        return report
    plan, overwrite = load_plan(destination)
    made = publish_once(plan, CreatePolicy(overwrite), lambda staging: gather(plan, staging))
    return Report.from_json(made)


def _publish_rest(destination: Destination) -> Report | None:
    """Finish a publication that was interrupted after the plan was removed."""
    with open_staging(destination.folder, destination.store) as staging:
        earlier = staging.finish_publishing()
        if earlier is not None:
            return Report.from_json(earlier.report)
        found = staging.published()
        if staging.identity() is None:
            staging.discard()
        if found is not None:
            raise OutputExistsError(f"{destination}: a finished run lies there, and no plan: nothing to publish")
    return None


def _pack(plan: Plan, overwrite: bool) -> bytes:
    """A line of JSON, then the plan as a pickle."""
    # Without its folder, which `load_plan` knows, and whose class other systems lack.
    body = pickle.dumps((replace(plan, out=None), overwrite), protocol=4)  # type: ignore[arg-type]
    head = {"gpu-pack": gpu_pack.__version__, "sha256": hashlib.sha256(body).hexdigest()}
    return json.dumps(head).encode() + b"\n" + body


def _unpack(text: bytes, destination: Destination) -> tuple[Plan, bool]:
    line, _, body = text.partition(b"\n")
    try:
        head = dict(json.loads(line))
    except (ValueError, TypeError):
        head = {}
    if head.get("sha256") != hashlib.sha256(body).hexdigest():
        raise OutputError(f"{destination}: its plan is damaged: make it again with gpu-pack plan")
    if head.get("gpu-pack") != gpu_pack.__version__:
        raise OutputError(
            f"{destination}: its plan is of gpu-pack {head.get('gpu-pack')}, and this is {gpu_pack.__version__}: use "
            "the same version for plan, pack and publish"
        )
    try:
        plan, overwrite = _Unpickler(io.BytesIO(body)).load()
    except pickle.UnpicklingError as error:
        raise OutputError(f"{destination}: its plan holds {error}, which no plan does: make it again") from None
    return plan, overwrite


class _Unpickler(pickle.Unpickler):
    """Makes nothing but gpu-pack's own values: whoever can write into an output need not be trusted."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _OTHERS:
            return super().find_class(module, name)
        found = getattr(import_module(module), name, None) if module.startswith("gpu_pack.") else None
        if not isinstance(found, type):
            raise pickle.UnpicklingError(f"{module}.{name}")
        return found


def _read(destination: Destination) -> bytes | None:
    if destination.store is not None:
        folder = destination.store.folder.below(STAGING)
        return ObjectFolder(folder, destination.store.options).get(_PLAN)
    try:
        return (destination.folder / STAGING / _PLAN).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unwritable(destination.folder / STAGING / _PLAN, error) from error
