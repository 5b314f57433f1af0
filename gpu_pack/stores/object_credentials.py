"""Where a cloud's client finds credentials, and whether it will find any: obstore alone would wait half a minute."""

from __future__ import annotations

import os
import shutil
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from gpu_pack.errors import SourceError
from gpu_pack.stores.address import Address
from gpu_pack.stores.object_faults import no_credentials

#: Below ten minutes, at which boto3 gets new ones by itself.
_KEPT_MINUTES = 5
#: The metadata service of a machine in a cloud answers within milliseconds; elsewhere nobody does.
_METADATA_SECONDS = 2.0
_METADATA = "http://169.254.169.254"
_S3_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
             "AWS_CONTAINER_CREDENTIALS_FULL_URI")  # fmt: skip
_GCS_NAMES = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_SERVICE_ACCOUNT_KEY",
              "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_BEARER_TOKEN")  # fmt: skip
_AZURE_ENDS = ("_KEY", "_CLIENT_ID", "_SAS_TOKEN", "_STORAGE_TOKEN", "_FEDERATED_TOKEN_FILE", "_MSI_ENDPOINT")
_CONNECTION_STRING = {
    "AccountName": "account_name",
    "AccountKey": "account_key",
    "SharedAccessSignature": "sas_key",
    "BlobEndpoint": "endpoint",
}


def s3_credentials(address: Address) -> tuple[dict[str, Any], str | None]:
    """Settings for obstore, and the region of the user's profile, if any.

    boto3's chain where it is installed: environment, profiles, SSO, roles.

    Raises:
        SourceError: there are none.
    """
    if os.environ.get("AWS_ACCESS_KEY_ID"):  # which both take first
        return {}, None
    try:
        from boto3.session import Session
    except ImportError:
        endpoint = os.environ.get("AWS_METADATA_ENDPOINT", _METADATA)
        _refuse_none(address, _S3_NAMES, f"{endpoint}/latest/api/token", "AWS_EC2_METADATA_DISABLED")
        return {}, None
    try:
        session = Session()
        return {"credential_provider": _Credentials(session, address)}, session.region_name
    except SourceError:
        raise
    except Exception as error:  # botocore's; they hold no secrets
        told = " ".join(str(error).split())
        raise SourceError(f"{Address('s3', address.bucket)}: no credentials: {told}") from error


class _Credentials:
    """What obstore calls for credentials that boto3 found and renews."""

    def __init__(self, session: Any, address: Address) -> None:
        self._credentials = session.get_credentials()
        if self._credentials is None:
            raise SourceError(no_credentials(address).reason)
        self._credentials.get_frozen_credentials()

    def __call__(self) -> dict[str, Any]:
        frozen = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(timezone.utc) + timedelta(minutes=_KEPT_MINUTES),
        }


def refuse_no_gcs_credentials(address: Address) -> None:
    """Raise `SourceError` where obstore would find none."""
    home = Path(os.environ["APPDATA"]) if "APPDATA" in os.environ else Path.home() / ".config"
    if not (home / "gcloud/application_default_credentials.json").exists():
        _refuse_none(address, _GCS_NAMES, f"{_METADATA}/computeMetadata/v1/")


def azure_settings(address: Address, anonymous: bool) -> dict[str, Any]:
    """Account, credentials and endpoint by the variables of Azure's own tools too, of which obstore knows other ones.

    Raises:
        SourceError: there are no credentials.
    """
    variables = os.environ
    settings: dict[str, Any] = {}
    if "AZURE_STORAGE_ACCOUNT" in variables:
        settings["account_name"] = variables["AZURE_STORAGE_ACCOUNT"]
    if "AZURE_STORAGE_KEY" in variables:
        settings["account_key"] = variables["AZURE_STORAGE_KEY"]
    for part in variables.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";"):
        name, _, value = part.partition("=")
        if name in _CONNECTION_STRING:
            settings.setdefault(_CONNECTION_STRING[name], value)
    if anonymous:
        return {name: settings[name] for name in settings if name in ("endpoint", "account_name")} | {
            "skip_signature": True
        }
    if not {"account_key", "sas_key"} & set(settings) and not _named(variables):
        if _logged_in():
            settings["use_azure_cli"] = True
        elif "account_name" in settings or "AZURE_STORAGE_ACCOUNT_NAME" in variables:
            _refuse_none(address, (), f"{_METADATA}/metadata/versions")
    return settings


def _named(variables: Mapping[str, str]) -> bool:
    return any(name.startswith("AZURE_") and name.endswith(_AZURE_ENDS) for name in variables)


def _logged_in() -> bool:
    """Whether `az login` was run."""
    profile = Path(os.environ.get("AZURE_CONFIG_DIR", Path.home() / ".azure"), "azureProfile.json")
    return profile.exists() and shutil.which("az") is not None


def _refuse_none(address: Address, names: tuple[str, ...], metadata: str, disabled: str = "") -> None:
    """Raise `SourceError` where no variable of these is set, and no metadata service answers."""
    if any(os.environ.get(name) for name in names):
        return
    if os.environ.get(disabled, "").lower() != "true" and _answers(metadata):
        return
    raise SourceError(no_credentials(address).reason)


def _answers(url: str) -> bool:
    """Whether any answer comes, of whatever kind."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with suppress(HTTPError), opener.open(url, timeout=_METADATA_SECONDS):
            pass
    except (OSError, HTTPException, ValueError):
        return False
    return True
