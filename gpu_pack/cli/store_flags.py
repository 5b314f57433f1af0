"""The flags of every command that takes addresses."""

from __future__ import annotations

from typing import Annotated

import typer

EndpointFlag = Annotated[
    str | None,
    typer.Option("--endpoint-url", help="Another server for s3://, gs:// or az:// [the environment's, or the cloud]."),
]
AnonymousFlag = Annotated[
    bool,
    typer.Option("--anonymous", help="Read public buckets, without credentials [the environment's]."),
]
