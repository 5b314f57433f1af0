"""A lock in an object store: two runs apart, and a dead run's lock taken over."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from gpu_pack.errors import OutputLockedError
from gpu_pack.stores.address import Address
from gpu_pack.stores.lease import Lease, LeaseSettings
from gpu_pack.stores.object_folder import Found, ObjectFolder, Version
from tests.stores import servers
from tests.stores.buckets import Bucket, open_bucket

pytest.importorskip("obstore")
#: Never renewed by itself, so that the tests decide.
STILL = LeaseSettings(seconds=0.5, renew_seconds=1000)
PLACE = "s3://bucket/out"
_ORIGINS = map(str, itertools.count())


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    servers.use_s3(monkeypatch, s3_url)
    with open_bucket(s3_url) as found:
        yield found


@pytest.fixture
def folder(bucket: Bucket) -> ObjectFolder:
    return ObjectFolder(Address("s3", bucket.name, "out/.gpu-pack"), bucket.options)


def test_the_second_is_refused_at_once_while_the_first_renews(folder: ObjectFolder) -> None:
    lease = Lease(folder, PLACE, LeaseSettings(seconds=0.5, renew_seconds=0.1), next(_ORIGINS))
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(OutputLockedError, match=r"another gpu-pack run \(process \d+ on .+\) is writing there"):
            Lease(folder, PLACE, STILL, next(_ORIGINS))
        assert time.monotonic() - began < 1
        time.sleep(1)
    lease.check()
    lease.release()
    assert folder.list() == {}
    Lease(folder, PLACE, STILL, next(_ORIGINS)).release()


def test_a_dead_runs_lock_runs_out(folder: ObjectFolder) -> None:
    Lease(folder, PLACE, STILL, next(_ORIGINS))
    with pytest.raises(OutputLockedError, match=r"or died within the last 0\.5 s"):
        Lease(folder, PLACE, STILL, next(_ORIGINS))
    time.sleep(2.1)
    Lease(folder, PLACE, STILL, next(_ORIGINS)).release()
    assert folder.list() == {}


def test_a_run_that_is_known_to_be_dead_is_not_waited_for(folder: ObjectFolder) -> None:
    Lease(folder, PLACE, LeaseSettings(), "folder 1")
    with pytest.raises(OutputLockedError):
        Lease(folder, PLACE, LeaseSettings(), "folder 2")
    Lease(folder, PLACE, LeaseSettings(), "folder 1").release()
    assert folder.list() == {}


def test_a_run_that_was_taken_over_from_stops_and_leaves_the_lock_alone(folder: ObjectFolder) -> None:
    now = 0.0
    asleep = Lease(folder, PLACE, STILL, next(_ORIGINS), clock=lambda: now)
    time.sleep(2.1)
    other = Lease(folder, PLACE, LeaseSettings(), next(_ORIGINS))
    now = 3.0
    with pytest.raises(
        OutputLockedError, match=r"another run took over, since this one had not renewed its lock for 0\.5 s"
    ):
        asleep.check()
    asleep.release()
    assert folder.list().keys() == {"lock"}
    other.check()
    other.release()


def test_a_lock_that_ran_out_unnoticed_is_renewed(folder: ObjectFolder) -> None:
    now = 0.0
    lease = Lease(folder, PLACE, STILL, next(_ORIGINS), clock=lambda: now)
    now = 60.0
    lease.check()
    lease.release()
    assert folder.list() == {}


class Careless(ObjectFolder):
    """Of a server that ignores conditions, as old ones do."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    def put_if(self, name: str, data: bytes, version: Version | None) -> Any:
        self.data[name] = data
        return {"e_tag": "1"}

    def look(self, name: str) -> Found | None:
        found = self.data.get(name)
        return None if found is None else Found(found, {"e_tag": "1"}, datetime.now(timezone.utc))

    def delete(self, names: Any) -> None:
        for name in names:
            self.data.pop(name, None)


class Refusing(Careless):
    """Of a server that answers 501 to conditions."""

    def put_if(self, name: str, data: bytes, version: Version | None) -> Any:
        return "unsupported"


@pytest.mark.parametrize("kind", [Careless, Refusing])
def test_stores_without_conditions_get_no_lock_and_a_warning(
    kind: type[Careless], caplog: pytest.LogCaptureFixture
) -> None:
    folder = kind()
    with caplog.at_level(logging.WARNING, "gpu_pack"):
        lease = Lease(folder, PLACE, STILL, next(_ORIGINS))
    assert caplog.messages == [f"{PLACE}: the store knows no conditional put: nothing keeps two runs apart there"]
    lease.check()
    lease.release()
    assert folder.data == {}
