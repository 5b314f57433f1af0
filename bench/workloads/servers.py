"""A bucket on this machine: nginx, or the small server of ``store_server.py`` where nginx is not installed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench import stores


@contextlib.contextmanager
def bucket(folder: Path) -> Iterator[Mapping[str, str]]:
    """Addresses of the pictures in ``folder/root/bucket/photos``."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    served = stores.nginx(folder) if nginx else stores.server(folder / "root/bucket/photos")
    with served as endpoint:
        yield {"bucket": "s3://bucket/photos", "endpoint": endpoint, "http": f"{endpoint}/bucket/photos"}
