"""The same as `gpu_pack_batches` with the inverse DCT that ffcv asks libjpeg-turbo for."""

from __future__ import annotations

from functools import partial

from bench.readers.contenders import gpu_pack_batches

write = gpu_pack_batches.write
reader = partial(gpu_pack_batches.reader, fast_dct=True)
