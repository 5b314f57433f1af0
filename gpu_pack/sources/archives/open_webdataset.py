"""WebDataset shards: tars in which the files of a sample share their name up to the first dot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gpu_pack.errors import SourceError, told
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.archives.damage import damage_notices
from gpu_pack.sources.archives.member_names import clean_name, shown_name
from gpu_pack.sources.archives.plain_tar import PlainTar, open_plain, reserve
from gpu_pack.sources.archives.sample_labels import MOST_BYTES, LabelKey, split_name
from gpu_pack.sources.archives.tar_walk import TarMember, TarWalk
from gpu_pack.sources.found import Facts, Found, Label
from gpu_pack.sources.open_source import OpenSource, SourceFiles
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool
from gpu_pack.sources.tree import IMAGE_SUFFIXES, suffix
from gpu_pack.stores.store import Stat

#: Told where no label is found.
_MOST_ENDINGS = 20
_TWICE = ("another member of the archive has its name, and is the one that counts", "duplicate")


def open_webdataset(
    files: SourceFiles, options: SourceOptions, classes: tuple[str, ...] | None, spool: Spool
) -> OpenSource:
    """The images of WebDataset shards, which are one set, in their order.

    Args:
        files: the shards, of which compressed ones are spooled.
        options: which files of a sample are its image and its label.
        classes: names by label.
        spool: for compressed shards.
    """
    facts = Facts(files.source)
    return OpenSource(files.store, _find(files, options, facts, spool), facts)


def _find(files: SourceFiles, options: SourceOptions, facts: Facts, spool: Spool) -> Iterator[Found]:
    reserve(files, spool)
    reader = _Reader(options, facts)
    for path in files.paths:
        with open_plain(files.store, path, spool) as tar:
            yield from reader.read(tar)
    facts.notices += reader.notices()
    if reader.images and not reader.labelled:
        if reader.fault:
            raise SourceError(f"{files.source}: no sample has a label that can be used, such as {reader.fault}")
        endings = ", ".join(sorted(reader.endings))
        looked = told("label_key", options.label_key) if options.label_key else "cls and json"
        raise SourceError(
            f"{files.source}: no sample has a label, looked for as {looked}; its files end with {endings}: "
            "--label-key names the one with the label, as json.FIELD for a field of a JSON"
        )


@dataclass
class _Sample:
    """The files of one sample, so far."""

    images: dict[str, TarMember] = field(default_factory=dict)
    label: Label | None = None
    fault: str = ""

    @property
    def complete(self) -> bool:
        return bool(self.images) and self.label is not None


class _Reader:
    """Joins files to samples. A sample is yielded at the next one's first file; an incomplete one waits.

    Attributes:
        images, labelled: how many of either were found.
        endings: suffixes that were seen.
        fault: of the first label that cannot be used, with its file's name; empty without one.
    """

    def __init__(self, options: SourceOptions, facts: Facts) -> None:
        self._facts, self._label_key = facts, LabelKey(options.label_key)
        asked = options.image_key
        self._image_keys = [key.strip().lower() for key in asked.split(";")] if asked is not None else None
        self._first_image = ""
        self._further, self._further_example = 0, ""
        self.images = self.labelled = 0
        self.endings: set[str] = set()
        self.fault = ""

    def read(self, tar: PlainTar) -> Iterator[Found]:
        """The images of one shard."""
        walk = TarWalk(tar.read_at, tar.end, tar.start, tar.forward)
        open_samples: dict[str, _Sample] = {}
        given: set[str] = set()
        last, count, size = "", 0, 0
        for member in walk:
            count, size = count + 1, size + member.size
            path, fault = clean_name(member.name)
            key, ending = split_name(path)
            if fault or not self._is_wanted(member, key, ending):
                yield from self._skip(tar, member, fault)
                continue
            if key != last and last in open_samples and open_samples[last].complete:
                yield from self._found(tar, last, open_samples.pop(last), given)
            last = key
            sample = open_samples.setdefault(key, _Sample())
            if self._is_image(ending):
                if ending in sample.images:
                    yield self._make(tar, path, sample.images[ending], (), _TWICE)
                sample.images[ending] = member
            else:
                self._read_label(tar, member, ending, sample)
        for key, sample in open_samples.items():
            yield from self._found(tar, key, sample, given)
        self._facts.notices += damage_notices(tar, walk.damage, size // count if count else 0)

    def notices(self) -> list[Notice]:
        """The note that samples have further images, which are not packed; what one tells of all shards."""
        return [Notice("sample-images", self._further, self._further_example)] if self._further else []

    def _is_image(self, ending: str) -> bool:
        return ending in (IMAGE_SUFFIXES if self._image_keys is None else self._image_keys)

    def _is_wanted(self, member: TarMember, key: str, ending: str) -> bool:
        """Whether it is a sample's image, or the file with its label."""
        if member.kind == "folder" or not key or key.endswith("/"):  # hidden files have no key
            return False
        if len(self.endings) < _MOST_ENDINGS:
            self.endings.add(ending)
        return self._is_image(ending) or self._label_key.may_be(ending)

    def _skip(self, tar: PlainTar, member: TarMember, fault: str) -> Iterator[Found]:
        if member.kind == "folder":
            return
        if fault and suffix(member.name) in IMAGE_SUFFIXES:
            yield self._make(tar, shown_name(member.name), member, (), (fault, "name"))
        else:
            self._facts.skipped["." + split_name(member.name)[1][:40]] += 1

    def _read_label(self, tar: PlainTar, member: TarMember, ending: str, sample: _Sample) -> None:
        if member.kind != "file" or member.fault or member.size > MOST_BYTES:
            reason = member.fault[0] if member.fault else f"{member.size:,} bytes" if member.size else member.kind
            sample.fault = f"the file with its label cannot be read: {reason}"
            return
        try:
            label = self._label_key.read(ending, tar.read_at(member.offset, member.size))
        except ValueError as error:
            sample.fault = str(error)
            self.fault = self.fault or f"{shown_name(member.name)}: {error}"
            return
        if label is not None:
            sample.label = label
            self.labelled += 1

    def _found(self, tar: PlainTar, key: str, sample: _Sample, given: set[str]) -> Iterator[Found]:
        """The image of a sample with its label, or as a reject."""
        if sample.label is not None:
            self._label_key.settle()
        if not sample.images:
            self._facts.skipped["sample without an image"] += 1
            return
        self.images += 1
        ending = self._choose(sample.images)
        member = sample.images[ending]
        if others := [clean_name(image.name)[0] for image in sample.images.values() if image is not member]:
            self._further += len(others)
            self._further_example = self._further_example or f"{tar.shown}!/{others[0]} beside .{ending}"
        refused = member.fault
        if member.kind != "file":
            refused = (f"not a file but a {member.kind}", "unreadable")
        if sample.label is None:
            name = self._label_key.name or "cls or json"
            refused = refused or (sample.fault or f"its sample has no label ({name})", "no-label")
        path, _ = clean_name(member.name)
        if path in given:
            refused = _TWICE
        given.add(path)
        yield self._make(tar, path, member, () if sample.label is None else sample.label, refused)

    def _choose(self, images: dict[str, TarMember]) -> str:
        """The suffix of the image: the one of the first sample, where there are several."""
        order = self._image_keys or [self._first_image]
        found = next((ending for ending in order if ending in images), next(iter(images)))
        self._first_image = self._first_image or found
        return found

    def _make(
        self, tar: PlainTar, path: str, member: TarMember, label: Label, refused: tuple[str, str] | None
    ) -> Found:
        place = None if refused else tar.place(member.offset, member.size)
        return Found(f"{tar.shown}!/{path}", Stat(member.size, tar.version), label, place, refused=refused)
