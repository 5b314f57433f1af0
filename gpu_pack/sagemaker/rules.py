"""The training job's rules: each function yields a sentence for each that a channel breaks, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from gpu_pack.errors import SourceError
from gpu_pack.sagemaker.options import USUAL_EDGE, JobOptions
from gpu_pack.sagemaker.survey import Survey
from gpu_pack.tools.manifest import Manifest

#: What the job decodes.
_FORMATS = ("jpeg", "png")
_VALIDATION_NAMES = ("validation", "val", "valid")
_MAX_LISTED = 8


@dataclass(frozen=True)
class Channel:
    """One of the job's two inputs.

    Attributes:
        name: ``train`` or ``validation``.
        split: of the dataset.
        rec: its .rec file.
    """

    name: str
    split: str
    rec: Path


def channels(folder: Path, manifest: Manifest, options: JobOptions) -> tuple[Channel, Channel]:
    """The train and the validation channel.

    Raises:
        SourceError: a split that is not there, or that has several .rec files; no telling which one validates.
    """
    validation = options.validation or _validation(folder, manifest, options.train)
    return (
        _channel(folder, manifest, "train", options.train),
        _channel(folder, manifest, "validation", validation),
    )


def _validation(folder: Path, manifest: Manifest, train: str) -> str:
    others = [name for name in manifest.splits if name != train]
    named = [name for name in _VALIDATION_NAMES if name in others]
    if named or len(others) == 1:
        return (named or others)[0]
    if others:
        raise SourceError(f"{folder}: which split is for validation: {', '.join(others)}? Name it with --validation")
    raise SourceError(
        f"{folder}: there is no split but {train}, and SageMaker trains with two: pack again with "
        f"--split {train}=0.9 --split validation=0.1"
    )


def _channel(folder: Path, manifest: Manifest, name: str, split: str) -> Channel:
    if split not in manifest.splits:
        raise SourceError(f"{folder}: no split is named {split}, only {', '.join(manifest.splits)}: see --{name}")
    shards = manifest.splits[split].shards
    if len(shards) != 1:
        raise SourceError(
            f"{folder}: split {split} has {len(shards)} .rec files, and a channel takes one: pack again with --shards 1"
        )
    return Channel(name, split, folder / shards[0])


def image_shape(manifest: Manifest, options: JobOptions) -> tuple[int, int, int]:
    """``(channels, height, width)``: what was asked for, else the size that the images were packed to, else 224."""
    if options.image_shape is not None:
        return options.image_shape
    size = manifest.spec.size
    edge = USUAL_EDGE if options.pretrained or manifest.spec.pass_through or size is None else size
    return (3, edge, edge)


def bad_resize(manifest: Manifest, options: JobOptions) -> Iterator[str]:
    """Whether the job's own scaling would leave images too small."""
    _, height, width = image_shape(manifest, options)
    if options.resize is not None and options.resize < max(height, width):
        yield f"resize={options.resize} is less than image_shape 3,{height},{width}: images would be too small"


def broken(channel: Channel, found: Survey, manifest: Manifest, options: JobOptions) -> Iterator[str]:
    """What is wrong with one channel, apart from its labels' numbers."""
    for what in found.damage[:_MAX_LISTED]:
        yield f"{channel.rec}: {what}"
    published = manifest.files.get(channel.rec.name)
    if published is None or found.sha256 != published.sha256:
        yield f"{channel.rec}: its bytes are not those that were published: `gpu-pack verify` tells more"
    least = options.mini_batch_size
    if found.images < least:
        remedy = f", or give --hyperparameter mini_batch_size={found.images}" if found.images else ""
        yield f"{channel.rec}: fewer images ({found.images}) than mini_batch_size ({least}): pack more{remedy}"
    if found.several:
        yield (
            f"{channel.rec}: several labels, where a job with RecordIO files takes one: {found.several:,} of "
            f"{found.images:,} images, the first of them key {found.several_key}"
        )
    yield from _bad_images(channel, found, manifest, options)


def _bad_images(channel: Channel, found: Survey, manifest: Manifest, options: JobOptions) -> Iterator[str]:
    for name, count in found.formats.items():
        if name not in _FORMATS:
            which = f"{count:,} of {found.images:,} images, the first of them key {found.odd[name]}"
            yield f"{channel.rec}: {name}, where the job reads JPEG and PNG: {which}: pack without --pass-through"
    _, height, width = image_shape(manifest, options)
    if options.resize is None and found.smallest is not None:
        key, *size = found.smallest
        yield (
            f"{channel.rec}: smaller than {height} x {width} (image_shape): {found.small:,} of {found.images:,} "
            f"images, the smallest key {key} of {size[1]} x {size[0]}: pack with --size {max(height, width)}, or give "
            "--hyperparameter image_shape or resize"
        )


def bad_labels(found: Sequence[tuple[Channel, Survey]], classes: Sequence[str] | None) -> Iterator[str]:
    """What is wrong with the labels of all channels: they must be 0, 1, 2, ... and none may lack in train."""
    for channel, survey in found:
        odd = [label for label in survey.labels if not (label >= 0 and label.is_integer())]
        if odd:
            yield f"{channel.rec}: label {min(odd):g} is no class number: the job takes 0, 1, 2, ..."
            return
    count = num_classes([survey for _, survey in found], classes)
    train, validating = found
    lacking = list(islice((label for label in range(count) if label not in train[1].labels), _MAX_LISTED))
    if lacking and train[1].images:
        named = ", ".join(_label(label, classes) for label in lacking)
        others = count - sum(label < count for label in train[1].labels) - len(lacking)
        more = f" and {others:,} more" if others else ""
        yield (
            f"{train[0].rec}: no image has the label {named}{more}; the job takes 0 to {count - 1} without gaps: "
            "pack again with images of each class, or without the empty classes"
        )
    if classes is not None and max(validating[1].labels, default=0) >= len(classes):
        yield f"{validating[0].rec}: label {max(validating[1].labels):g} is none of the {len(classes)} classes"


def num_classes(found: Sequence[Survey], classes: Sequence[str] | None) -> int:
    """How many there are: by their names, and else by the highest label."""
    highest = max((int(max(survey.labels)) for survey in found if survey.labels), default=-1)
    return len(classes) if classes is not None else highest + 1


def _label(label: int, classes: Sequence[str] | None) -> str:
    return f"{label} ({classes[label]})" if classes is not None else str(label)
