"""obstore's client for a bucket: endpoint, region and time limits. obstore is imported only here and in its users."""

from __future__ import annotations

import json
import os
import urllib.request
from datetime import timedelta
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError

from gpu_pack.errors import SourceError
from gpu_pack.stores.address import Address, StoreOptions
from gpu_pack.stores.object_credentials import azure_settings, refuse_no_gcs_credentials, s3_credentials
from gpu_pack.stores.object_faults import judge

#: Of whole requests: the largest object that is read at once has 0.5 GiB. A server that sends nothing is left sooner.
_TIMEOUTS = {"connect_timeout": "5s", "timeout": "20m"}
_REGION_SECONDS = 5.0


def import_obstore() -> Any:
    """The module.

    Raises:
        SourceError: it is not installed.
    """
    try:
        import obstore
        import obstore.store
    except ImportError as error:
        raise SourceError(
            "s3://, gs://, az:// and https:// addresses need obstore: pip install 'gpu-pack[cloud]'"
        ) from error
    return obstore


def open_client(address: Address, options: StoreOptions, retries: int = 0) -> Any:
    """obstore's store for the bucket of an address.

    Args:
        retries: how often it repeats a request by itself.

    Raises:
        SourceError: obstore is not installed, or there are no credentials.
    """
    stores = import_obstore().store
    endpoint = options.endpoint(address.scheme)
    if address.scheme == "s3":
        kind, settings = stores.S3Store, _s3(address, options, endpoint)
    elif address.scheme == "gs":
        kind, settings = stores.GCSStore, _gcs(address, options, endpoint)
    elif address.scheme == "az":
        kind, settings = stores.AzureStore, azure_settings(address, options.anonymous)
        endpoint = endpoint or settings.get("endpoint")
        settings |= {"endpoint": endpoint} if endpoint else {}
    else:
        kind, settings, endpoint = stores.HTTPStore, {}, f"{address.scheme}://{address.bucket}"
    stalled = timedelta(seconds=options.retry.stall_seconds)
    client = {**_TIMEOUTS, "read_timeout": stalled, "allow_http": (endpoint or "").startswith("http://")}
    place = endpoint if address.is_web else address.bucket
    try:
        return kind(place, **settings, client_options=client, retry_config={"max_retries": retries})
    except Exception as error:  # obstore's own tree, and ValueError
        fault = judge(error, address)
        raise SourceError(fault.reason if fault.kind == "fatal" else f"{address}: {fault.reason}") from error


def _s3(address: Address, options: StoreOptions, endpoint: str | None) -> dict[str, Any]:
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    settings: dict[str, Any] = {"skip_signature": True}
    of_profile = None
    if not options.anonymous:
        settings, of_profile = s3_credentials(address)
    settings["region"] = _bucket_region(address.bucket, endpoint) or region or of_profile or "us-east-1"
    return settings | ({"endpoint": endpoint} if endpoint else {})


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _bucket_region(bucket: str, endpoint: str | None) -> str | None:
    """The region that the server names; S3 does it also where it refuses the request. None if it does not."""
    request = urllib.request.Request(f"{endpoint or 'https://s3.amazonaws.com'}/{bucket}", method="HEAD")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=_REGION_SECONDS) as answer:
            headers = answer.headers
    except HTTPError as error:
        headers = error.headers
        error.close()
    except (URLError, OSError, HTTPException, ValueError):
        return None  # the first request will say what is wrong
    region: str | None = headers.get("x-amz-bucket-region")
    return region


def _gcs(address: Address, options: StoreOptions, endpoint: str | None) -> dict[str, Any]:
    if endpoint and (options.anonymous or not options.endpoint_url):  # emulators know no credentials
        account = {"gcs_base_url": endpoint, "disable_oauth": True}
        unused = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        return {"config": {"service_account_key": json.dumps(account | unused)}}
    if options.anonymous:
        return {"config": {"skip_signature": True}}
    refuse_no_gcs_credentials(address)
    return {"config": {"base_url": endpoint}} if endpoint else {}
