"""The flags of every command that takes addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EndpointFlag = Annotated[str | None, typer.Option("--endpoint-url", help="Of another server than the cloud's own.")]
AnonymousFlag = Annotated[bool, typer.Option("--anonymous", help="Read public buckets without credentials.")]
StagingFlag = Annotated[Path | None, typer.Option(help="Where files grow that go to an address [the user's cache].")]
