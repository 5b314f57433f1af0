"""Who reads. To add one: a module here, its requirements in ../../requirements, and a line below.

A module has ``write(crops, source, folder)``, which writes the crops in its own format, and ``reader(folder, workers,
shuffled)``, which returns a function that makes one pass and returns how many images came and the sum of their labels
(-1 where these are not told).
"""

from __future__ import annotations

from typing import NamedTuple

#: Images of a batch.
BATCH = 64


class Reader(NamedTuple):
    """One of those that are compared.

    Attributes:
        name: as the table has it.
        module: in this package.
        environment: its list in ../../requirements/.
        how: what it does, with one process and with as many workers as cores.
    """

    name: str
    module: str
    environment: str
    how: str


READERS = [
    Reader("bare decoder", "bare", "gpu_pack", "simplejpeg on bytes in memory; threads into one array"),
    Reader("gpu-pack dataset[i]", "gpu_pack_items", "gpu_pack", "a loop; DataLoader with workers and collate"),
    Reader("gpu-pack batches", "gpu_pack_batches", "gpu_pack", "__getitems__ and collate; threads=cores"),
    Reader("gpu-pack batches, fast_dct", "gpu_pack_fast", "gpu_pack", "the same with the inverse DCT of ffcv"),
    Reader("gpu-pack RecordStream", "gpu_pack_stream", "gpu_pack", "a loop; DataLoader; random: a buffer of 1,000"),
    Reader("gpu-pack RecordStream, s3://", "gpu_pack_remote", "gpu_pack", "from an S3 server that waits 20 ms"),
    Reader("ffcv", "ffcv_loader", "ffcv", "Loader, os_cache, JPEG of quality 95, fast DCT; threads"),
    Reader("DALI readers.mxnet", "dali_reader", "dali", "CPU decoder, pixels on the host; threads"),
    Reader("MXNet MXIndexedRecordIO", "mxnet_records", "mxnet", "read_idx and unpack_img to RGB; gluon DataLoader"),
    Reader("MXNet ImageRecordIter", "mxnet_iter", "mxnet", "ImageRecordUInt8Iter; threads"),
    Reader("litdata", "litdata_stream", "litdata", "StreamingDataset of JPEGs, StreamingDataLoader"),
    Reader("mosaicml-streaming", "mosaic_stream", "streaming", "StreamingDataset, jpeg columns, DataLoader"),
    Reader("webdataset", "webdataset_tars", "webdataset_torch", "8 tars, decode, WebLoader; random: a buffer of 1,000"),
]  # fmt: skip
