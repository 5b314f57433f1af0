"""Classes that a division leaves a split without."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_pack.formats.notices import Notice
from gpu_pack.sources.labels import Labels
from gpu_pack.sources.splits import Shard, is_class


def missing_classes(labels: Sequence[tuple[float, ...]], shards: Sequence[Shard], classes: bool) -> Notice | None:
    """The warning that splits lack classes, with how many each lacks; None where they lack none.

    Args:
        labels: of each row; the first of them counts.
        shards: of all splits.
        classes: every label is a class; see `is_class`.
    """
    labels = Labels.of(labels)
    names = list(dict.fromkeys(shard.split for shard in shards))
    every: set[float] = {each[0] for each in labels.different()} if len(names) > 1 else set()
    wanted = {label for label in every if is_class(label, len(every), len(labels), classes)}
    if not wanted:
        return None
    found: dict[str, set[float]] = {name: set() for name in names}
    for shard in shards:
        found[shard.split].update(labels.count_firsts(shard.rows))
    lacking = {name: wanted - labels_ for name, labels_ in found.items()}
    told = ", ".join(f"{len(missing):,} from {name}" for name, missing in lacking.items() if missing)
    return Notice("classes-missing", len(set().union(*lacking.values())), told) if told else None
