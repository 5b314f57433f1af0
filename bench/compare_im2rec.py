"""Runs MXNet's own im2rec.py and ``gpu-pack im2rec`` over your images, and compares what they write.

    python bench/compare_im2rec.py ROOT --python ~/mxnet/bin/python [--every 1] [--exts .jpg .png]

``--python`` is an interpreter that has MXNet 1.9.1 (Python 3.11, numpy 1.23.5, opencv-python-headless 4.10). Every
combination of flags below runs through both. The lists must be equal byte for byte; so must the records, but for
images that gpu-pack names as damaged. Those that im2rec.py had packed all the same are counted under ``left out``.
Exit status 1 when anything else differs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gpu_pack.recordio import scan

LIST_FLAGS = (
    "",
    "--recursive",
    "--recursive --no-shuffle",
    "--recursive --train-ratio 0.8",
    "--recursive --train-ratio 0.7 --test-ratio 0.1",
    "--recursive --train-ratio 0.5 --test-ratio 0.5 --chunks 3",
    "--recursive --train-ratio 1.0 --test-ratio 0.2 --chunks 2",
    "--recursive --train-ratio 0.8 --test-ratio 0.7",
)
OTHER_PACK_FLAGS = ("--pass-through", "--pack-label --resize 32", "--pack-label --pass-through", "--quality 0")


def pack_flags() -> Iterator[str]:
    """Every colour, encoding, crop and some sizes, with qualities in turn; then flags that stand alone."""
    qualities = itertools.cycle(("", "--quality 7", "--quality 50", "--quality 100", "--quality 0"))
    colors = ("--color 1", "--color 0", "--color -1")
    for parts in itertools.product(colors, ("", "--encoding .png"), ("", "--center-crop"), ("", "--resize 100")):
        yield " ".join(part for part in (*parts, next(qualities)) if part)
    yield from ("--resize 600", "--resize 224 --center-crop --num-thread 3", *OTHER_PACK_FLAGS)


def main() -> int:
    options = _parse()
    script = _im2rec_path(options.python)
    ours = [sys.executable, "-m", "gpu_pack", "im2rec"]
    theirs = [options.python, script]
    with tempfile.TemporaryDirectory() as folder:
        compare = Comparison(Path(folder), options.root.resolve(), ours, theirs, options.exts)
        for flags in LIST_FLAGS:
            compare.lists(flags.split())
        for number, flags in enumerate(pack_flags()):
            if number % options.every == 0:
                compare.packs(flags.split())
    print(f"{compare.cases} cases, {compare.different} with differences")
    return 1 if compare.different else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder with images, with or without sub-folders")
    parser.add_argument("--python", required=True, help="an interpreter with MXNet 1.9.1")
    parser.add_argument("--every", type=int, default=1, help="take every Nth of the packing cases only")
    parser.add_argument("--exts", nargs="+", default=[".jpeg", ".jpg", ".png"], help="suffixes to compare")
    return parser.parse_args()


def _im2rec_path(python: str) -> str:
    """Found without importing MXNet, which takes seconds."""
    code = "import importlib.util as u, pathlib; print(pathlib.Path(u.find_spec('mxnet').origin).parent)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{python}: MXNet is not there: {done.stderr.strip().splitlines()[-1]}")
    return str(Path(done.stdout.strip(), "tools", "im2rec.py"))


class Comparison:
    """Runs both programs in two folders side by side."""

    def __init__(self, folder: Path, root: Path, ours: list[str], theirs: list[str], exts: list[str]) -> None:
        self.root, self.exts = root, exts
        self.programs = {"gpu-pack": ours, "im2rec.py": theirs}
        self.folders = {name: folder / name for name in self.programs}
        self.cases = self.different = 0

    def lists(self, flags: list[str]) -> None:
        """Both list; what they print on standard output must agree too."""
        self._fresh()
        outputs = [self._run(name, ["--list", *flags, "--exts", *self.exts, "--"]) for name in self.programs]
        found = ["" if outputs[0] == outputs[1] else "standard output differs", *self._differing(".lst")]
        self._tell("--list", flags, [text for text in found if text], "")

    def packs(self, flags: list[str]) -> None:
        """Both pack the same list, whose lines have one label and three in turn."""
        self._fresh()
        self._run("im2rec.py", ["--list", "--recursive", "--no-shuffle", "--exts", *self.exts, "--"])
        lines = (self.folders["im2rec.py"] / "data.lst").read_text().splitlines()
        for number, line in enumerate(lines):
            key, label, path = line.split("\t")
            lines[number] = "\t".join((key, label, *(("0.25", "-7") if number % 2 else ()), path))
        for folder in self.folders.values():
            (folder / "data.lst").write_text("".join(line + "\n" for line in lines))
        # Its default mode, one process, dies of the first unreadable file.
        threads = [] if "--num-thread" in flags else ["--num-thread", "2"]
        for name in self.programs:
            self._run(name, [*flags, *threads, "--"])
        found, note = self._compare_records()
        self._tell("pack", flags, found, note)

    def _compare_records(self) -> tuple[list[str], str]:
        if not any(self._differing(".rec")) and not any(self._differing(".idx")):
            return [], "identical"
        records = {name: self._records(name) for name in self.programs}
        rejects = self.folders["gpu-pack"] / "data.rejects.jsonl"
        named = {}
        if rejects.exists():
            named = {value["key"]: value for value in map(json.loads, rejects.read_text().splitlines())}
        left_out = [key for key in named if records["im2rec.py"].pop(key, None) is not None]
        found = [
            f"record {key} differs"
            for key, payload in records["im2rec.py"].items()
            if records["gpu-pack"].get(key) != payload
        ]
        found += [
            f"record {key} is only gpu-pack's" for key in records["gpu-pack"].keys() - records["im2rec.py"].keys()
        ]
        if list(records["gpu-pack"]) != list(records["im2rec.py"]):
            found.append("the order differs")
        for key in left_out:
            print(f"    left out: {named[key]['path']}: {named[key]['reason']}")
        return found, f"identical but for {len(left_out)} left out"

    def _records(self, name: str) -> dict[int, bytes]:
        path = self.folders[name] / "data.rec"
        with path.open("rb") as file:
            return {int.from_bytes(record.payload[8:16], "little"): record.payload for record in scan(file, str(path))}

    def _differing(self, suffix: str) -> list[str]:
        ours, theirs = ({path.name: path for path in folder.glob("*" + suffix)} for folder in self.folders.values())
        missing = [f"{name} is only on one side" for name in sorted(ours.keys() ^ theirs.keys())]
        both = sorted(ours.keys() & theirs.keys())
        return missing + [f"{name} differs" for name in both if ours[name].read_bytes() != theirs[name].read_bytes()]

    def _run(self, name: str, arguments: list[str]) -> str:
        command = [*self.programs[name], *arguments, str(self.folders[name] / "data"), str(self.root)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in ((0, 1) if "--list" in arguments else (0, 3)):
            sys.stderr.write(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr[-2000:]}\n")
        return done.stdout

    def _fresh(self) -> None:
        for folder in self.folders.values():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

    def _tell(self, what: str, flags: list[str], found: list[str], note: str) -> None:
        self.cases += 1
        self.different += bool(found)
        verdict = (
            "; ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "") or note or "identical"
        )
        print(f"{'DIFFERS' if found else 'ok':8}{what} {' '.join(flags)}: {verdict}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
