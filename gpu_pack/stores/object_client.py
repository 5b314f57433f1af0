"""obstore's client for a bucket: endpoint, region and credentials. obstore is imported only here and in its users."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from datetime import datetime, timedelta, timezone
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from gpu_pack.errors import SourceError
from gpu_pack.stores.address import Address, StoreOptions
from gpu_pack.stores.object_faults import judge, no_credentials

#: Of whole requests: the largest object that is read at once has 0.5 GiB. A server that sends nothing is left sooner.
_TIMEOUTS = {"connect_timeout": "5s", "timeout": "20m"}
_REGION_SECONDS = 5.0
#: Below ten minutes, at which boto3 gets new ones by itself.
_KEPT_MINUTES = 5


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


def open_client(address: Address, options: StoreOptions) -> Any:
    """obstore's store for the bucket of an address. It repeats nothing by itself.

    Raises:
        SourceError: obstore is not installed, or there are no credentials.
    """
    stores = import_obstore().store
    endpoint = options.endpoint(address.scheme)
    if address.scheme == "s3":
        kind, settings = stores.S3Store, _s3(address, options, endpoint)
    elif address.scheme == "gs":
        kind, settings = stores.GCSStore, _gcs(options, endpoint)
    elif address.scheme == "az":
        kind, settings = stores.AzureStore, _azure(options, endpoint)
        endpoint = settings.get("endpoint")
    else:
        kind, settings, endpoint = stores.HTTPStore, {}, f"{address.scheme}://{address.bucket}"
    stalled = timedelta(seconds=options.retry.stall_seconds)
    client = {**_TIMEOUTS, "read_timeout": stalled, "allow_http": (endpoint or "").startswith("http://")}
    place = endpoint if address.is_web else address.bucket
    try:
        return kind(place, **settings, client_options=client, retry_config={"max_retries": 0})
    except Exception as error:  # obstore's own tree, and ValueError
        fault = judge(error, address)
        raise SourceError(fault.reason if fault.kind == "fatal" else f"{address}: {fault.reason}") from error


# ---- S3


def _s3(address: Address, options: StoreOptions, endpoint: str | None) -> dict[str, Any]:
    settings: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if options.anonymous:
        settings["skip_signature"] = True
    elif not os.environ.get("AWS_ACCESS_KEY_ID"):  # which obstore takes, as boto3 would
        session = _boto3_session(address)
        if session is not None:
            settings["credential_provider"] = _Credentials(session, address)
            region = region or session.region_name
    settings["region"] = _bucket_region(address.bucket, endpoint) or region or "us-east-1"
    return settings


def _boto3_session(address: Address) -> Any:
    """None where boto3 is not installed."""
    try:
        from boto3.session import Session
    except ImportError:
        return None
    try:
        return Session()
    except Exception as error:
        raise _boto3_error(error, address) from error


def _boto3_error(error: Exception, address: Address) -> SourceError:
    """What botocore says of profiles and SSO; its messages hold no secrets."""
    return SourceError(f"{Address('s3', address.bucket)}: no credentials: {' '.join(str(error).split())}")


class _Credentials:
    """What obstore calls for credentials: boto3's chain (profiles, SSO, roles), which renews them.

    Raises:
        SourceError: there are none.
    """

    def __init__(self, session: Any, address: Address) -> None:
        try:
            self._credentials = session.get_credentials()
            if self._credentials is not None:
                self._credentials.get_frozen_credentials()
        except Exception as error:
            raise _boto3_error(error, address) from error
        if self._credentials is None:
            raise SourceError(no_credentials(address).reason)

    def __call__(self) -> dict[str, Any]:
        frozen = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(timezone.utc) + timedelta(minutes=_KEPT_MINUTES),
        }


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


# ---- GCS and Azure


def _gcs(options: StoreOptions, endpoint: str | None) -> dict[str, Any]:
    if endpoint and (options.anonymous or not options.endpoint_url):  # emulators know no credentials
        account = {"gcs_base_url": endpoint, "disable_oauth": True}
        unused = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        return {"config": {"service_account_key": json.dumps(account | unused)}}
    if endpoint:
        return {"config": {"base_url": endpoint}}
    return {"config": {"skip_signature": True}} if options.anonymous else {}


def _azure(options: StoreOptions, endpoint: str | None) -> dict[str, Any]:
    """Also by the variables that Azure's own tools use, of which obstore knows other ones."""
    variables = os.environ
    settings: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    if "AZURE_STORAGE_ACCOUNT" in variables:
        settings["account_name"] = variables["AZURE_STORAGE_ACCOUNT"]
    if "AZURE_STORAGE_KEY" in variables:
        settings["account_key"] = variables["AZURE_STORAGE_KEY"]
    pairs = (part.partition("=") for part in variables.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";"))
    for name, _, value in pairs:
        if name in _CONNECTION_STRING:
            settings.setdefault(_CONNECTION_STRING[name], value)
    if options.anonymous:
        settings = {name: settings[name] for name in ("endpoint", "account_name") if name in settings}
        return {**settings, "skip_signature": True}
    logged_in = Path(os.environ.get("AZURE_CONFIG_DIR", Path.home() / ".azure"), "azureProfile.json").exists()
    if not {"account_key", "sas_key"} & set(settings) and not _names_azure_credentials() and logged_in:
        settings["use_azure_cli"] = shutil.which("az") is not None
    return settings


_CONNECTION_STRING = {
    "AccountName": "account_name",
    "AccountKey": "account_key",
    "SharedAccessSignature": "sas_key",
    "BlobEndpoint": "endpoint",
}


def _names_azure_credentials() -> bool:
    ends = ("_KEY", "_CLIENT_ID", "_SAS_TOKEN", "_STORAGE_TOKEN", "_FEDERATED_TOKEN_FILE")
    return any(name.startswith("AZURE_") and name.endswith(ends) for name in os.environ)
