"""Two Ray nodes of one core each beside one machine with two cores, on this machine.

    python bench/cluster.py PHOTOS [--images 15000] [--rounds 4] [--json bench/results/cluster.json]

PHOTOS is a folder of JPEGs, linked again and again until there are enough. Each round packs them once without a
cluster, by two workers on two cores, and once on two nodes that are pinned to a core each; the cluster is started for
it and ended after it, so that it takes nothing from the other run. Measured is `gpu_pack.create` as a whole, with
listing, looking at the nodes and publishing. Left out, and told beside it, is what Ray takes to start: the cluster, and
the first small run, in which its processes start and import what they need.

CPU seconds are of this process and all that descend from it, by kind. `waiting` is what the run on the cluster took
besides packing: the list, the nodes, the publication.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "NO_PROXY": "127.0.0.1"}

import gpu_pack

_NODE = {"num_gpus": 0, "node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20}
_SHARDS = 8
_WARM = 200
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=15_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        link(options.photos, work / "few", _WARM)
        link(options.photos, work / "many", options.images)
        pack(work, "few")
        rounds = [measure(work, cores, number) for number in range(options.rounds)]
    results = {
        "images": options.images,
        "shards": _SHARDS,
        "cores": len(cores),
        "load": os.getloadavg()[1],
        "one_machine_images_per_second": middle(rounds, lambda each: options.images / each["one"]["seconds"]),
        "two_nodes_images_per_second": middle(rounds, lambda each: options.images / each["two"]["seconds"]),
        "ratio": middle(rounds, lambda each: each["one"]["seconds"] / each["two"]["seconds"]),
        "cpu_ratio": middle(rounds, lambda each: each["one"]["cpu_seconds"] / each["two"]["cpu_seconds"]),
        "ray_start_seconds": middle(rounds, lambda each: each["start"]),
        "first_run_seconds": middle(rounds, lambda each: each["first"]),
        "rounds": rounds,
    }
    print(json.dumps({name: value for name, value in results.items() if name != "rounds"}, indent=1))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def link(photos: Path, folder: Path, count: int) -> None:
    found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for number, path in zip(range(count), cycle(found), strict=False):
        one = folder / f"c{number % 10}" / f"{number:06d}.jpg"
        one.parent.mkdir(parents=True, exist_ok=True)
        one.symlink_to(path.resolve())


def measure(work: Path, cores: list[int], number: int) -> dict[str, Any]:
    """One round."""
    one = timed(lambda: pack(work, "many"))
    began = time.monotonic()
    with cluster(cores) as address:
        start = time.monotonic() - began
        began = time.monotonic()
        pack(work, "few", address)
        first = time.monotonic() - began
        two = timed(lambda: pack(work, "many", address))
    del one["waiting"]
    found = {"one": one, "two": two, "start": round(start, 2), "first": round(first, 2)}
    print(f"round {number}: {one['seconds']} s, {two['seconds']} s on the cluster; CPU {two['cpu']}", file=sys.stderr)
    return found


def pack(work: Path, source: str, address: str | None = None) -> float:
    """Pack a folder, on a cluster if there is an address; gives the seconds in which no shard was packed there."""
    where: dict[str, Any] = {"workers": 2} if address is None else {"engine": "ray", "address": address}
    options: dict[str, Any] = {"size": 224, "device": "cpu", "shards": _SHARDS, "overwrite": True}
    report = gpu_pack.create(work / source, work / "out", **where, **options)
    assert report.packed == report.listed
    return report.seconds - sum(machine["seconds"] for machine in report.machines.values())


def timed(run: Callable[[], float]) -> dict[str, Any]:
    with Watch() as watch:
        began = time.monotonic()
        waiting = run()
        seconds = time.monotonic() - began
    return {
        "seconds": round(seconds, 3),
        "waiting": round(waiting, 3),
        "cpu_seconds": round(sum(watch.used.values()), 2),
        "cpu": {name: round(value, 2) for name, value in watch.used.most_common() if value},
    }


@contextmanager
def cluster(cores: list[int]) -> Iterator[str]:
    """The address of a cluster; what starts a node is pinned to its core, and all that the node starts too."""
    import ray
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={**_NODE, "num_cpus": 0, "include_dashboard": False})
    try:
        for core in cores:
            os.sched_setaffinity(0, [core])
            found.add_node(**_NODE, num_cpus=1)
        os.sched_setaffinity(0, cores)
        ray.init(address=found.address, log_to_driver=False, logging_level="CRITICAL")
        yield found.address
    finally:
        os.sched_setaffinity(0, cores)
        ray.shutdown()
        found.shutdown()


# ---- CPU seconds


class Watch:
    """CPU seconds by kind, of processes that end meanwhile too: they are looked at twice a second.

    Attributes:
        used: complete at the end.
    """

    def __init__(self) -> None:
        self.used: Counter[str] = Counter()
        self._before = cpu_seconds()
        self._last: dict[int, tuple[str, float]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._last |= cpu_seconds()
        for process, (name, seconds) in self._last.items():
            self.used[name] += seconds - self._before.get(process, ("", 0.0))[1]

    def _look(self) -> None:
        while not self._end.wait(0.5):
            self._last |= cpu_seconds()


def cpu_seconds() -> dict[int, tuple[str, float]]:
    """Kind and CPU seconds so far of this process and all that descend from it, by process."""
    parents: dict[int, int] = {}
    used: dict[int, tuple[str, float]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        parents[int(path.name)] = int(fields[1])
        used[int(path.name)] = kind(words), (int(fields[11]) + int(fields[12])) / _TICKS
    found = {}
    for process, each in used.items():
        ancestor = process
        while ancestor and ancestor != os.getpid():
            ancestor = parents.get(ancestor, 0)
        if ancestor:
            found[process] = ("driver", each[1]) if process == os.getpid() else each
    return found


def kind(words: list[bytes]) -> str:
    if words[0].startswith(b"ray::"):
        return words[0].decode(errors="replace").partition("(")[0]
    name = os.path.basename(words[0].decode(errors="replace"))
    return next((os.path.basename(word.decode()) for word in words[1:] if word.endswith(b".py")), name)


def middle(rounds: list[dict[str, Any]], value: Callable[[dict[str, Any]], float]) -> float:
    return round(statistics.median(map(value, rounds)), 3)


if __name__ == "__main__":
    main()
