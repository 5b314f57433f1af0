"""The rules of a training job: a sentence for each one that a dataset breaks, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from gpu_pack.errors import SourceError
from gpu_pack.formats.manifest import Manifest
from gpu_pack.sagemaker.options import USUAL_EDGE, JobOptions
from gpu_pack.sagemaker.survey import Survey

#: Image formats that the job decodes.
_FORMATS = ("jpeg", "png")
_VALIDATION_NAMES = ("validation", "val", "valid")
_MAX_LISTED = 8


@dataclass(frozen=True)
class Channel:
    """One of the job's two inputs.

    Attributes:
        name: ``train`` or ``validation``.
        rec: the .rec file of the split that it takes.
    """

    name: str
    rec: Path


#: Both channels with what was found in them, train first.
Surveyed = Sequence[tuple[Channel, Survey]]


def channels(folder: Path, manifest: Manifest, options: JobOptions) -> tuple[Channel, Channel]:
    """The train and the validation channel.

    Raises:
        SourceError: a split that is missing or has several .rec files, or several splits that could validate.
    """
    validation = options.validation or _validation(folder, manifest, options.train)
    return _channel(folder, manifest, "train", options.train), _channel(folder, manifest, "validation", validation)


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
    return Channel(name, folder / shards[0])


def image_shape(manifest: Manifest, options: JobOptions) -> tuple[int, int, int]:
    """``(channels, height, width)`` in pixels: as asked for, else the size that the images were packed to, else 224."""
    if options.image_shape is not None:
        return options.image_shape
    size = manifest.spec.size
    edge = USUAL_EDGE if options.pretrained or manifest.spec.pass_through or size is None else size
    return (3, edge, edge)


def broken_rules(
    found: Surveyed, manifest: Manifest, classes: Sequence[str] | None, options: JobOptions
) -> Iterator[str]:
    """Every rule that the channels break.

    Args:
        classes: the names of the classes, if there are any.
    """
    _, height, width = image_shape(manifest, options)
    if options.resize is not None and options.resize < max(height, width):
        yield f"resize={options.resize} is less than image_shape 3,{height},{width}: images would be too small"
    for channel, survey in found:
        yield from _bad_file(channel, survey, manifest, options)
        yield from _bad_images(channel, survey, height, width, options)
    yield from _bad_labels(found, classes)


def _bad_file(channel: Channel, survey: Survey, manifest: Manifest, options: JobOptions) -> Iterator[str]:
    for fault in survey.damage[:_MAX_LISTED]:
        yield f"{channel.rec}: {fault}"
    published = manifest.files.get(channel.rec.name)
    if published is None or survey.sha256 != published.sha256:
        yield f"{channel.rec}: its bytes are not those that were published: see `gpu-pack verify`"
    if survey.images < options.mini_batch_size:
        remedy = f", or give --hyperparameter mini_batch_size={survey.images}" if survey.images else ""
        yield (
            f"{channel.rec}: fewer images ({survey.images}) than mini_batch_size ({options.mini_batch_size}): "
            f"pack more{remedy}"
        )


def _bad_images(channel: Channel, survey: Survey, height: int, width: int, options: JobOptions) -> Iterator[str]:
    total = f"of {survey.images:,} images"
    if survey.several:
        yield (
            f"{channel.rec}: several labels, where a job with RecordIO files takes one: {survey.several:,} {total}, "
            f"the first of them key {survey.several_key}"
        )
    for name, count in survey.formats.items():
        if name not in _FORMATS:
            yield (
                f"{channel.rec}: {name}, where the job reads JPEG and PNG: {count:,} {total}, the first of them key "
                f"{survey.first_keys[name]}: pack without --pass-through"
            )
    if options.resize is None and survey.smallest is not None:
        key, *size = survey.smallest
        yield (
            f"{channel.rec}: smaller than {height} x {width} (image_shape): {survey.small:,} {total}, the smallest key "
            f"{key} of {size[1]} x {size[0]}: pack with --size {max(height, width)}, or give --hyperparameter "
            "image_shape or resize"
        )


def _bad_labels(found: Surveyed, classes: Sequence[str] | None) -> Iterator[str]:
    for channel, survey in found:
        odd = [label for label in survey.labels if not (label >= 0 and label.is_integer())]
        if odd:
            yield f"{channel.rec}: label {min(odd):g} is no class number: the job takes 0, 1, 2, ..."
            return
    count = num_classes(found, classes)
    (train, trained), (validation, validating) = found
    missing = list(islice((label for label in range(count) if label not in trained.labels), _MAX_LISTED))
    if missing and trained.images:
        named = ", ".join(f"{label} ({classes[label]})" if classes is not None else str(label) for label in missing)
        others = count - sum(label < count for label in trained.labels) - len(missing)
        more = f" and {others:,} more" if others else ""
        yield (
            f"{train.rec}: no image has the label {named}{more}; the job takes 0 to {count - 1} without gaps: "
            "pack again with images of each class, or without the empty classes"
        )
    if classes is not None and max(validating.labels, default=0) >= len(classes):
        yield f"{validation.rec}: label {max(validating.labels):g} is none of the {len(classes)} classes"


def num_classes(found: Surveyed, classes: Sequence[str] | None) -> int:
    """How many classes there are: as many as have names, or else by the highest label."""
    highest = max((int(max(survey.labels)) for _, survey in found if survey.labels), default=-1)
    return len(classes) if classes is not None else highest + 1
