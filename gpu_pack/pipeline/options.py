"""The options of a run, and the one translation of keyword arguments and command-line flags into them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, get_args

from gpu_pack.backends import DeviceOptions
from gpu_pack.errors import UsageError, told
from gpu_pack.pipeline.boxes import Boxes
from gpu_pack.sources.source_options import ClassOrder, Layout, ListFormat, SourceFormat, SourceOptions
from gpu_pack.sources.splits import Division, is_split_source, split_name_fault, split_pair
from gpu_pack.stores.address import StoreOptions
from gpu_pack.types import (
    MAX_EDGE,
    Color,
    Damage,
    Depth,
    Device,
    Duplicates,
    EncoderName,
    Encoding,
    Engine,
    Formats,
    Interp,
    Target,
    TransformSpec,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

PathLike = str | os.PathLike[str]
#: Of a split: a fraction, or the path or address of its source.
Fractional = float | str | Fraction | os.PathLike[str]
Splits = str | Mapping[str, Fractional] | Iterable[str | tuple[str, Fractional]]

#: Height and width of InsightFace's aligned faces.
FACE_SIZE = 112
#: Keywords that change pixels or files, which ``pass_through`` does not.
_PIXELS = ("size", "resize", "quality", "encoding", "color", "interp", "crop", "upscale", "background", "depth")


@dataclass(frozen=True)
class CreateOptions:
    """The options of `gpu_pack.create`.

    Attributes:
        spec: what happens to each image.
        division: splits, order and shards.
        device: what to run on.
        boxes: what becomes of the boxes of detection lists where a crop cuts the picture: ``move`` them, ``keep`` them
            with a warning, or ``refuse`` such pictures.
        duplicates: files with the same bytes: ``keep`` them, ``drop`` all but the first, ``group`` them in one split.
        source: what is said of the sources.
        split_sources: splits that have a source of their own, with its path or address.
        target: ``insightface`` groups the pictures by identity, as its loaders want it.
        strict: the first bad image or a warning fails the run, and nothing is published.
        overwrite: replace what an earlier run published.
        merge: join the shards of each split into one file, once all are packed.
        dry_run: list and divide only.
        store: how addresses are reached.
        staging: folder of this machine in which the files of an output that is an address grow; None for one in the
            user's cache. Each address has a folder of its own there.
        engine: ``local`` packs on this machine, ``ray`` on a Ray cluster.
        address: of the cluster, or ``auto``; None for Ray's own choice, which starts one where there is none.
        verbose: show the engine's own log.

    Raises:
        UsageError: a value of the wrong type or out of range.
    """

    spec: TransformSpec = field(default_factory=TransformSpec)
    division: Division = field(default_factory=Division)
    device: DeviceOptions = field(default_factory=DeviceOptions)
    boxes: Boxes = "move"
    duplicates: Duplicates = "keep"
    source: SourceOptions = field(default_factory=SourceOptions)
    split_sources: tuple[tuple[str, str], ...] = ()
    target: Target | None = None
    strict: bool = False
    overwrite: bool = False
    merge: bool = False
    dry_run: bool = False
    store: StoreOptions = field(default_factory=StoreOptions)
    staging: Path | None = None
    engine: Engine = "local"
    address: str | None = None
    verbose: bool = False

    def __post_init__(self) -> None:
        if self.engine not in get_args(Engine):
            raise UsageError(f"{told('engine', self.engine)}: choose local or ray")
        if self.address is not None and self.engine != "ray":
            raise UsageError(f"{told('address', self.address)}: it is a Ray cluster's: add engine='ray' (--engine ray)")
        for name in ("strict", "overwrite", "merge", "dry_run", "verbose"):
            if type(value := getattr(self, name)) is not bool:
                raise UsageError(f"{name}={value!r} (--{name.replace('_', '-')}): it takes True or False")
        if self.split_sources and self.division.splits:
            raise UsageError("splits (--split): give every split a fraction, or every split a source")
        names = [name for name, _ in self.split_sources]
        for name, source in self.split_sources:
            if fault := split_name_fault(name):
                raise UsageError(f"splits {str(name)[:20]}={source} (--split): {fault}")
            if names.count(name) > 1:
                raise UsageError(f"splits {name}={source} (--split): named twice; a pattern stands for several files")
        if self.boxes not in get_args(Boxes):
            raise UsageError(f"{told('boxes', self.boxes)}: choose move, keep or refuse")
        if self.duplicates not in get_args(Duplicates):
            raise UsageError(f"{told('duplicates', self.duplicates)}: choose keep, drop or group")
        if self.target is not None:
            self._check_target()

    def _check_target(self) -> None:
        """Refuse what contradicts InsightFace's layout."""
        what = f"target={self.target} (--for)"
        if self.target not in get_args(Target):
            raise UsageError(f"{what}: choose {' or '.join(get_args(Target))}")
        if self.division.splits or self.split_sources or self.division.shards not in (None, 1):
            raise UsageError(f"{what}: InsightFace's set is one file, train.rec: leave splits and shards out")
        if self.division.shuffle:
            raise UsageError(f"{what}: InsightFace's pictures are grouped by identity, and not shuffled")
        spec = self.spec
        if not spec.pass_through and not (spec.size and spec.crop and spec.upscale):
            raise UsageError(f"{what}: InsightFace's pictures have one size: give size=N (--size), and keep the crop")


class TransformKeywords(TypedDict, total=False):
    """Keyword arguments of `gpu_pack.transform`; None stands for the default."""

    size: int | None
    resize: int | None
    crop: bool | None
    upscale: bool | None
    quality: int | None
    encoding: Encoding | None
    color: Color | None
    interp: Interp | None
    max_pixels: int | None
    background: str | None
    depth: Depth | None
    damage: Damage | None
    formats: Formats | None
    device: Device | None
    gpus: str | int | Sequence[int] | None
    workers: int | None
    batch_size: int | None
    encoder: EncoderName | None


class CreateKeywords(TransformKeywords, total=False):
    """Keyword arguments of `gpu_pack.create`; None stands for the default."""

    pass_through: bool | None
    splits: Splits | None
    seed: int | None
    shuffle: bool | None
    stratify: bool | None
    shards: int | None
    boxes: Boxes | None
    target: Target | None
    duplicates: Duplicates | None
    strict: bool | None
    overwrite: bool | None
    merge: bool | None
    dry_run: bool | None
    source_format: SourceFormat | None
    root: PathLike | None
    allow_outside: bool | None
    classes: PathLike | None
    layout: Layout | None
    class_order: ClassOrder | None
    list_format: ListFormat | None
    image_key: str | None
    label_key: str | None
    path_column: str | None
    label_column: str | Sequence[str] | None
    split_column: str | None
    labels: PathLike | Mapping[str, PathLike] | Sequence[PathLike] | None
    class_names: PathLike | None
    rekey: bool | None
    endpoint_url: str | None
    anonymous: bool | None
    staging: PathLike | None
    engine: Engine | None
    address: str | None
    verbose: bool | None


def create_options(base: CreateOptions | None = None, **keywords: Unpack[CreateKeywords]) -> CreateOptions:
    """The options that the keyword arguments ask for; what is not given, or None, stays as in ``base``.

    Raises:
        UsageError: a value out of range, or arguments that contradict each other.
        TypeError: an argument of another name.
    """
    base = CreateOptions() if base is None else base
    if not isinstance(base, CreateOptions):
        raise TypeError(f"options is a CreateOptions, not {type(base).__name__}")
    _refuse_unknown(keywords, CreateKeywords.__optional_keys__)
    given: dict[str, Any] = {name: value for name, value in keywords.items() if value is not None}
    sized = given.get("pass_through") or "size" in given or "resize" in given
    if "target" in given and base.spec == TransformSpec() and not sized:
        given["size"] = FACE_SIZE
    if "splits" in given:
        given |= _splits(given.pop("splits"))
    if "staging" in given:
        given["staging"] = Path(given["staging"])
    if "gpus" in given:
        given["gpus"] = _gpu_numbers(given["gpus"])
    parts = {
        "spec": _spec(base.spec, given),
        "division": replace(base.division, **_select(given, _names(Division))),
        "device": replace(base.device, **_select(given, _names(DeviceOptions))),
        "source": replace(base.source, **_select(given, _names(SourceOptions))),
        "store": replace(base.store, **_select(given, ("endpoint_url", "anonymous"))),
    }
    return replace(base, **{**_select(given, _names(CreateOptions)), **parts})


def transform_options(**keywords: Unpack[TransformKeywords]) -> tuple[TransformSpec, DeviceOptions]:
    """What `gpu_pack.transform` needs of `create_options`."""
    _refuse_unknown(keywords, TransformKeywords.__optional_keys__)
    options = create_options(**keywords)
    return options.spec, options.device


def _refuse_unknown(keywords: Iterable[str], known: Collection[str]) -> None:
    unknown = [name for name in keywords if name not in known]
    if unknown:
        raise TypeError(f"there is no option {unknown[0]!r}")


def _names(kind: Any) -> list[str]:
    return [each.name for each in fields(kind)]


def _select(given: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


def _spec(base: TransformSpec, given: Mapping[str, Any]) -> TransformSpec:
    pixels = _select(given, _PIXELS)
    others = _select(given, ("pass_through", "max_pixels", "damage", "formats"))
    if others.get("pass_through", base.pass_through) and pixels:
        changes = " and ".join(told(name, value) for name, value in pixels.items())
        raise UsageError(f"{told('pass_through', True)}: files are stored as they are, and {changes} would change them")
    if "resize" in pixels:
        pixels |= {"size": _resize(pixels), "crop": False}
        del pixels["resize"]
    if pixels.get("encoding", base.encoding) != base.encoding:
        pixels.setdefault("quality", None)  # the new encoding's default
    return replace(base, **pixels, **others)


def _resize(pixels: Mapping[str, Any]) -> int:
    """The shorter edge that ``resize`` asks for, which crops nothing."""
    edge: int = pixels["resize"]
    if "size" in pixels:
        raise UsageError(
            f"{told('size', pixels['size'])} and {told('resize', edge)} both set the shorter edge: give one"
        )
    if pixels.get("crop"):
        raise UsageError(
            f"{told('resize', edge)} does not crop: size=N (--size) scales the shorter edge to N and cuts the centre"
        )
    if type(edge) is not int or not 1 <= edge <= MAX_EDGE:
        raise UsageError(f"{told('resize', edge)}: the shorter edge is a whole number from 1 to {MAX_EDGE} pixels")
    return edge


def _splits(given: Splits) -> dict[str, Any]:
    """What `Division` takes as ``splits``, and `CreateOptions` as ``split_sources``."""
    try:
        items: Iterable[Any] = [given] if isinstance(given, str) else given
        items = given.items() if isinstance(given, Mapping) else items
        pairs: list[Any] = [split_pair(item) if isinstance(item, str) else item for item in items]
        sources = tuple((name, os.fspath(value)) for name, value in pairs if is_split_source(value))
        return {"splits": tuple(pair for pair in pairs if not is_split_source(pair[1])), "split_sources": sources}
    except (TypeError, ValueError, IndexError) as error:
        if isinstance(error, UsageError):
            raise
        return {"splits": given}  # which says what is wrong


def _gpu_numbers(given: str | int | Sequence[int]) -> tuple[int, ...]:
    try:
        if isinstance(given, int):
            return (given,)
        return tuple(int(number) for number in (given.split(",") if isinstance(given, str) else given))
    except (TypeError, ValueError):
        raise UsageError(f"{told('gpus', given)}: give GPU numbers separated by commas, as in 0,1") from None
