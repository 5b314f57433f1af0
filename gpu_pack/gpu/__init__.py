"""The GPU path: DALI decodes, crops and resizes; nvImageCodec, CUDA kernels or OpenCV encode."""

import os

# Read when nvImageCodec is imported: its own log would repeat errors that gpu_pack reports, without the file's name.
os.environ.setdefault("PYNVIMGCODEC_VERBOSITY", "0")
