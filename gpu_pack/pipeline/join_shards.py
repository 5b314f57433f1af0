"""Join the shards of each split into one file, as SageMaker wants it: ``create --merge`` and ``publish --merge``.

The files are those that a run with one shard a split writes, byte for byte. On S3 the shards' bytes do not pass through
this machine.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from gpu_pack.errors import OutputError
from gpu_pack.formats.published_file import PublishedFile
from gpu_pack.formats.record_keys import index_lines
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.plan import Plan, shard_names
from gpu_pack.pipeline.results import PackResult, ShardResult
from gpu_pack.recordio.index import format_index

_READ_BYTES = 4 << 20


def joined_names(plan: Plan) -> list[str]:
    """The files of the joined splits, as `shard_names` has them; of shards that are a split's only one, too."""
    return [name for split in dict.fromkeys(shard.split for shard in plan.shards) for name in shard_names(split)]


def join_shards(plan: Plan, staging: Staging, packed: PackResult) -> dict[str, list[str]]:
    """Write the joined files of splits that have several shards; gives the .rec of each split.

    Raises:
        OutputError: they cannot be written, or a shard cannot be read.
    """
    splits: dict[str, list[ShardResult]] = {}
    for shard, result in zip(plan.shards, packed.shards, strict=True):
        splits.setdefault(shard.split, []).append(result)
    for split, shards in splits.items():
        if len(shards) > 1:
            _join(staging, split, shards)
    return {split: [split + ".rec"] for split in splits}


def _join(staging: Staging, split: str, shards: Sequence[ShardResult]) -> None:
    with staging.open_joined(split + ".rec", sum(shard.bytes for shard in shards)) as rec:
        for shard in shards:
            rec.append(staging.finished(shard.name + ".rec"), PublishedFile(shard.bytes, shard.digest))
        rec.finish()
    for suffix, pieces in ((".idx", _index(staging, shards)), (".lst", _list(staging, shards))):
        with staging.open_joined(split + suffix) as file:
            for piece in pieces:
                file.write(piece)
            file.finish()


def _index(staging: Staging, shards: Sequence[ShardResult]) -> Iterator[bytes]:
    """The shards' indices, each shifted by the sizes of the shards before."""
    import numpy as np

    begin = 0
    for shard in shards:
        path = staging.finished(shard.name + ".idx")
        keys, offsets = index_lines(path)
        if keys is None or len(keys) != shard.records:
            raise OutputError(f"{path}: it is not the index of the shard that was packed: pack it again")
        shifted = np.asarray(offsets) + np.uint64(begin)
        yield from format_index(keys, array("Q", shifted.tobytes()))
        begin += shard.bytes


def _list(staging: Staging, shards: Sequence[ShardResult]) -> Iterator[bytes]:
    for shard in shards:
        with staging.finished(shard.name + ".lst").open("rb") as file:
            while block := file.read(_READ_BYTES):
                yield block
