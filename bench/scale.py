"""A run of up to a hundred million images in which nothing is packed: what the driver of a cluster takes.

    python bench/scale.py [--images 1000000,10000000,100000000] [--nodes 1,10,100,1000] [--folder DIR] [--json FILE]

A bucket is made up, key by key in order: 10,000 classes in folders of 5,000 keys at most; sizes are log-normal, as
those of 240 photographs are (mean of the logarithm 11.31, deviation 0.87, in bytes), and etags random. It goes through
the code of ``create --engine ray`` and of ``plan``: listing, division (train=0.9, val=0.1), the digest that identifies
the run, the file that `plan` keeps and `publish` reads, the counts of the manifest; and through the loop that hands out
shards, `gpu_pack.distributed.pack.Packing`. There, Ray packs nothing: a task takes a node of 8 cores for as long as its
images take at the speed that bench/results/bench.json tells of a core, on a clock that the driver's own processor time
moves too. What Ray itself takes of the driver is measured beside it, with a Ray on this machine, and added.

Each number of images has a process of its own. Memory is looked at ten times a second: what is anonymous, and what is
pages of files, which the system drops where it needs room. DIR needs 400 bytes an image.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from pretended_ray import CORES, PretendedRay, core_speed, ray_costs

from gpu_pack.distributed.nodes import Look
from gpu_pack.distributed.pack import Packing
from gpu_pack.output.destination import find_destination
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline import create, plan_file, stored_plan
from gpu_pack.pipeline.create_policy import CreatePolicy
from gpu_pack.pipeline.options import create_options
from gpu_pack.pipeline.plan import Plan
from gpu_pack.pipeline.report import account
from gpu_pack.pipeline.run import resume_or_begin
from gpu_pack.sources.list_source import open_folder
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.make_listing import make_listing
from gpu_pack.sources.open_source import SourceFiles
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool
from gpu_pack.stores.address import StoreOptions, parse_address
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.stores.store import Stat

CLASSES, FOLDER = 10_000, 5_000
LOG_MEAN, LOG_DEVIATION = 11.31, 0.87
#: Keys whose sizes are drawn at once.
_DRAWN = 1 << 16


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", default="1000000,10000000,100000000")
    parser.add_argument("--nodes", default="1,10,100,1000")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    nodes = [*map(int, options.nodes.split(","))]
    if options.one is not None:
        print(json.dumps(simulate(options.one, nodes, options.folder, json.loads(sys.stdin.read()))))
        return
    costs = ray_costs()
    facts: dict[str, Any] = {"cores": os.cpu_count(), "ray": costs, "core_images_per_second": core_speed()}
    facts["results"] = []
    for images in map(int, options.images.split(",")):
        command = [sys.executable, __file__, "--one", str(images), "--nodes", options.nodes]
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            environment = {**os.environ, "TMPDIR": folder}
            done = subprocess.run(
                [*command, "--folder", folder],
                env=environment,
                input=json.dumps(costs),
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        facts["results"].append(json.loads(done.stdout))
        print(json.dumps(facts["results"][-1]), flush=True)
        if options.json:
            options.json.write_text(json.dumps(facts, indent=1) + "\n")


def simulate(images: int, nodes: Sequence[int], folder: Path, costs: dict[str, float]) -> dict[str, Any]:
    """All steps of a run."""
    watch = Watch()
    with watch.step("make up"):
        for _ in keys(min(images, 1_000_000)):
            pass
    plan = make_plan(images, str(folder / "out"), watch)
    with plan.open_staging() as staging:
        with watch.step("begin"):
            resume_or_begin(plan, CreatePolicy(), staging)
        with watch.step("keep the plan"):
            staging.keep_file(plan_file.NAME, plan_file.pack_plan(plan, overwrite=False))
        stored = (staging.folder / plan_file.NAME).stat().st_size
        runs = [hand_out(plan, staging, each, watch, costs) for each in nodes]
        packed = runs[-1].pop("packed")
        for run in runs:
            run.pop("packed", None)
        with watch.step("account"):
            account(plan, packed, [])
    shards, text_bytes = len(plan.shards), plan.listing.paths.nbytes
    del plan
    destination = find_destination(str(folder / "out"), create_options().store)
    with watch.step("read three shards"):
        plan_file.load_plan(destination).part([0, shards // 2, shards - 1])
    with watch.step("read the plan"):
        plan_file.load_plan(destination).whole()
    packing = images / shards / core_speed() / CORES
    seconds = {name: round(value, 3) for name, value in watch.seconds.items()}
    seconds["make up"] = round(seconds["make up"] * images / min(images, 1_000_000), 3)
    return {
        "images": images,
        "bytes_a_key": round(text_bytes / images - 1, 1),
        "shards": shards,
        "plan_bytes": stored,
        "cpu_seconds": seconds,
        "peak_mib": watch.peaks(),
        "packing_seconds_a_shard": round(packing, 3),
        "nodes_at_most": round(1e3 * packing / runs[-1]["driver_ms_a_shard"]),
        "runs": runs,
    }


# ---- the bucket


class MadeUpBucket(ObjectStore):
    """Lists keys that no one ever wrote."""

    def walk(self, folder: str = "") -> Iterator[tuple[str, Stat]]:
        return keys(int(self.folder.key))


def keys(images: int) -> Iterator[tuple[str, Stat]]:
    """Keys with sizes and versions, in order."""
    random = np.random.RandomState(0)
    classes = min(CLASSES, max(1, images // 100))
    names = (
        f"n{number:08d}/part-{place // FOLDER:05d}/photo-{place:012d}.jpg"
        for number in range(classes)
        for place in range(images * number // classes, images * (number + 1) // classes)
    )
    while some := [*islice(names, _DRAWN)]:
        sizes = random.lognormal(LOG_MEAN, LOG_DEVIATION, len(some)).astype(np.int64).tolist()
        versions = random.randint(1, (1 << 63) - 1, len(some), np.int64).tolist()
        yield from zip(some, map(Stat, sizes, versions), strict=True)


def make_plan(images: int, out: str, watch: Watch) -> Plan:
    """The plan, by the code of `create`, with a watch on its steps."""
    store = MadeUpBucket(parse_address(f"s3://made-up/{images}"), StoreOptions(anonymous=True))

    def listed(*_: Any) -> Listing:
        opened = open_folder(SourceFiles(store.root, store, [""]), SourceOptions(), None, Spool(None))
        return make_listing(opened.images, opened.facts, ObjectStore(store.folder))

    with ExitStack() as patches:
        for name, call in (("list_source", listed), ("divide", create.divide), ("lists_digest", create.lists_digest)):
            step = {"list_source": "list", "lists_digest": "digest"}.get(name, name)
            patches.enter_context(patch.object(create, name, watch.over(step, call)))
        options = create_options(splits={"train": 0.9, "val": 0.1}, device="cpu", engine="ray")
        return stored_plan.plan_apart([store.root], out, options, Spool(None))


# ---- the cluster


def hand_out(plan: Plan, staging: Staging, nodes: int, watch: Watch, costs: dict[str, float]) -> dict[str, Any]:
    """Pack all shards on so many nodes that pack nothing."""
    for path in [*staging.folder.glob("*.done"), *staging.folder.glob("*.call")]:
        path.unlink()
    ray = PretendedRay(nodes, staging, costs)
    with watch.step(f"hand out to {nodes}"):
        packed = Packing(ray, plan, staging, lambda _: None, Look(plan.part([0]), None)).run()
        ray.leave()
    images = sum(shard.records for shard in packed.shards)
    ideal = images / (nodes * CORES * core_speed())
    return {
        "nodes": nodes,
        "seconds": round(ray.now, 1),
        "images_per_second": round(images / ray.now),
        "of_ideal": round(ideal / ray.now, 3),
        "driver_busy": round(ray.busy / ray.now, 3),
        "driver_ms_a_shard": round(1e3 * ray.busy / len(plan.shards), 2),
        "of_which_ray_ms": round(1e3 * ray.of_ray / len(plan.shards), 2),
        "packed": packed,
    }


# ---- time and memory


class Watch:
    """Processor time and peaks of memory by step.

    Attributes:
        seconds: by step.
    """

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._peaks: dict[str, Counter[str]] = {}
        self._step = "start"
        threading.Thread(target=self._look, daemon=True).start()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Watch a step; one inside of another counts for both."""
        before, outer = time.process_time(), self._step
        self._step = name
        try:
            yield
        finally:
            self.seconds[name] += time.process_time() - before
            self._step = outer
            print(f"{name}: {self.seconds[name]:.1f} s", file=sys.stderr, flush=True)

    def over(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """A call as a step."""

        def watched(*arguments: Any, **keywords: Any) -> Any:
            with self.step(name):
                return call(*arguments, **keywords)

        return watched

    def peaks(self) -> dict[str, Any]:
        """MiB over all, and of each step."""
        by_step = {step: {kind: value >> 10 for kind, value in found.items()} for step, found in self._peaks.items()}
        overall = {kind: max(found[kind] for found in by_step.values()) for kind in ("all", "anonymous", "files")}
        return {**overall, "by_step": by_step}

    def _look(self) -> None:
        while True:
            found = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            kib = {name: int(found[name].split()[0]) for name in ("VmRSS", "RssAnon", "RssFile", "RssShmem")}
            peaks = self._peaks.setdefault(self._step, Counter())
            files = kib["RssFile"] + kib["RssShmem"]
            for kind, value in (("all", kib["VmRSS"]), ("anonymous", kib["RssAnon"]), ("files", files)):
                peaks[kind] = max(peaks[kind], value)
            time.sleep(0.1)


if __name__ == "__main__":
    main()
