"""The flags of every command that takes addresses."""

from __future__ import annotations

from typing import Annotated

import typer

EndpointFlag = Annotated[str | None, typer.Option("--endpoint-url", help="Of another server than the cloud's own.")]
AnonymousFlag = Annotated[bool, typer.Option("--anonymous", help="Read public buckets without credentials.")]
