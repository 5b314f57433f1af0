"""The CPU backend keeps the contract."""

from __future__ import annotations

from cpu_fallback.worker import CpuWorker
from gpu_pack.types import TransformSpec, Worker
from tests.contract import BackendContract


class TestCpu(BackendContract):
    backend_name = "cpu"

    def make_worker(self, spec: TransformSpec) -> Worker:
        return CpuWorker(spec)
