"""The public functions `gpu_pack.create` and `gpu_pack.transform`."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpu_pack import backends, console
from gpu_pack.errors import UsageError
from gpu_pack.pipeline import create as pipeline
from gpu_pack.pipeline.engine import Engine
from gpu_pack.pipeline.options import (
    CreateKeywords,
    CreateOptions,
    PathLike,
    TransformKeywords,
    create_options,
    transform_options,
)
from gpu_pack.pipeline.report import Report
from gpu_pack.sources.given import GivenImages
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Entry, Image, OnProgress, Outcome, Rejected

if TYPE_CHECKING:
    from typing_extensions import Unpack

Given = bytes | str | os.PathLike[str]
Label = float | Sequence[float]
MaybeLabelled = Given | tuple[Given, Label]
#: ``(path or bytes, label)``, or a dict with ``image`` or ``path``, ``label``, ``split`` and ``key``.
GivenImage = tuple[Given, Label | str] | Mapping[str, Any]
#: Images to expect where nobody counted them: all the processes that a GPU can use are started.
_MANY = 1 << 40


def create(
    source: PathLike | Sequence[PathLike] | Iterable[GivenImage] | None,
    out: str | os.PathLike[str],
    options: CreateOptions | None = None,
    *,
    progress: bool | OnProgress = False,
    **keywords: Unpack[CreateKeywords],
) -> Report:
    """Pack the images of one or several sources into RecordIO files.

    The same call after an interruption resumes the run. Images that cannot be packed are left out and written to
    rejects.jsonl.

    Args:
        source: a folder of class folders, of splits with class folders, or of images; a .lst file; a table of paths
            and labels; Parquet files that hold images; .rec files; or several of them, as a list. None where
            ``splits`` names a source for each split.

            Or any iterable of images, such as a generator or a dataset: ``(path or bytes, label)``, or dicts with
            ``image`` (a path, the bytes of an image file, or Hugging Face's dict of these) or ``path``, ``label``, and,
            if wanted, ``split`` and ``key``. A label is a number, several numbers, or the name of a class. The iterable
            is read once, to its end, before the first image is packed; bytes are spooled on the disk of ``out``, so
            that the set may be larger than memory, and is shuffled and divided as any other. To resume a run, call
            with a fresh iterable that gives the same images.
        out: the folder that receives NAME.rec, NAME.idx and NAME.lst for each split, classes.txt, rejects.jsonl and
            manifest.json; or its address in an object store (``s3://``, ``gs://``, ``az://``).
        options: what the keyword arguments start from.
        progress: True shows it on standard error; a function is called with a `Progress` a few times a second.
        size: shorter edge of the results in pixels, of which the central square is kept [224].
        resize: shorter edge in pixels, without a crop.
        crop, upscale: cut the central square; enlarge small images [both True].
        pass_through: store the files as they are.
        encoding, quality: ``jpg`` with quality 1-100 [95], or ``png`` with compression level 0-9 [3].
        color: ``rgb``, ``gray`` or ``unchanged`` [rgb].
        interp: ``antialias``, or ``linear`` as im2rec does [antialias].
        max_pixels: images that decode to more are rejected [178956970].
        background: a CSS colour, such as ``white`` or ``#ffffff``, that transparent pictures are laid on [alpha is
            dropped].
        depth: ``scale`` stretches 16-bit pictures that use fewer bits; ``keep`` does not [keep].
        damage: ``keep`` packs JPEGs that only lack the end marker, or have 9 to 1,024 bytes before it [reject].
        formats: ``any`` packs every format that OpenCV decodes, ``standard`` JPEG, PNG, WebP, BMP and TIFF [standard].
        splits: fractions by name, as ``{"train": 0.9, "val": 0.1}``, or a source each, as ``{"train": "a", "val":
            "b"}``; pairs, or ``"train=0.9"`` each, are taken too [train=1, or the source's own].
        seed, shuffle: of the order of each split [100; True, unless an undivided .lst or .rec gives the order].
        stratify: give each split its share of every label [True].
        shards: files that each split is divided into [1].
        boxes: of detection lists, where a crop cuts the picture: ``move`` them, ``keep`` them with a warning, or
            ``refuse`` such pictures [move].
        target: ``insightface`` writes train.rec, train.idx, train.lst and property as its loaders want them: grouped by
            identity, 112 x 112 unless ``size`` says otherwise [None].
        duplicates: files with the same bytes: ``keep`` them, ``drop`` all but the first, which makes them rejects, or
            ``group`` them in one split [keep].
        device: ``auto``, ``gpu``, ``cpu`` or ``hybrid`` [auto].
        gpus: GPU numbers [all]. encoder: the GPU path's, ``auto``, ``nvjpeg``, ``cpu`` or ``cuda`` [auto].
        workers, batch_size: CPU workers [one a core], and images that a worker takes at once.
        layout: of a folder: ``auto``, ``classes`` or ``splits`` [auto].
        class_order: labels by ``name`` or ``natural`` order of the classes [name].
        list_format: ``auto``, ``mxnet``, ``csv`` or ``aligned`` [auto].
        source_format, root, allow_outside, classes, image_key, label_key, path_column, label_column, split_column,
        labels, class_names, rekey: see `SourceOptions`.
        strict, overwrite, merge, dry_run, staging: see `CreateOptions`.
        engine, address, verbose: ``ray`` packs on a Ray cluster, see `CreateOptions` [local]. Files then take some
            256 MiB each unless ``shards`` is given.
        endpoint_url, anonymous: of object stores, see `StoreOptions`.

    Raises:
        GpuPackError: see `gpu_pack.errors`; what is written stays, and the run can be resumed.
        Exception: whatever an iterable of images raises.
    """
    chosen = create_options(options, **keywords)
    sources = _sources(source)
    if callable(progress):
        return _engine(chosen)(sources, os.fspath(out), chosen, progress)
    with console.progress(quiet=not progress) as on_progress:
        return _engine(chosen)(sources, os.fspath(out), chosen, on_progress)


def _engine(options: CreateOptions) -> Callable[[list[str] | GivenImages, str, CreateOptions, OnProgress], Report]:
    if options.engine == "local":
        return pipeline.create
    from gpu_pack.distributed.create import create

    return create


def _sources(given: Any) -> list[str] | GivenImages:
    if given is None:
        return []
    named = [given] if isinstance(given, (str, os.PathLike)) else given
    if isinstance(named, (list, tuple)) and all(isinstance(each, (str, os.PathLike)) for each in named):
        return [os.fspath(each) for each in named]
    return GivenImages(given)


def transform(images: Iterable[MaybeLabelled], **keywords: Unpack[TransformKeywords]) -> Iterator[Outcome]:
    """Decode, resize, crop and encode images; outcomes come in the images' order, while further ones are worked on.

    Args:
        images: encoded images as bytes or paths, each alone or with its label or labels. They are taken as they are
            needed, by one of several threads at a time.
        keywords: see `gpu_pack.create`. Here ``auto`` is the CPU; ``gpu`` and ``hybrid`` take paths only.

    Returns:
        For each image an `Encoded`, or a `Rejected` with the reason. Their ``entry`` has the image's number, from 0, as
        ``key``, its labels and its path.

    Raises:
        UsageError: an option that cannot be right, or bytes for the GPU.
        BackendError: no such device is usable, or it broke.
        Exception: whatever ``images`` raises.
    """
    spec, device = transform_options(**keywords)
    if device.device in ("auto", "cpu"):
        given = _GivenImages()
        return _outcomes(Engine(backends.open_cpu_threads(spec, device, given)), given, images)
    backend = backends.open_backend(spec, device, backends.choose(spec, device), LocalStore(os.getcwd()), _MANY)
    engine = Engine(backend.workers, backend.rescue, bytes_in_flight=backend.bytes_in_flight)
    return _outcomes(engine, _GivenImages(in_memory=False), images)


def _outcomes(engine: Engine, given: _GivenImages, images: Iterable[MaybeLabelled]) -> Iterator[Outcome]:
    total = len(images) if isinstance(images, Sized) else None
    with closing(engine.run(given.entries(images), total)) as outcomes:
        for outcome in outcomes:
            given.forget(outcome.entry)
            yield outcome


@dataclass(frozen=True)
class _GivenImages(LocalStore):
    """A store over what the caller of `transform` gives: bytes, or paths to files.

    Attributes:
        in_memory: whether bytes can be read; workers in other processes cannot.
        data: bytes by key, until `forget`.
    """

    root: str = ""
    in_memory: bool = True
    data: dict[int, bytes] = field(default_factory=dict)

    def entries(self, images: Iterable[MaybeLabelled]) -> Iterator[Entry]:
        """An entry for each image."""
        for key, item in enumerate(images):
            image, label = item if isinstance(item, tuple) else (item, 0.0)
            try:
                labels: tuple[float, ...] = (float(label),)  # type: ignore[arg-type]  # NumPy's numbers too
            except TypeError:
                labels = tuple(map(float, label))  # type: ignore[arg-type]
            if not isinstance(image, bytes):
                yield Entry(key, labels, os.fspath(image))
                continue
            if not self.in_memory:
                raise UsageError(f"image {key} is given as bytes, and the GPU's workers read files: give its path")
            self.data[key] = image
            yield Entry(key, labels, f"image {key}", len(image))

    def forget(self, entry: Entry) -> None:
        self.data.pop(entry.key, None)

    def read_many(self, entries: Iterable[Entry]) -> Generator[Image | Rejected, None, None]:
        """See `gpu_pack.stores.store.Store.read_many`."""
        wanted = list(entries)
        files = super().read_many([entry for entry in wanted if entry.key not in self.data])
        for entry in wanted:
            data = self.data.get(entry.key)
            yield next(files) if data is None else Image(entry, data)
