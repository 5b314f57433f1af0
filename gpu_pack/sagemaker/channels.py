"""The job's two channels: splits of a published folder, or a published folder or bare .rec file for each."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from gpu_pack.errors import SourceError, UsageError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import read_classes
from gpu_pack.formats.manifest import Manifest
from gpu_pack.sagemaker.options import JobOptions
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.data_path import DataPath, PathLike, data_path
from gpu_pack.tools.locate import Located, locate

_VALIDATION_NAMES = ("validation", "val", "valid")


@dataclass(frozen=True)
class Channel:
    """One of the job's two inputs.

    Attributes:
        name: ``train`` or ``validation``.
        rec: the .rec file that it takes.
        manifest: the manifest that names this file; None for a .rec without one.
        classes: the names of the classes; None where there are none.
    """

    name: str
    rec: DataPath
    manifest: Manifest | None = None
    classes: tuple[str, ...] | None = None


def choose_channels(
    out: PathLike | None, options: JobOptions, store: StoreOptions | None = None
) -> tuple[Channel, Channel]:
    """The train and the validation channel.

    Args:
        out: a folder that `create` wrote, whose splits are the channels; None where ``options`` name their sources.
        store: how those in buckets are reached.

    Raises:
        UsageError: ``out`` and ``train_from`` are both given, or neither; or both channels are one file.
        SourceError: a split that is missing or has several .rec files, several splits that could validate, or different
            lists of classes.
    """
    if (out is None) == (options.train_from is None):
        raise UsageError("give either OUT, a folder that `gpu-pack create` wrote, or --train-from, before s3://...")
    folder = None if out is None else data_path(out, store)
    if options.train_from is not None:
        train = _channel_from(data_path(options.train_from, store), "train", options)
    else:
        assert folder is not None
        train = _split_channel(folder, *_published(folder), "train", options.train)
    validation = _validation(folder, options, store)
    if _same(train.rec, validation.rec):
        raise UsageError(f"{train.rec} would be both channels: they must differ")
    _refuse_other_classes(train, validation)
    return train, validation


def _same(one: DataPath, other: DataPath) -> bool:
    if isinstance(one, Path) and isinstance(other, Path):
        with suppress(OSError):  # that a file is missing is told when it is read
            return os.path.samefile(one, other)
    return one == other


def _validation(out: DataPath | None, options: JobOptions, store: StoreOptions | None) -> Channel:
    if options.validation_from is not None:
        return _channel_from(data_path(options.validation_from, store), "validation", options)
    if out is None:
        raise SourceError(
            f"{options.train_from}: SageMaker trains with a validation set too, for --validation-from: `gpu-pack "
            "create SOURCE OUT --split train=0.9 --split validation=0.1` makes both from one source"
        )
    manifest, classes = _published(out)
    name = options.validation or _validation_split(out, manifest, options.train)
    return _split_channel(out, manifest, classes, "validation", name)


def _validation_split(folder: DataPath, manifest: Manifest, train: str) -> str:
    others = [name for name in manifest.splits if name != train]
    named = [name for name in _VALIDATION_NAMES if name in others]
    if named or len(others) == 1:
        return (named or others)[0]
    if others:
        raise SourceError(f"{folder}: which split is for validation: {', '.join(others)}? Name it with --validation")
    raise SourceError(
        f"{folder}: there is no split but {train}, and SageMaker trains with two: `gpu-pack create SOURCE {folder} "
        f"--overwrite --split {train}=0.9 --split validation=0.1` makes one, or --validation-from names another set"
    )


def _published(out: DataPath) -> tuple[Manifest, tuple[str, ...] | None]:
    """The manifest and the classes of a folder that `create` has finished."""
    located = _located(out)
    if not located.whole or located.manifest is None:
        raise SourceError(f"{out}: no manifest.json: name a folder that `gpu-pack create` has finished")
    return located.manifest, _class_names(located.manifest)


def _channel_from(source: DataPath, name: str, options: JobOptions) -> Channel:
    """A channel of its own source: the only split of a published folder, or one .rec file."""
    located = _located(source)
    if not located.whole:
        (target,) = located.targets
        return Channel(name, target.rec, target.manifest, _class_names(target.manifest))
    if located.manifest is None:
        raise SourceError(f"{source}: no manifest.json: name the .rec file in it, or a folder that create has finished")
    splits = list(located.manifest.splits)
    if len(splits) > 1:
        raise SourceError(
            f"{source}: --{name}-from takes one split, and it has {', '.join(splits)}: name one of its .rec files, "
            "or give the folder itself before s3://..."
        )
    return _split_channel(source, located.manifest, _class_names(located.manifest), name, splits[0])


def _located(path: DataPath) -> Located:
    if not isinstance(path, Path) and path.address.scheme != "s3":
        raise SourceError(f"{path}: only S3 copies to S3 by itself: name a dataset in s3://, or one on this machine")
    located = locate(path)
    if located.damage is not None:
        raise located.damage
    return located


def _class_names(manifest: Manifest | None) -> tuple[str, ...] | None:
    if manifest is None or manifest.classes is None:
        return None
    return read_classes(manifest.path.parent / CLASSES)


def _split_channel(
    folder: DataPath, manifest: Manifest, classes: tuple[str, ...] | None, name: str, split: str
) -> Channel:
    if split not in manifest.splits:
        raise SourceError(f"{folder}: no split is named {split}, only {', '.join(manifest.splits)}: see --{name}")
    shards = manifest.splits[split].shards
    if len(shards) != 1:
        raise SourceError(
            f"{folder}: split {split} has {len(shards)} .rec files, and a channel takes one: pack again with --shards 1"
        )
    return Channel(name, folder / shards[0], manifest, classes)


def _refuse_other_classes(train: Channel, validation: Channel) -> None:
    """The same label must be the same class in both channels."""
    if train.classes is None or validation.classes is None:
        return
    for label, (one, other) in enumerate(zip_longest(train.classes, validation.classes, fillvalue="not there")):
        if one != other:
            raise SourceError(
                f"{train.rec} and {validation.rec} have different classes: label {label} is {one} in the one and "
                f"{other} in the other; pack the second again with --classes {train.rec.parent / CLASSES}"
            )
