"""What people see of an upload, on standard output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpu_pack.console import clean, human_size

if TYPE_CHECKING:
    from gpu_pack.sagemaker.upload import UploadReport


def print_upload(report: UploadReport, quiet: bool) -> None:
    """Print the broken rules, or where the channels are."""
    for fault in report.faults:
        print(clean(fault))
    if quiet:
        return
    for line in _refused(report) if report.faults else _done(report):
        print(clean(line))


def _refused(report: UploadReport) -> Iterator[str]:
    yield f"{len(report.faults)} rule{'s' * (len(report.faults) != 1)} of the training job broken: nothing was uploaded"


def _done(report: UploadReport) -> Iterator[str]:
    for channel in report.request["InputDataConfig"]:
        name = channel["ChannelName"]
        yield f"{name:<11}{channel['DataSource']['S3DataSource']['S3Uri']}  {report.images[name]:,} images"
    yield f"{'job':<11}{', '.join(f'{name}={value}' for name, value in report.request['HyperParameters'].items())}"
    if report.dry_run:
        yield "every rule kept; nothing was uploaded (--dry-run)"
        return
    kept = f", {len(report.kept)} there already" if report.kept else ""
    how = "copied within S3" if report.copied and len(report.copied) == len(report.sent) else "uploaded"
    sent = f"{len(report.sent)} files ({human_size(report.bytes)}) {how}{kept}"
    yield f"{sent}; for CreateTrainingJob: {report.output}"
