"""The flags and arguments of im2rec.py (MXNet 1.9.1), taken as argparse takes them: any order, any abbreviation."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, get_args

from gpu_pack.errors import UsageError
from gpu_pack.types import MAX_EDGE, Device

#: Flags that took a value in early versions of im2rec.py, and values that tutorials give them.
_FLAGS = ("--list", "--recursive", "--pass-through", "--center-crop", "--pack-label", "--no-shuffle")
_TRUTHS = frozenset({"1", "0", "true", "false", "yes", "no"})


@dataclass(frozen=True)
class Options:
    """The command line, checked; ``prefix`` and ``root`` are absolute. See ``gpu-pack im2rec --help``."""

    prefix: str
    root: str
    list: bool
    exts: Sequence[str]
    chunks: int
    train_ratio: float
    test_ratio: float
    recursive: bool
    shuffle: bool
    pass_through: bool
    resize: int
    center_crop: bool
    quality: int
    num_thread: int
    color: int
    encoding: str
    pack_label: bool
    device: Device
    workers: int | None

    def __post_init__(self) -> None:
        if self.chunks < 1:
            raise UsageError(f"--chunks {self.chunks}: at least 1")
        for name, ratio in (("--train-ratio", self.train_ratio), ("--test-ratio", self.test_ratio)):
            if not 0 <= ratio < math.inf:
                raise UsageError(f"{name} {ratio}: a ratio is a number from 0 on, as in 0.8")
        if not 0 <= self.resize <= MAX_EDGE:
            raise UsageError(
                f"--resize {self.resize}: the edge lies between 1 and {MAX_EDGE} pixels; 0 does not resize"
            )
        if self.workers is not None and not 1 <= self.workers <= 1024:
            raise UsageError(f"--workers {self.workers}: between 1 and 1024")


def parse(argv: Sequence[str]) -> Options:
    """The options of a command line.

    Raises:
        UsageError: anything that argparse refuses, or that cannot be right.
        SystemExit: ``--help``, after printing it.
    """
    try:
        found = vars(_parser().parse_args(list(argv)))
    except UsageError as error:
        if "ambiguous" not in str(error) and (said := _value_for_flag(argv)):
            raise UsageError(f"im2rec: {said}") from None
        raise
    found["prefix"], found["root"] = os.path.abspath(found["prefix"]), os.path.abspath(found["root"])
    return Options(**found)


def _value_for_flag(argv: Sequence[str]) -> str:
    """What to answer to ``--list=1`` or ``--list True``, as old tutorials have it; empty where there is none."""
    for word, after in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, _ = word.partition("=")
        flags = [flag for flag in _FLAGS if len(name) > 2 and flag.startswith(name)]
        if flags and (equals or after.lower() in _TRUTHS):
            given = word if equals else f"{name} {after}"
            return f"{given}: {flags[0]} takes no value now: give it alone, or leave it out for no"
    return ""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"im2rec: {message} (gpu-pack im2rec --help tells more)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gpu-pack im2rec",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="List the images of a folder (--list), or pack listed images into RecordIO files: the flags and, "
        "byte for byte, the files of MXNet's im2rec.py. Damaged images are left out and named.",
        epilog="Exit status: 0 all done; 1 failed; 2 wrong usage; 3 done, but images were left out (the last line says "
        "how many, the list's .rejects.jsonl which); 130 interrupted: the same command resumes. Bad lines of a list "
        "are reported and skipped, as im2rec.py does, and change no status.",
    )
    parser.add_argument("prefix", help="what the .lst, .rec and .idx files' paths begin with")
    parser.add_argument("root", help="the folder with the images")
    _add_list_options(parser.add_argument_group("listing"))
    _add_pack_options(parser.add_argument_group("packing"))
    return parser


def _add_list_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--list", action="store_true", help="write PREFIX.lst from ROOT; without it, pack PREFIX*.lst")
    group.add_argument("--exts", nargs="+", default=[".jpeg", ".jpg", ".png"], help="suffixes to list, in lower case")
    group.add_argument("--chunks", type=int, default=1, help="lists to divide the images into")
    group.add_argument("--train-ratio", type=float, default=1.0, help="share of the images for PREFIX_train.lst")
    group.add_argument("--test-ratio", type=float, default=0, help="share for PREFIX_test.lst; the rest is _val.lst")
    group.add_argument(
        "--recursive", action="store_true", help="list sub-folders too, each folder with images under its own label"
    )
    group.add_argument(
        "--no-shuffle", dest="shuffle", action="store_false", default=True, help="keep the images in sorted order"
    )


def _add_pack_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--pass-through", action="store_true", help="store the files as they are")
    group.add_argument("--resize", type=int, default=0, help="the shorter edge in pixels; 0 keeps the size")
    group.add_argument("--center-crop", action="store_true", help="cut the centre square, before any resizing")
    group.add_argument("--quality", type=int, default=95, help="of JPEG, 1-100; or PNG's compression level, 0-9")
    group.add_argument(
        "--num-thread", type=int, default=1, help="workers, where it is over 1 and --workers is not given"
    )
    group.add_argument(
        "--color", type=int, default=1, choices=[-1, 0, 1], help="1: colour, 0: gray, -1: as the file has it"
    )
    group.add_argument("--encoding", type=str, default=".jpg", choices=[".jpg", ".png"], help="what the records hold")
    group.add_argument("--pack-label", action="store_true", help="pack all labels of a line, not only the first")
    group.add_argument(
        "--device",
        default="cpu",
        choices=get_args(Device),
        help="what to run on; only the CPU gives im2rec.py's very bytes",
    )
    group.add_argument("--workers", type=int, default=None, help="CPU workers; without it, one for each core")
