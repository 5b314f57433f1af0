"""im2rec.py's command line (MXNet 1.9.1): the same flags, the same files, byte for byte.

Deliberate differences:

- Damaged images (truncated ones too, and in pass-through as far as their structure shows it) are left out and named. So
  are missing files, files that are no image, keys that no record can hold (outside 0 to 2^64-1), and keys or labels
  with the bits of RecordIO's magic number. im2rec.py packs the truncated ones, leaves others out silently, or crashes.
  JPEG, PNG, WebP, BMP and TIFF are checked; what else OpenCV reads (JPEG 2000, PNM, GIF from 4.11, ...) is packed as
  OpenCV reads it, and in pass-through stored as it is.
- The records appear when all of them are complete; earlier ones stay until then. A run that is under way or was
  interrupted leaves ``.gpu-pack-im2rec-PREFIX`` beside the lists. The same command resumes it; another one says so and
  starts anew. Of two runs on one prefix at once, the second is refused.
- Where images were left out, ``NAME.rejects.jsonl`` beside ``NAME.rec`` says which and why; without any, the folder
  looks as im2rec.py leaves it.
- A folder that links back to one above it is listed once, not forty times. A file whose name no line of a list can hold
  (a tab, a line end, not UTF-8) is named and left out; the other images keep im2rec.py's keys and order.
- A byte order mark costs a list no line. Keys that come twice are packed as they are, and one line tells how many.
- ``--num-thread`` above 1 sets the number of workers; without it, every core works.
- Pixels are those of the installed OpenCV. From JPEGs, 4.10 to 5.0 make the same; of a gray (``--color 0``) PNG with a
  colour profile, and of a few WebPs, 5.0 makes others than 4.10, which im2rec.py was compared with.
- A run that finds nothing to list or pack is an error, and a packing run then leaves earlier records as they are.

The default device is the CPU, since only there the bytes are im2rec.py's; ``--device auto`` and ``gpu`` give up that
identity for speed.

Exit status: 0 done; 1 failed; 2 wrong usage; 3 done and published, but images were left out; 130 interrupted. 3 and not
0, since a training set that lacks images should not pass a script unseen; a script that accepts it says ``gpu-pack
im2rec ... || [ $? -eq 3 ]``. Bad lines of a list are reported and counted as im2rec.py does, and change no status.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpu_pack.im2rec.options import Options, parse

#: The exit status of a run that left images out.
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
    return LEFT_OUT if _run(options) else 0


def _run(options: Options) -> int:
    if options.list:
        from gpu_pack.im2rec.make_lists import make_lists

        return make_lists(options)
    from gpu_pack.im2rec.pack import pack

    return pack(options)
