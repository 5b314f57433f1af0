"""Object stores on loopback, each started once where it is installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stores import servers


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
