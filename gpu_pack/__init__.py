"""gpu-pack: folders of images into MXNet RecordIO, on the GPU where there is one."""

__version__ = "0.1.0"
