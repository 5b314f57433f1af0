"""What an object store answered, in words: obstore's errors hold pages of text, signed URLs among it."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from gpu_pack.stores.address import Address

Kind = Literal["missing", "name", "changed", "range", "denied", "refused", "transient", "fatal"]

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,80})</Code>")
_REGION = re.compile(r"<Region>([a-z0-9-]{1,40})</Region>")
_METADATA = re.compile(
    r"169\.254\.169\.254|metadata\.google\.internal|/latest/api/token|/computeMetadata/|metadata/identity|"
    r"token request|MissingCredential"
)
_TRANSPORT = re.compile(r"HTTP error|HttpError|reqwest|hyper|decoding response|ConnectionReset|BrokenPipe|TimedOut")
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "ResourceNotFound"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
_INVALID = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "InvalidSecurity",
    "InvalidClientTokenId",
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    "NoAuthenticationInformation",
}
_REGIONS = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"}
_DENIED = {403: "access is denied", 401: "it wants credentials"}
_BUSY = {408, 429}
_WHERE = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY",
}


class Fault(NamedTuple):
    """Why a request failed.

    Attributes:
        kind: ``missing``, ``name``, ``changed`` (a precondition), ``range`` (nothing lies there), ``denied``,
            ``refused``: about one object; ``transient``: may go well the next time; ``fatal``: about all of the store.
        reason: half a sentence, without the address; a whole one for ``fatal``.
    """

    kind: Kind
    reason: str


class ObjectError(Exception):
    """A request that failed for good; internal: stores turn it into a `Rejected` or a `SourceError`."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


def judge(error: BaseException, address: Address) -> Fault:
    """What an error of obstore means.

    Args:
        address: that was asked for.
    """
    text = str(error)
    found, status_found = _CODE.search(text), _STATUS.search(text)
    code, status = found[1] if found else "", int(status_found[1]) if status_found else 0
    if fault := _of_all(text, code, status, address):
        return fault
    kind = type(error).__name__
    if isinstance(error, FileNotFoundError) or status == 404:
        return Fault("missing", "no such file")
    if isinstance(error, ValueError) or kind == "InvalidPathError":
        return Fault("name", f"not a usable file name: {text.splitlines()[0]}")
    if kind == "PreconditionError" or status == 412:
        return Fault("changed", "it changed while it was read")
    if status == 416:
        return Fault("range", "it ends before")
    if kind in ("NotSupportedError", "NotImplementedError"):
        return Fault("refused", "the server sends whole files only: download it")
    told = " ".join(str(part) for part in (status or "", code) if part)
    if status in _DENIED and code in ("", "AccessDenied", "AuthorizationFailure", "AuthorizationPermissionMismatch"):
        return Fault("denied", f"{_DENIED[status]} ({told})")
    if 400 <= status < 500 and status not in _BUSY and code != "RequestTimeout":
        return Fault("refused", f"the store answers {told}")
    if status:
        return Fault("transient", f"the store answers {told}")
    if _TRANSPORT.search(text):
        return Fault("transient", _lost(text))
    return Fault("refused", "the store's answer is not understood")


def no_credentials(address: Address) -> Fault:
    """The fault of a store for which this machine has no credentials."""
    place = Address(address.scheme, address.bucket)
    return Fault(
        "fatal",
        f"{place}: no credentials were found: {_WHERE[address.scheme]}; public buckets are read without any by "
        "anonymous=True (--anonymous)",
    )


def _of_all(text: str, code: str, status: int, address: Address) -> Fault | None:
    """A fault of the bucket or of the credentials."""
    place = Address(address.scheme, address.bucket)
    if code in _NO_BUCKET:
        return Fault("fatal", f"{place}: there is no such {'container' if address.scheme == 'az' else 'bucket'}")
    if code in _EXPIRED:
        return Fault("fatal", f"{place}: the credentials have expired ({code}): get new ones, then run again to resume")
    if code in _INVALID or (status == 401 and not address.is_web):
        return Fault("fatal", f"{place}: the credentials are not valid ({code or status})")
    if code == "RequestTimeTooSkewed":
        return Fault("fatal", f"{place}: this machine's clock is wrong by minutes (RequestTimeTooSkewed): set it")
    if code in _REGIONS or "redirect without LOCATION" in text:
        region = _REGION.search(text)
        where = f"in region {region[1]}: set AWS_REGION={region[1]}" if region else "in another region: set AWS_REGION"
        return Fault("fatal", f"{place}: the bucket is {where}")
    if "Account must be specified" in text:
        return Fault("fatal", f"{place}: no storage account is named: {_WHERE['az']}")
    return no_credentials(address) if not address.is_web and _METADATA.search(text) else None


def _lost(text: str) -> str:
    if "TimedOut" in text or "timed out" in text or "kind: Timeout" in text:
        return "the store did not answer in time"
    if re.search(r"kind: Connect\b", text):
        return "there is no connection to the store"
    return "the connection was lost"
