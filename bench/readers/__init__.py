"""How fast crops to 224 pixels are read: gpu-pack beside ffcv, DALI, MXNet, litdata, mosaicml-streaming and webdataset.

    python -m bench.readers PHOTOS [--work FOLDER] [--seconds 330] [--json FILE] [--only NAME ...]

One set of crops is written in each contender's format and read at random and in order, by one process and with as many
workers as cores, in turns. Each contender has an environment of its own below FOLDER, from its list in requirements/;
one that cannot be installed is a row that says why. Linux only: CPU time and memory come from /proc.
"""
