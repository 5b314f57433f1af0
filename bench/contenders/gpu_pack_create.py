"""gpu-pack, from the list or from ``source``.

``options``: ``command`` (create or im2rec), ``flags``, ``source`` (which of the workload's sources) and ``processes``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from job import Job, run
from records import im2rec_arguments, read_with


def pack(job: Job) -> None:
    import gpu_pack.backends
    from gpu_pack.cli import main

    if job.options.get("processes"):  # as it does by itself where more workers are wanted than one interpreter feeds
        assert hasattr(gpu_pack.backends, "_MAX_THREADS")
        gpu_pack.backends._MAX_THREADS = 0
    sys.argv = ["gpu-pack", *arguments(job)]
    main.main()


def arguments(job: Job) -> list[str]:
    flags = [str(flag) for flag in job.options.get("flags", ())]
    if job.options.get("command") == "im2rec":
        return ["im2rec", *flags, *im2rec_arguments(job)]
    what = ["--pass-through"] if job.pass_through else ["--size", str(job.size), "--quality", str(job.quality)]
    device = [] if "--device" in flags else ["--device", "cpu", "--workers", str(job.cores)]
    source = job.options.get("source")
    if source == "bucket":
        where = [job.listed, "--root", job.source["bucket"], "--endpoint-url", job.source["endpoint"]]
    else:
        where = [job.source[source]] if source else [job.listed, "--root", job.root]
    return ["create", *where, job.out, "--quiet", *device, *what, *flags]


def read(job: Job) -> Iterator[tuple[int, bytes]]:
    from gpu_pack import recordio

    return read_with(recordio, job)


if __name__ == "__main__":
    run(pack, read)
