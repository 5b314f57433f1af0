"""Fixtures that several packages' tests use."""

from __future__ import annotations

from tests.folders import gpu_pack_command, gpu_pack_process, photos

__all__ = ["gpu_pack_command", "gpu_pack_process", "photos"]
