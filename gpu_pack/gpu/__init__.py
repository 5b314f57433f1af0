"""DALI decodes, resizes and crops; nvImageCodec encodes. Imported only after the probe says that a GPU is usable."""

import os

# Damage is ours to report, once and with the file's name; the library's own log would repeat it without one. It reads
# this when it is imported, which only modules of this package do.
os.environ.setdefault("PYNVIMGCODEC_VERBOSITY", "0")
