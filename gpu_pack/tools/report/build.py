"""`report`: a dataset as one page that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import gpu_pack
from gpu_pack.errors import SourceError
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.atomic_file import write_atomically
from gpu_pack.stores.data_path import PathLike, data_path
from gpu_pack.tools.findings.find import describe, find_rows
from gpu_pack.tools.findings.pictures import read_pictures
from gpu_pack.tools.inspect import Inspection, InspectOptions, inspect_located
from gpu_pack.tools.locate import locate
from gpu_pack.tools.report.view import View, make_view
from gpu_pack.types import OnProgress


@dataclass(frozen=True)
class DatasetReport:
    """A page that was written.

    Attributes:
        page, page_bytes: the file and its size.
        inspection: what it shows, with all findings.
    """

    page: str
    page_bytes: int
    inspection: Inspection

    @property
    def ok(self) -> bool:
        """Whether no record is damaged; findings are no damage."""
        return self.inspection.ok

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``: the page, and all that `inspect` tells."""
        return {"page": self.page, "page_bytes": self.page_bytes, **self.inspection.to_json()}


def report(
    path: PathLike,
    output: str | Path = "report.html",
    *,
    root: str | Path | None = None,
    workers: int | None = None,
    endpoint_url: str | None = None,
    anonymous: bool = False,
    on_progress: OnProgress | None = None,
) -> DatasetReport:
    """Draw a dataset or a .rec file, whoever wrote it, as one HTML page below 10 MB.

    Args:
        path: a folder or a .rec file, or its address.
        output: the page; replaced if it is there.
        root: the folder that the rejected files are in, for their pictures.
        workers: threads; None for one a core.
        endpoint_url, anonymous: see `gpu_pack.stores.address.StoreOptions`.
        on_progress: called a few times a second.

    Raises:
        SourceError: nothing there, no such root, or a file cannot be read.
        OutputError: the page cannot be written.
    """
    on_progress = on_progress or (lambda _: None)
    if root is not None and not Path(root).is_dir():
        raise SourceError(f"root={root} (--root): no such folder")
    located = locate(data_path(path, StoreOptions(endpoint_url, anonymous)))
    inspection = inspect_located(located, InspectOptions(first=0))
    pictures = read_pictures(located.targets, on_progress, workers)
    rows = find_rows(pictures, on_progress, workers)
    inspection.findings = describe(pictures, rows, inspection.classes)
    view = make_view(located, inspection, pictures, rows, inspection.findings, Path(root) if root is not None else None)
    page = render(view).encode("utf-8", "backslashreplace")
    write_atomically(Path(output), page)
    return DatasetReport(str(output), len(page), inspection)


def render(view: View) -> str:
    """The page. Its policy lets nothing in from a network, and runs no script but its own."""
    import jinja2

    texts = {name: (files(__package__) / f"page.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(texts["html"]).render(
        view=view,
        style=texts["css"],
        script=texts["js"],
        style_hash=_hash(texts["css"]),
        script_hash=_hash(texts["js"]),
        version=gpu_pack.__version__,
    )


def _hash(text: str) -> str:
    """As a content security policy names a script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
