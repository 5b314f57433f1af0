"""im2rec.py's command line (MXNet 1.9.1): the same flags, the same files, byte for byte.

What is different, all of it on purpose:

- Damaged images (truncated ones too, and in pass-through as far as their structure shows it) are left out and named.
  So are missing files, what is no image, keys that no record can hold (outside 0 to 2^64-1) and keys or labels with
  the bits of RecordIO's magic number. im2rec.py packs the truncated ones, leaves others out silently, or dies of
  them. JPEG, PNG, WebP, BMP and TIFF are examined; what else OpenCV reads (JPEG 2000, PNM, GIF from 4.11 on, ...) is
  packed as OpenCV reads it, and in pass-through stored as it is.
- The records appear when all of them are complete, so earlier ones stay whole until then. While a run is under way, and
  after it was interrupted, ``.gpu-pack-im2rec-PREFIX`` lies beside the lists; the same command again goes on from
  there, any other one says so and starts anew. Two runs on one prefix at once: the second is refused.
- Where images were left out, ``NAME.rejects.jsonl`` beside ``NAME.rec`` says which and why; without any, the folder
  looks as im2rec.py leaves it.
- A folder that links back to one above it is listed once, not forty times; a file whose name no line of a list can
  carry (a tab, a line end, not UTF-8) is named and left out, while the other images keep the keys and the order
  that im2rec.py gives them.
- ``--num-thread`` above 1 sets the number of workers; without it, every core works.
- Pixels are those of the OpenCV that is installed. From JPEGs, 4.10 to 5.0 make the same; of a gray (``--color 0``) PNG
  with a colour profile, and of a few WebPs, 5.0 makes others than 4.10, which im2rec.py was compared with.
- Nothing that can be packed, or listed, is an error. A packing run then leaves earlier records as they are.

The default device is the CPU, whatever else is there, because only there the bytes are im2rec.py's; ``--device auto``
and ``gpu`` give up that identity for speed.

Exit status: 0 all done; 1 failed; 2 wrong usage; 3 done and published, but images were left out; 130 interrupted. It
is not 0 then because a training set that lacks images should not pass a script unseen; a script that accepts it says
``gpu-pack im2rec ... || [ $? -eq 3 ]``. Lines of a list that im2rec.py skips are reported and counted, as it does, but
change no status.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpu_pack.formats.native_stderr import captured
from gpu_pack.im2rec.options import Options, parse

#: The exit status of a run that is done, but left images out.
LEFT_OUT = 3


def main(argv: Sequence[str]) -> int:
    """List or pack, as ``argv`` (without the program's name) says; gives the exit status.

    Raises:
        GpuPackError: see `gpu_pack.errors`.
    """
    try:
        options = parse(argv)
    except SystemExit:  # argparse has printed the help
        return 0
    with captured():
        return LEFT_OUT if _run(options) else 0


def _run(options: Options) -> int:
    if options.list:
        from gpu_pack.im2rec.make_lists import make_lists

        return make_lists(options)
    from gpu_pack.im2rec.pack import pack

    return pack(options)
