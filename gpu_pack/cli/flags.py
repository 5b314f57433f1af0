"""Flags that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors only.")]
