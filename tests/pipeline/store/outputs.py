"""Runs whose output lies in a bucket."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack.backends import choose
from gpu_pack.pipeline import run as pipeline
from gpu_pack.pipeline.create_policy import CreatePolicy
from gpu_pack.stores.address import Retry, StoreOptions
from gpu_pack.types import Progress
from tests.pipeline.runs import Killed, pack, plan_of
from tests.stores.buckets import Bucket

SHARDS = 4
OPTIONS = gpu_pack.CreateOptions(
    gpu_pack.TransformSpec(size=24),
    gpu_pack.Division(shards=SHARDS),
    gpu_pack.DeviceOptions("cpu", workers=1, batch_size=2),
)


class Output:
    """An output in a bucket, and staging folders to pack from.

    Attributes:
        address: of the output.
    """

    def __init__(self, bucket: Bucket, folder: Path) -> None:
        self.bucket, self._folder = bucket, folder
        self.address = f"s3://{bucket.name}/out"

    def options(self, machine: str = "here", url: str | None = None, **changes: Any) -> gpu_pack.CreateOptions:
        """Of a run on a machine of that name; all requests go to ``url``, if given."""
        store = StoreOptions(url, retry=Retry(tries=2, first_seconds=0.01)) if url else self.bucket.options
        return dataclasses.replace(OPTIONS, store=store, staging=self._folder / machine, **changes)

    def objects(self) -> dict[str, bytes]:
        """All objects; of the manifest what does not depend on the day."""
        found = self.bucket.objects()
        if "manifest.json" in found:
            manifest = json.loads(found["manifest.json"])
            del manifest["run"]
            found["manifest.json"] = json.dumps(manifest).encode()
        return found

    def done(self) -> list[str]:
        """The notes of shards that are up."""
        return [name for name in self.bucket.names() if name.endswith(".done")]

    def left(self, machine: str = "here") -> list[str]:
        """Names of the files in a machine's staging folder."""
        return [path.name for path in (self._folder / machine).rglob("*") if path.is_file()]


def run(out: Output, source: Path, options: gpu_pack.CreateOptions) -> gpu_pack.Report:
    return pack(plan_of(source, out.address, options), options.overwrite)


def interrupt(out: Output, source: Path, shards: int, machine: str = "here", **changes: Any) -> None:
    """Die in the shard after the next one, once so many are up."""
    options = out.options(machine, **changes)
    plan = plan_of(source, out.address, options)

    def die(state: Progress) -> None:
        if state.done < 10 * (shards + 1):
            return
        deadline = time.monotonic() + 20
        while len(out.done()) < shards and time.monotonic() < deadline:
            time.sleep(0.02)
        raise Killed

    with pytest.raises(Killed):
        pipeline.run(plan, CreatePolicy(options.overwrite), choose(plan.spec, plan.device), die)
