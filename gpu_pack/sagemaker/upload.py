"""The run: choose the channels, check them, upload them, write down what the job is to be told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gpu_pack.errors import OutputExistsError, SourceError
from gpu_pack.sagemaker import rules
from gpu_pack.sagemaker.bucket import Bucket, Place, parse_url
from gpu_pack.sagemaker.options import JobOptions
from gpu_pack.sagemaker.rules import Channel
from gpu_pack.sagemaker.survey import Survey, survey
from gpu_pack.stores.atomic_file import hash_file, write_durably
from gpu_pack.tools.check_account import CLASSES, read_class_names
from gpu_pack.tools.locate import locate
from gpu_pack.tools.manifest import NAME as MANIFEST
from gpu_pack.tools.manifest import Manifest

#: The file beside the manifest that holds the job's part of a CreateTrainingJob request.
REQUEST = "sagemaker.json"
_CONTENT_TYPE = "application/x-recordio"


@dataclass(frozen=True)
class Transfer:
    """How far a run is: ``done`` of ``total`` bytes ``checked`` or ``sent``."""

    step: str
    done: int
    total: int


OnTransfer = Callable[[Transfer], None]


@dataclass
class Job:
    """What became of it.

    Attributes:
        out, url: the dataset's folder and the place in S3.
        faults: the job's rules that the dataset breaks, a sentence each; then nothing was uploaded.
        request: ``HyperParameters`` and ``InputDataConfig`` as CreateTrainingJob takes them.
        images: by channel.
        sent, kept: addresses of objects that were uploaded, and that lay there already.
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
    """A file and the object that it becomes."""

    path: Path
    key: str
    size: int
    sha256: str
    content_type: str


def upload(out: str | Path, url: str, options: JobOptions | None = None, on_transfer: OnTransfer | None = None) -> Job:
    """Check a dataset of `create` by the job's rules, and put it into S3.

    The channels go to ``url/train/`` and ``url/validation/``, manifest.json and classes.txt to ``url/``. What lies
    there already with the same bytes is not sent again, so an upload that was cut short is gone on with, file by file.

    Raises:
        UsageError: ``url`` is no S3 address.
        SourceError: no finished dataset, or one without two such splits.
        OutputExistsError: other files lie in the channels' places, or other ones of the same names.
        OutputError: S3 refuses, does not answer, or boto3 is missing.
    """
    options = options or JobOptions()
    tell = on_transfer or (lambda _: None)
    place = parse_url(url)
    manifest, names = _read(Path(out))
    folder = manifest.path.parent
    job = Job(str(out), place.url(), dry_run=options.dry_run)
    chosen = rules.channels(folder, manifest, options)
    found = _survey(chosen, manifest, options, tell)
    job.images = {channel.name: seen.images for channel, seen in found}
    job.faults = list(_faults(found, manifest, names, options))
    if job.faults:
        return job
    job.request = _request(found, manifest, names, options, place)
    if options.dry_run:
        return job
    _send(job, list(_files(found, folder, place)), place, options, tell)
    write_durably(folder / REQUEST, (json.dumps(job.request, indent=1) + "\n").encode())
    return job


def _read(out: Path) -> tuple[Manifest, list[str] | None]:
    located = locate(out)
    if located.damage is not None:
        raise located.damage
    if not located.whole or located.manifest is None:
        raise SourceError(f"{out}: no manifest.json: name a folder that `gpu-pack create` has finished")
    classes = located.folder / CLASSES
    return located.manifest, None if located.manifest.classes is None else read_class_names(classes)


def _survey(
    chosen: tuple[Channel, Channel], manifest: Manifest, options: JobOptions, tell: OnTransfer
) -> list[tuple[Channel, Survey]]:
    _, height, width = rules.image_shape(manifest, options)
    meter = _Meter("checked", sum(channel.rec.stat().st_size for channel in chosen if channel.rec.is_file()), tell)
    return [(channel, survey(channel.rec, height, width, meter.add)) for channel in chosen]


def _faults(
    found: list[tuple[Channel, Survey]], manifest: Manifest, names: list[str] | None, options: JobOptions
) -> Iterator[str]:
    yield from rules.bad_resize(manifest, options)
    for channel, seen in found:
        yield from rules.broken(channel, seen, manifest, options)
    yield from rules.bad_labels(found, names)


def _request(
    found: list[tuple[Channel, Survey]],
    manifest: Manifest,
    names: list[str] | None,
    options: JobOptions,
    place: Place,
) -> dict[str, Any]:
    """The parts of CreateTrainingJob's request that the data decide; its values are strings."""
    train = found[0][1]
    parameters = {
        "num_classes": str(rules.num_classes([seen for _, seen in found], names)),
        "num_training_samples": str(train.images),
        "image_shape": ",".join(map(str, rules.image_shape(manifest, options))),
        "mini_batch_size": str(options.mini_batch_size),
    }
    return {
        "HyperParameters": {**parameters, **dict(options.hyperparameters), **parameters},
        "InputDataConfig": [_input(channel, place) for channel, _ in found],
    }


def _input(channel: Channel, place: Place) -> dict[str, Any]:
    # The slash: without it, `train` would mean everything whose name begins so. Pipe mode takes FullyReplicated only.
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": place.url(channel.name) + "/",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {
        "ChannelName": channel.name,
        "DataSource": {"S3DataSource": source},
        "ContentType": _CONTENT_TYPE,
        "CompressionType": "None",
        "RecordWrapperType": "None",
    }


# ---- into the bucket


def _files(found: list[tuple[Channel, Survey]], folder: Path, place: Place) -> Iterator[_File]:
    for channel, seen in found:
        key = place.key(channel.name, channel.rec.name)
        yield _File(channel.rec, key, seen.bytes, seen.sha256, _CONTENT_TYPE)
    for name, content_type in ((CLASSES, "text/plain; charset=utf-8"), (MANIFEST, "application/json")):
        if (path := folder / name).is_file():
            yield _File(path, place.key(name), path.stat().st_size, hash_file(path), content_type)


def _send(job: Job, files: list[_File], place: Place, options: JobOptions, tell: OnTransfer) -> None:
    bucket = Bucket(place)
    _refuse_strangers(bucket, files)
    there = {file: bucket.holds(file.key, file.size, file.sha256) for file in files}
    others = [file for file in files if there[file] is False]
    if others and not options.overwrite:
        raise OutputExistsError(
            f"s3://{place.bucket}/{others[0].key} is there already with other bytes: choose another prefix, or give "
            "--overwrite"
        )
    meter = _Meter("sent", sum(file.size for file in files if not there[file]), tell)
    for file in files:
        address = f"s3://{place.bucket}/{file.key}"
        if there[file]:
            job.kept.append(address)
            continue
        bucket.send(file.path, file.key, file.sha256, file.content_type, meter.add)
        job.sent.append(address)
        job.bytes += file.size


def _refuse_strangers(bucket: Bucket, files: list[_File]) -> None:
    """Whatever lies in a channel's place would be training data too."""
    ours = {file.key for file in files}
    for name in ("train", "validation"):
        strangers = [key for key in bucket.names(name) if key not in ours]
        if strangers:
            more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
            raise OutputExistsError(
                f"{bucket.place.url(name)}/ holds {strangers[0]}{more}, which the job would train on too: remove "
                "it, or choose another prefix"
            )


class _Meter:
    """Adds up bytes, from whichever thread."""

    def __init__(self, step: str, total: int, tell: OnTransfer) -> None:
        self._step, self._total, self._tell, self._done = step, total, tell, 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._tell(Transfer(self._step, self._done, self._total))
