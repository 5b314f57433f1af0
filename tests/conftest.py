"""Fixtures that several packages' tests use."""

from __future__ import annotations

import signal

from tests.folders import gpu_pack_command, gpu_pack_process, photos

__all__ = ["gpu_pack_command", "gpu_pack_process", "photos"]

# A shell starts background commands with SIGINT ignored, and so would be the processes that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
