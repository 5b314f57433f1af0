"""DALI decodes, resizes and crops; nvImageCodec encodes. Imported only after the probe says that a GPU is usable."""
