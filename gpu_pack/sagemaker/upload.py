"""Choose the channels, check them, upload them, and write the job's part of the request."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gpu_pack.errors import OutputExistsError, UsageError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.manifest import NAME as MANIFEST
from gpu_pack.formats.notices import Notice, select
from gpu_pack.sagemaker import rules
from gpu_pack.sagemaker.bucket import Bucket, Mark, Place, parse_url
from gpu_pack.sagemaker.channels import Channel, choose_channels
from gpu_pack.sagemaker.options import JobOptions
from gpu_pack.sagemaker.rules import Surveyed
from gpu_pack.sagemaker.survey import survey
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.atomic_file import hash_file
from gpu_pack.stores.data_path import DataPath, PathLike, data_path, write_file
from gpu_pack.types import OnProgress, Progress

#: The parts of a CreateTrainingJob request that the data decide, in a file beside the training source; for a source in
#: a bucket, beside the copies.
REQUEST = "sagemaker.json"
_CONTENT_TYPE = "application/x-recordio"


@dataclass
class UploadReport:
    """What `upload` did.

    Attributes:
        out, url: the dataset's folder, or the source of the train channel; and the place in S3.
        output: the file that receives the request.
        faults: the rules that the dataset breaks, a sentence each; if any, nothing was uploaded.
        request: ``HyperParameters`` and ``InputDataConfig`` as CreateTrainingJob takes them.
        images: by channel.
        warnings: what may train wrongly, as plain values.
        sent, kept: addresses of the objects that were uploaded, and of those that were there already; ``copied`` are
            those sent that S3 copied by itself.
        bytes: that were uploaded.
        dry_run: nothing was uploaded or written.
    """

    out: str
    url: str
    output: str
    faults: list[str] = field(default_factory=list)
    request: dict[str, Any] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
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

    path: DataPath
    key: str
    size: int
    mark: Mark
    content_type: str


def upload(
    out: PathLike | None,
    url: str,
    options: JobOptions | None = None,
    on_progress: OnProgress | None = None,
    *,
    endpoint_url: str | None = None,
) -> UploadReport:
    """Check a dataset against the job's rules, and upload it to S3; one in S3 is copied there by S3 itself.

    The channels go to ``url/train/`` and ``url/validation/``, manifest.json and classes.txt to ``url/``. Objects with
    the same bytes are not sent again, so that an interrupted upload resumes with the first missing file.

    Args:
        out: a folder that `create` wrote, or its address; None where ``options`` name a source for each channel.
        on_progress: called with bytes ``checked``, then bytes ``sent`` (the detail), also from other threads.
        endpoint_url: another S3 server, for reading and writing.

    Raises:
        UsageError: ``url`` is no S3 address, or options contradict each other.
        SourceError: no finished dataset, or none with two splits for the channels, or different lists of classes.
        OutputExistsError: other objects are in the channels' places, or have the same names and other bytes.
        OutputError: S3 refuses or does not answer, or boto3 is missing.
    """
    options = options or JobOptions()
    place = parse_url(url)
    store = StoreOptions(endpoint_url)
    channels = choose_channels(out, options, store)
    output = _output(options, channels[0].rec.parent, place, store)
    report = UploadReport(str(out or options.train_from), place.url(), str(output), dry_run=options.dry_run)
    found = _survey(channels, options, on_progress)
    report.images = {channel.name: seen.images for channel, seen in found}
    report.warnings = select((notice for _, seen in found for notice in seen.notices), "warning")
    report.faults = list(rules.broken_rules(found, options))
    if report.faults:
        return report
    report.request = _request(found, options, place)
    if not options.dry_run:
        with closing(Bucket(place, endpoint_url)) as bucket:
            report.warnings += select(_other_regions(found, bucket), "warning")
            _send(report, list(_files(found, place)), bucket, options, on_progress)
        write_file(output, (json.dumps(report.request, indent=1) + "\n").encode())
    return report


def _output(options: JobOptions, folder: DataPath, place: Place, store: StoreOptions) -> DataPath:
    """Where the request goes; checked before anything is uploaded."""
    usual = folder / REQUEST if isinstance(folder, Path) else place.url(REQUEST)
    path = data_path(usual if options.output is None else options.output, store)
    if path.is_dir() or (isinstance(path, Path) and not path.parent.is_dir()):
        raise UsageError(f"{path}: --output names a file in a folder that exists")
    return path


def _survey(channels: tuple[Channel, Channel], options: JobOptions, on_progress: OnProgress | None) -> Surveyed:
    _, height, width = rules.image_shape(channels[0].manifest, options)
    total = sum(channel.rec.stat().st_size for channel in channels if channel.rec.is_file())
    meter = _Meter("checked", total, on_progress)
    return [(channel, survey(channel.rec, height, width, meter.add)) for channel in channels]


def _request(found: Surveyed, options: JobOptions, place: Place) -> dict[str, Any]:
    """The parts of CreateTrainingJob's request that the data decide; its values are strings."""
    counted = {
        "num_classes": str(rules.num_classes(found, rules.class_names(found))),
        "num_training_samples": str(found[0][1].images),
        "image_shape": ",".join(map(str, rules.image_shape(found[0][0].manifest, options))),
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


def _files(found: Surveyed, place: Place) -> Iterator[_File]:
    for channel, seen in found:
        key = place.key(channel.name, channel.rec.name)
        mark = Mark("copied-etag", seen.etag) if seen.sha256 is None else Mark("sha256", seen.sha256)
        yield _File(channel.rec, key, seen.bytes, mark, _CONTENT_TYPE)
    train, validation = (channel for channel, _ in found)
    named = train if train.classes is not None else validation
    if named.classes is not None:
        yield _beside(named, CLASSES, place.key(CLASSES), "text/plain; charset=utf-8")
    if train.manifest is not None:
        yield _beside(train, MANIFEST, place.key(MANIFEST), "application/json")
    if validation.manifest is not None and validation.rec.parent != train.rec.parent:
        yield _beside(validation, MANIFEST, place.key(f"validation-{MANIFEST}"), "application/json")


def _beside(channel: Channel, name: str, key: str, content_type: str) -> _File:
    path = channel.rec.with_name(name)
    mark = Mark("sha256", hash_file(path)) if isinstance(path, Path) else Mark("copied-etag", path.etag() or "")
    return _File(path, key, path.stat().st_size, mark, content_type)


def _send(
    report: UploadReport, files: list[_File], bucket: Bucket, options: JobOptions, on_progress: OnProgress | None
) -> None:
    _refuse_other_objects(bucket, files)
    there = {file: bucket.holds(file.key, file.size, file.mark) for file in files}
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
        if isinstance(file.path, Path):
            bucket.send(file.path, file.key, file.mark, file.content_type, meter.add)
        else:
            bucket.copy(file.path.address, file.key, file.mark, file.content_type, meter.add)
            report.copied.append(address)
        report.sent.append(address)
        report.bytes += file.size


def _other_regions(found: Surveyed, bucket: Bucket) -> Iterator[Notice]:
    """A notice where a channel's source lies in another region than its copy."""
    sources = {channel.rec.address.bucket for channel, _ in found if not isinstance(channel.rec, Path)}
    for source in sorted(sources - {bucket.place.bucket}):
        here, there = bucket.region(source), bucket.region(bucket.place.bucket)
        if here and there and here != there:
            yield Notice("other-region", example=f"{source} in {here}, {bucket.place.bucket} in {there}")


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
