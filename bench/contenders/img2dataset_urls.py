"""img2dataset of file:// addresses, or of a bucket's http:// ones; a process a core, enough shards for each of them."""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from img2dataset import download
from job import Job, run


def pack(job: Job) -> None:
    items = job.items()
    base = job.source.get("http", f"file://{job.root}")
    with open(f"{job.out}.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("url", "key_", "label"))
        rows.writerows((f"{base}{item.path.removeprefix(job.root)}", item.key, item.label) for item in items)
    how = {"resize_mode": "no", "skip_reencode": True} if job.pass_through else {
        "resize_mode": "center_crop", "image_size": job.size, "encode_quality": job.quality}  # fmt: skip
    download(
        url_list=f"{job.out}.csv", input_format="csv", url_col="url", save_additional_columns=["key_", "label"],
        output_folder=job.out, output_format="webdataset", processes_count=job.cores, thread_count=32,
        number_sample_per_shard=max(1, min(10_000, -(-len(items) // (4 * job.cores)))), **how,
    )  # fmt: skip


def read(job: Job) -> Iterator[tuple[int, bytes]]:
    for path in sorted(Path(job.out).glob("*.tar")):
        with tarfile.open(path) as tar:
            names = set(tar.getnames())
            for name in sorted(names):
                if name.endswith(".jpg") and f"{name[:-4]}.json" in names:
                    described, image = tar.extractfile(f"{name[:-4]}.json"), tar.extractfile(name)
                    assert described and image
                    yield int(json.load(described)["key_"]), image.read()


if __name__ == "__main__":
    run(pack, read)
