"""The contenders: each module has `write` (crops to its own format) and `reader` (a function that makes one pass)."""

from __future__ import annotations

from typing import NamedTuple

#: Images of a batch.
BATCH = 64


class Contender(NamedTuple):
    """One of those that are compared.

    Attributes:
        name: as the table has it.
        module: in this package.
        environment: its list in requirements/.
        how: what it does, with one process and with as many workers as cores.
    """

    name: str
    module: str
    environment: str
    how: str


CONTENDERS = [
    Contender("bare decoder", "bare", "gpu_pack", "simplejpeg on bytes in memory; threads into one array"),
    Contender("gpu-pack dataset[i]", "gpu_pack_items", "gpu_pack", "a loop; DataLoader with workers and collate"),
    Contender("gpu-pack batches", "gpu_pack_batches", "gpu_pack", "__getitems__ and collate; threads=cores"),
    Contender("gpu-pack batches, fast_dct", "gpu_pack_fast", "gpu_pack", "the same with the inverse DCT of ffcv"),
    Contender("gpu-pack RecordStream", "gpu_pack_stream", "gpu_pack", "a loop; DataLoader; random: a buffer of 1,000"),
    Contender("gpu-pack RecordStream, s3://", "gpu_pack_remote", "gpu_pack", "from an S3 server that waits 20 ms"),
    Contender("ffcv", "ffcv_loader", "ffcv", "Loader, os_cache, JPEG of quality 95, fast DCT; threads"),
    Contender("DALI readers.mxnet", "dali_reader", "dali", "CPU decoder, pixels on the host; threads"),
    Contender("MXNet MXIndexedRecordIO", "mxnet_records", "mxnet", "read_idx and unpack_img to RGB; gluon DataLoader"),
    Contender("MXNet ImageRecordIter", "mxnet_iter", "mxnet", "ImageRecordUInt8Iter; threads"),
    Contender("litdata", "litdata_stream", "litdata", "StreamingDataset of JPEGs, StreamingDataLoader"),
    Contender("mosaicml-streaming", "mosaic_stream", "streaming", "StreamingDataset, jpeg columns, DataLoader"),
    Contender("webdataset", "webdataset_tars", "webdataset", "8 tars, decode, WebLoader; random: a buffer of 1,000"),
]  # fmt: skip
