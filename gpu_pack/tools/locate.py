"""A path from the command line into the .rec files that it means, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gpu_pack.errors import FormatError, SourceError
from gpu_pack.tools.faults import Fault, unreadable
from gpu_pack.tools.manifest import NAME, Manifest, read_manifest


@dataclass(frozen=True)
class Target:
    """One .rec file.

    Attributes:
        rec: its path.
        manifest: the manifest beside it that names it, or None.
        split: its split, by the manifest.
    """

    rec: Path
    manifest: Manifest | None = None
    split: str | None = None

    @property
    def idx(self) -> Path:
        return self.rec.with_suffix(".idx")

    @property
    def lst(self) -> Path:
        return self.rec.with_suffix(".lst")


@dataclass(frozen=True)
class Located:
    """What a path means.

    Attributes:
        folder: that the records lie in.
        whole: the folder itself was named, and not one file of it.
        targets: in the manifest's order, further ones by name after them.
        manifest: or None, where there is none or it is damaged.
        damage: what is wrong with the manifest.
    """

    folder: Path
    whole: bool
    targets: tuple[Target, ...]
    manifest: Manifest | None
    damage: FormatError | None


def locate(path: Path) -> Located:
    """The records that a folder or a .rec file stands for.

    Raises:
        SourceError: nothing there, no records in the folder, or no permission to look.
    """
    try:
        is_folder = path.is_dir()
        if not is_folder and not path.exists():
            raise SourceError(f"{path}: no such file or folder")
        folder = path if is_folder else path.parent
        found = sorted(item for item in folder.iterdir() if item.suffix == ".rec") if is_folder else [path]
    except (OSError, ValueError) as error:
        raise unreadable(path, error if isinstance(error, OSError) else OSError(str(error))) from error
    if not is_folder and path.suffix in (".idx", ".lst"):
        raise SourceError(f"{path}: name the .rec file, not its {path.suffix}")
    manifest, damage = _manifest(folder)
    if not found and manifest is None and damage is None:
        raise SourceError(f"{path}: no .rec file in this folder{_unfinished(folder)}")
    known = _by_manifest(folder, manifest)
    if is_folder:
        return Located(folder, True, _targets(known, found), manifest, damage)
    # A file that the manifest beside it does not know is none of its business.
    target = known.get(path.name, Target(path))
    return Located(folder, False, (target,), target.manifest, damage)


def other_count(target: Target, records: int) -> Fault | None:
    """The fault of a split that holds another number of records than the manifest says; None where it does not say."""
    if target.manifest is None or target.split is None:
        return None
    packed = target.manifest.splits[target.split].packed
    if records == packed:
        return None
    return Fault(str(target.rec), f"split {target.split} holds {records:,} records, and the manifest says {packed:,}")


def _manifest(folder: Path) -> tuple[Manifest | None, FormatError | None]:
    try:
        return read_manifest(folder / NAME), None
    except FormatError as error:
        return None, error


def _by_manifest(folder: Path, manifest: Manifest | None) -> dict[str, Target]:
    if manifest is None:
        return {}
    splits = manifest.splits.items()
    return {shard: Target(folder / shard, manifest, name) for name, split in splits for shard in split.shards}


def _targets(known: dict[str, Target], found: Iterable[Path]) -> tuple[Target, ...]:
    return (*known.values(), *(Target(path) for path in found if path.name not in known))


def _unfinished(folder: Path) -> str:
    if not (folder / ".gpu-pack").is_dir():
        return ""
    return ", but a run that is under way or was interrupted: the same `gpu-pack create` command goes on with it"
