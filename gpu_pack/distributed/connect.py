"""The connection to a Ray cluster. Nothing of Ray is imported before it is asked for."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gpu_pack.errors import BackendError, UsageError, told

_PLAIN = re.compile(r"([^/:]+):(\d{1,5})")
#: Ray itself would try for minutes.
_CONNECT_SECONDS = 10


@contextmanager
def connect(address: str | None, verbose: bool = False) -> Iterator[Any]:
    """The module `ray`, connected; a connection that the caller's program has already is used and kept.

    Args:
        address: of the cluster, ``auto`` for one that runs on this machine; None for Ray's own choice, which starts one
            where there is none.
        verbose: Ray's log, and what tasks print, goes to standard error.

    Raises:
        UsageError: Ray is not installed.
        BackendError: no cluster answers, or it refuses.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # tasks without GPUs see none
    try:
        import ray
    except ImportError:
        raise UsageError(f"{told('engine', 'ray')}: it needs Ray: pip install 'gpu-pack[ray]'") from None
    if ray.is_initialized():
        yield ray
        return
    _start(ray, address, verbose)
    try:
        yield ray
    finally:
        ray.shutdown()


def _start(ray: Any, address: str | None, verbose: bool) -> None:
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if main else None
    level = logging.INFO if verbose else logging.CRITICAL
    try:
        if address is not None and (found := _PLAIN.fullmatch(address)):
            socket.create_connection((found[1], int(found[2])), timeout=_CONNECT_SECONDS).close()
        ray.init(address=address, log_to_driver=verbose, logging_level=level)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:  # a ConnectionError is an OSError
        first = str(error).strip().partition("\n")[0]
        raise BackendError(f"{told('address', address or 'none')}: no Ray cluster can be used there: {first}") from None
    if main:  # Ray's own would end the process at once
        signal.signal(signal.SIGTERM, handler)
