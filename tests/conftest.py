"""Fixtures that several packages' tests use."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.folders import gpu_pack_command, gpu_pack_process, photos
from tests.stores import servers

__all__ = ["gpu_pack_command", "gpu_pack_process", "photos"]

# A shell starts background commands with SIGINT ignored, and so would be the processes that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that is busy with something else is slow, which is no fault of a test.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


# ---- object stores on loopback, each started once where it is installed


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    with servers.serve_s3() as url:
        yield url


@pytest.fixture(scope="session")
def gcs_url() -> Iterator[str]:
    with servers.serve_gcs() as url:
        yield url


@pytest.fixture(scope="session")
def azure_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.serve_azure(tmp_path_factory.mktemp("azurite")) as url:
        yield url
