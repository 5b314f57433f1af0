"""The rules of a training job: a sentence for each one that a dataset breaks, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from gpu_pack.formats.manifest import Manifest
from gpu_pack.formats.published_file import PublishedFile, read_published
from gpu_pack.sagemaker.channels import Channel
from gpu_pack.sagemaker.options import USUAL_EDGE, JobOptions
from gpu_pack.sagemaker.survey import Survey
from gpu_pack.stores.data_path import DataPath
from gpu_pack.tools.faults import unreadable

#: Image formats that the job decodes.
_FORMATS = ("jpeg", "png")
_MAX_LISTED = 8


#: Both channels with what was found in them, train first.
Surveyed = Sequence[tuple[Channel, Survey]]


def image_shape(manifest: Manifest | None, options: JobOptions) -> tuple[int, int, int]:
    """``(channels, height, width)`` in pixels: as asked for, else the size that the images were packed to, else 224.

    Args:
        manifest: of the images for training; None where there is none.
    """
    if options.image_shape is not None:
        return options.image_shape
    size = None if manifest is None or manifest.spec.pass_through else manifest.spec.size
    edge = USUAL_EDGE if options.pretrained or size is None else size
    return (3, edge, edge)


def broken_rules(found: Surveyed, options: JobOptions) -> Iterator[str]:
    """Every rule that the channels break."""
    _, height, width = image_shape(found[0][0].manifest, options)
    if options.resize is not None and options.resize < max(height, width):
        yield f"resize={options.resize} is less than image_shape 3,{height},{width}: images would be too small"
    for channel, survey in found:
        yield from _bad_file(channel, survey, options)
        yield from _bad_images(channel, survey, height, width, options)
    yield from _bad_labels(found, class_names(found))


def _bad_file(channel: Channel, survey: Survey, options: JobOptions) -> Iterator[str]:
    yield from survey.bad_index
    for fault in survey.damage[:_MAX_LISTED]:
        yield f"{channel.rec}: {fault}"
    published = None if channel.manifest is None else channel.manifest.files.get(channel.rec.name)
    if channel.manifest is not None and (published is None or not _is_published(channel.rec, survey, published)):
        yield f"{channel.rec}: its bytes are not those that were published: see `gpu-pack verify`"
    if survey.images < options.mini_batch_size and (survey.images or not survey.damage):
        remedy = f", or give --hyperparameter mini_batch_size={survey.images}" if survey.images else ""
        yield (
            f"{channel.rec}: fewer images ({survey.images}) than mini_batch_size ({options.mini_batch_size}): "
            f"pack more{remedy}"
        )


def _is_published(rec: DataPath, survey: Survey, published: PublishedFile) -> bool:
    if survey.bytes != published.bytes or survey.sha256 is None:
        return survey.bytes == published.bytes
    return survey.sha256 == published.sha256 if not published.parts else _has_parts(rec, published)


def _has_parts(rec: DataPath, published: PublishedFile) -> bool:
    """Read a file again that a store joined of parts: only their hashes are known."""
    try:
        return read_published(rec, published.lengths) == published
    except OSError as error:
        raise unreadable(rec, error) from error


def _bad_images(channel: Channel, survey: Survey, height: int, width: int, options: JobOptions) -> Iterator[str]:
    total = f"of {survey.images:,} images"
    if survey.metadata:
        yield (
            f"{channel.rec}: {survey.metadata:,} records without a picture, which the job cannot decode, the first of "
            f"them key {survey.metadata_key}: `gpu-pack extract` and `gpu-pack create` pack the pictures alone"
        )
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
    train, trained = found[0]
    missing = list(islice((label for label in range(count) if label not in trained.labels), _MAX_LISTED))
    if missing and trained.images:
        named = ", ".join(f"{label} ({classes[label]})" if classes is not None else str(label) for label in missing)
        others = count - sum(label < count for label in trained.labels) - len(missing)
        more = f" and {others:,} more" if others else ""
        yield (
            f"{train.rec}: no image has the label {named}{more}; the job takes 0 to {count - 1} without gaps: "
            "pack again with images of each class, or without the empty classes"
        )
    for channel, survey in found if classes is not None else ():
        if max(survey.labels, default=0) >= count:
            yield f"{channel.rec}: label {max(survey.labels):g} is none of the {count} classes"


def class_names(found: Surveyed) -> tuple[str, ...] | None:
    """The names of the classes, which no two channels have differently; None where there are none."""
    return next((channel.classes for channel, _ in found if channel.classes is not None), None)


def num_classes(found: Surveyed, classes: Sequence[str] | None) -> int:
    """How many classes there are: as many as have names, or else by the highest label."""
    highest = max((int(max(survey.labels)) for _, survey in found if survey.labels), default=-1)
    return len(classes) if classes is not None else highest + 1
