"""Choose the channels, check them, upload them, and write the job's part of the request."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gpu_pack.errors import OutputExistsError, SourceError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import read_classes
from gpu_pack.formats.manifest import NAME as MANIFEST
from gpu_pack.formats.manifest import Manifest
from gpu_pack.sagemaker import rules
from gpu_pack.sagemaker.bucket import Bucket, Place, parse_url
from gpu_pack.sagemaker.options import JobOptions
from gpu_pack.sagemaker.rules import Channel, Surveyed
from gpu_pack.sagemaker.survey import survey
from gpu_pack.stores.atomic_file import hash_file, write_atomically
from gpu_pack.tools.locate import locate
from gpu_pack.types import OnProgress, Progress

#: The file beside the manifest with the parts of a CreateTrainingJob request that the data decide.
REQUEST = "sagemaker.json"
_CONTENT_TYPE = "application/x-recordio"


@dataclass
class UploadReport:
    """What `upload` did.

    Attributes:
        out, url: the dataset's folder, and the place in S3.
        faults: the rules that the dataset breaks, a sentence each; if any, nothing was uploaded.
        request: ``HyperParameters`` and ``InputDataConfig`` as CreateTrainingJob takes them.
        images: by channel.
        sent, kept: addresses of the objects that were uploaded, and of those that were there already.
        bytes: that were uploaded.
        dry_run: nothing was uploaded or written.
    """

    out: str
    url: str
    faults: list[str] = field(default_factory=list)
    request: dict[str, Any] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    bytes: int = 0
    dry_run: bool = False

    @property
    def ok(self) -> bool:
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return {"ok": self.ok, **asdict(self)}


@dataclass(frozen=True)
class _File:
    """A file, and the key of its object."""

    path: Path
    key: str
    size: int
    sha256: str
    content_type: str


def upload(
    out: str | Path, url: str, options: JobOptions | None = None, on_progress: OnProgress | None = None
) -> UploadReport:
    """Check a dataset that `create` wrote against the job's rules, and upload it to S3.

    The channels go to ``url/train/`` and ``url/validation/``, manifest.json and classes.txt to ``url/``. Objects with
    the same bytes are not sent again, so that an interrupted upload resumes with the first missing file.

    Args:
        on_progress: called with bytes ``checked``, then bytes ``sent`` (the detail), also from other threads.

    Raises:
        UsageError: ``url`` is no S3 address.
        SourceError: no finished dataset, or one without two splits for the channels.
        OutputExistsError: other objects are in the channels' places, or have the same names and other bytes.
        OutputError: S3 refuses or does not answer, or boto3 is missing.
    """
    options = options or JobOptions()
    place = parse_url(url)
    manifest, names = _read(Path(out))
    folder = manifest.path.parent
    report = UploadReport(str(out), place.url(), dry_run=options.dry_run)
    found = _survey(rules.channels(folder, manifest, options), manifest, options, on_progress)
    report.images = {channel.name: seen.images for channel, seen in found}
    report.faults = list(rules.broken_rules(found, manifest, names, options))
    if report.faults:
        return report
    report.request = _request(found, manifest, names, options, place)
    if not options.dry_run:
        with closing(Bucket(place)) as bucket:
            _send(report, list(_files(found, folder, place)), bucket, options, on_progress)
        write_atomically(folder / REQUEST, (json.dumps(report.request, indent=1) + "\n").encode())
    return report


def _read(out: Path) -> tuple[Manifest, tuple[str, ...] | None]:
    located = locate(out)
    if located.damage is not None:
        raise located.damage
    if not located.whole or located.manifest is None:
        raise SourceError(f"{out}: no manifest.json: name a folder that `gpu-pack create` has finished")
    has_names = located.manifest.classes is not None
    return located.manifest, read_classes(located.folder / CLASSES) if has_names else None


def _survey(
    channels: tuple[Channel, Channel], manifest: Manifest, options: JobOptions, on_progress: OnProgress | None
) -> Surveyed:
    _, height, width = rules.image_shape(manifest, options)
    total = sum(channel.rec.stat().st_size for channel in channels if channel.rec.is_file())
    meter = _Meter("checked", total, on_progress)
    return [(channel, survey(channel.rec, height, width, meter.add)) for channel in channels]


def _request(
    found: Surveyed, manifest: Manifest, names: tuple[str, ...] | None, options: JobOptions, place: Place
) -> dict[str, Any]:
    """The parts of CreateTrainingJob's request that the data decide; its values are strings."""
    counted = {
        "num_classes": str(rules.num_classes(found, names)),
        "num_training_samples": str(found[0][1].images),
        "image_shape": ",".join(map(str, rules.image_shape(manifest, options))),
        "mini_batch_size": str(options.mini_batch_size),
    }
    return {
        "HyperParameters": {**counted, **dict(options.hyperparameters), **counted},
        "InputDataConfig": [_input(channel, place) for channel, _ in found],
    }


def _input(channel: Channel, place: Place) -> dict[str, Any]:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": place.url(channel.name) + "/",  # without the slash, every key that begins with `train` would match
        "S3DataDistributionType": "FullyReplicated",  # Pipe mode takes no other
    }
    return {
        "ChannelName": channel.name,
        "DataSource": {"S3DataSource": source},
        "ContentType": _CONTENT_TYPE,
        "CompressionType": "None",
        "RecordWrapperType": "None",
    }


# ---- into the bucket


def _files(found: Surveyed, folder: Path, place: Place) -> Iterator[_File]:
    for channel, seen in found:
        key = place.key(channel.name, channel.rec.name)
        yield _File(channel.rec, key, seen.bytes, seen.sha256, _CONTENT_TYPE)
    for name, content_type in ((CLASSES, "text/plain; charset=utf-8"), (MANIFEST, "application/json")):
        if (path := folder / name).is_file():
            yield _File(path, place.key(name), path.stat().st_size, hash_file(path), content_type)


def _send(
    report: UploadReport, files: list[_File], bucket: Bucket, options: JobOptions, on_progress: OnProgress | None
) -> None:
    _refuse_other_objects(bucket, files)
    there = {file: bucket.holds(file.key, file.size, file.sha256) for file in files}
    others = [file for file in files if there[file] is False]
    if others and not options.overwrite:
        raise OutputExistsError(
            f"s3://{bucket.place.bucket}/{others[0].key} is there already with other bytes: choose another prefix, or "
            "give --overwrite"
        )
    meter = _Meter("sent", sum(file.size for file in files if not there[file]), on_progress)
    for file in files:
        address = f"s3://{bucket.place.bucket}/{file.key}"
        if there[file]:
            report.kept.append(address)
            continue
        bucket.send(file.path, file.key, file.sha256, file.content_type, meter.add)
        report.sent.append(address)
        report.bytes += file.size


def _refuse_other_objects(bucket: Bucket, files: list[_File]) -> None:
    """The job would train on every object in a channel's place."""
    own = {file.key for file in files}
    for name in ("train", "validation"):
        others = [key for key in bucket.keys(name) if key not in own]
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            raise OutputExistsError(
                f"{bucket.place.url(name)}/ holds {others[0]}{more}, which the job would train on too: remove it, or "
                "choose another prefix"
            )


class _Meter:
    """Adds up bytes from several threads."""

    def __init__(self, step: str, total: int, on_progress: OnProgress | None) -> None:
        self._state = Progress(0, total, "bytes", detail=step)
        self._on_progress = on_progress
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._state.done += count
            if self._on_progress is not None:
                self._on_progress(self._state)
