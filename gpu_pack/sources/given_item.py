"""One image as Python callers give it, checked: every fault is a `UsageError` with the item's number."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gpu_pack.errors import UsageError
from gpu_pack.formats import lst
from gpu_pack.recordio import header_carries_magic
from gpu_pack.sources.found import Label
from gpu_pack.sources.splits import split_name_fault

_EXPECTED = "(path or bytes, label), or a dict with 'path' or 'image', and 'label'"
_MAX_KEY = (1 << 64) - 1


class GivenItem(NamedTuple):
    """An image of an iterable.

    Attributes:
        path: of the file; of bytes the name that was given with them, or ``image-N``.
        data: the bytes; None for a file.
        label: the name of its class, or label values that records hold.
        split, key: None where none was given.
    """

    path: str
    data: bytes | None
    label: Label
    split: str | None = None
    key: int | None = None


def check_items(items: Iterable[Any]) -> Iterator[GivenItem]:
    """Every item, checked; keys are given to all or to none, and differ.

    Raises:
        UsageError: an item that is no image with a label.
    """
    keys = lst.KeySet()
    labels: dict[Label, Label] = {}
    keyed = False
    for number, item in enumerate(items):
        try:
            found = _item(number, item)
            if found.label not in labels:
                _check_label(found.label)
                labels[found.label] = found.label
            if not number:
                keyed = found.key is not None
            if keyed != (found.key is not None):
                raise ValueError("has a key and others have none: give all of them a key, or none")
            if found.key is not None and not keys.add(found.key):
                raise ValueError(f"has the key {found.key} of an earlier one")
        except ValueError as error:
            raise UsageError(f"images: item {number} {error}") from None
        yield found._replace(label=labels[found.label])


def _item(number: int, item: Any) -> GivenItem:
    if isinstance(item, Mapping):
        return _from_mapping(number, item)
    if isinstance(item, (str, os.PathLike)):
        raise ValueError("is a path alone: give (path, label); sources are one path, or a list of paths")
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        length = f" of {len(item)}" if isinstance(item, (tuple, list)) else ""
        raise ValueError(f"is a {type(item).__name__}{length}: expected {_EXPECTED}")
    path, data = _image(item[0])
    return GivenItem(path or f"image-{number}", data, _label(item[1]))


def _from_mapping(number: int, item: Mapping[Any, Any]) -> GivenItem:
    image, path = item.get("image"), item.get("path")
    if "label" not in item or (image is None and path is None):
        raise ValueError(f"is a dict with {', '.join(map(repr, item)) or 'nothing'} in it: expected {_EXPECTED}")
    name, data = _image(path if image is None else image)
    if data is not None and path is not None:
        name, _ = _image(path)
    split = item.get("split")
    if split is not None and (fault := split_name_fault(split)):
        raise ValueError(f"has the split {str(split)[:20]!r}: {fault}")
    return GivenItem(name or f"image-{number}", data, _label(item["label"]), split, _key(item.get("key")))


def _image(image: Any) -> tuple[str | None, bytes | None]:
    """A path; or bytes, and their name if they have one, as in Hugging Face's ``{"bytes": ..., "path": ...}``."""
    if isinstance(image, (str, os.PathLike)):
        return os.fsdecode(image), None
    if isinstance(image, (bytes, bytearray, memoryview)):
        return None, bytes(image)
    if isinstance(image, Mapping) and (image.get("bytes") is not None or image.get("path") is not None):
        name, _ = _image(image["path"]) if image.get("path") is not None else (None, None)
        return name, None if image.get("bytes") is None else bytes(image["bytes"])
    raise ValueError(f"has a {type(image).__name__} for its image: expected a path, or the bytes of an image file")


def _label(label: Any) -> Label:
    if isinstance(label, str):
        return str(label)
    if label is None or isinstance(label, (bytes, bytearray, Mapping)):
        raise ValueError(f"has {label!r:.40} for its label: expected a number, several numbers, or a class name")
    try:
        try:
            values = iter(label)
        except TypeError:  # also an array without dimensions
            return (float(label),)
        return tuple(map(float, values))
    except (TypeError, ValueError, OverflowError):
        shown = f"{label!r:.40}"
        raise ValueError(f"has {shown} for its label: expected a number, several numbers, or a class name") from None


def _check_label(label: Label) -> None:
    if isinstance(label, str):
        return
    if not label:
        raise ValueError("has no label values")
    for value in label:
        try:
            lst.check_label(value)
        except ValueError as error:
            raise ValueError(f"cannot be packed: {error}") from None


def _key(key: Any) -> int | None:
    if key is None:
        return None
    try:
        number = operator.index(key)
    except TypeError:
        number = -1
    if isinstance(key, bool) or not 0 <= number <= _MAX_KEY:
        raise ValueError(f"has the key {key!r:.40}: a key is a whole number from 0 to 2^64-1")
    if header_carries_magic(number):
        raise ValueError(f"has the key {number}, whose bits hold RecordIO's magic number: use another one")
    return number
