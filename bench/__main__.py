"""gpu-pack beside other tools, on your machine and photographs.

    pip install -r bench/requirements.txt
    python -m bench PHOTOS [--minutes 25] [--only gpu-pack,opencv,im2rec.py] [--workloads imagenet,large]
    python -m bench --render bench/results/bench.json

PHOTOS is any folder of photographs. Each contender gets a virtual environment of its own (kept in --envs); one that
cannot be installed is a row that says why. Results go to bench/results: bench.json, bench.md and bench.svg; --render
writes README.md's tables from them. A run that was interrupted, or that ran out of time, is resumed by the same
command; --fresh begins anew. --only and --rounds do not concern the workload "reading". Exit status 0 (all done), 2
(wrong usage), 3 (time ran out), 130 (interrupted).
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import reading
from bench.contenders import CONTENDERS
from bench.workloads import WORKLOADS

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Options:
    """What the command line asks for; see ``--help``."""

    photos: Path
    work: Path
    envs: Path
    results: Path
    minutes: float
    rounds: int
    only: tuple[str, ...]
    workloads: tuple[str, ...]
    fresh: bool
    install_only: bool
    mxnet_source: Path | None
    command: str


def parse(arguments: Sequence[str]) -> Options | Path:
    """The options, or the JSON file that is to be rendered; exits with 2 where they are wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.render:
        return Path(given.render)
    if given.photos is None or not given.photos.is_dir():
        parser.error("PHOTOS: name a folder of photographs")
    if given.minutes <= 0 or given.rounds < 1:
        parser.error("--minutes and --rounds: more than nothing")
    return Options(
        given.photos.resolve(), given.work.resolve(), given.envs.resolve(), given.results, given.minutes, given.rounds,
        _chosen(parser, "--only", given.only, tuple(CONTENDERS)),
        _chosen(parser, "--workloads", given.workloads, (*WORKLOADS, reading.NAME)),
        given.fresh, given.install_only, given.mxnet_source and given.mxnet_source.resolve(), _command(given),
    )  # fmt: skip


def _command(given: argparse.Namespace) -> str:
    """The command line without paths of this machine."""
    usual = {"minutes": "25", "rounds": "3", "only": "None", "workloads": "None"}
    values = {**{name: str(getattr(given, name)) for name in usual}, "minutes": f"{given.minutes:g}"}
    chosen = {name: value for name, value in values.items() if value != usual[name]}
    words = [word for name, value in chosen.items() for word in (f"--{name}", value)]
    source = ["--mxnet-source", "MXNET"] if given.mxnet_source else []
    return shlex.join(["python", "-m", "bench", "PHOTOS", *words, *source])


def _parser() -> argparse.ArgumentParser:
    temporary = Path(tempfile.gettempdir())
    parser = argparse.ArgumentParser(
        "python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", metavar="PHOTOS", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=25, help="the most that it takes, installations apart [25]")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender in turn [3]")
    parser.add_argument("--only", metavar="NAMES", help=f"contenders: {', '.join(CONTENDERS)}")
    parser.add_argument("--workloads", metavar="NAMES", help=f"{', '.join(WORKLOADS)}, {reading.NAME}")
    parser.add_argument(
        "--work", type=Path, default=temporary / "gpu-pack-bench", help="folder of inputs, outputs and state"
    )
    parser.add_argument(
        "--envs", type=Path, default=temporary / "gpu-pack-bench-envs", help="folder of the environments"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for bench.json, bench.md and bench.svg")
    parser.add_argument("--mxnet-source", metavar="FOLDER", type=Path, help="a checkout of MXNet 1.9.1, for im2rec.cc")
    parser.add_argument(
        "--install-only", action="store_true", help="make the environments, try failed ones again, and stop"
    )
    parser.add_argument("--fresh", action="store_true", help="forget an earlier run's results")
    parser.add_argument(
        "--render",
        metavar="JSON",
        help="write the Markdown and the chart of a results file beside it (README.md too, if it is the repository's)",
    )
    return parser


def _chosen(parser: argparse.ArgumentParser, flag: str, given: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(given.split(",")) if given else known
    if unknown := [name for name in names if name not in known]:
        parser.error(f"{flag} {unknown[0]}: choose from {', '.join(known)}")
    return tuple(name for name in known if name in names)


def render(path: Path) -> None:
    """``bench.md`` and ``bench.svg`` beside a results file."""
    from bench.chart import svg
    from bench.render import markdown

    results = json.loads(path.read_text(encoding="utf-8"))
    path.with_suffix(".md").write_text(markdown(results), encoding="utf-8")
    path.with_suffix(".svg").write_text(svg(results), encoding="utf-8")


def render_readme(path: Path) -> None:
    """README.md's tables, of the results that the repository holds."""
    from bench import readme

    page = readme.with_tables(readme.PAGE.read_text(encoding="utf-8"), json.loads(path.read_text(encoding="utf-8")))
    readme.PAGE.write_text(page, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else arguments)
    if isinstance(options, Path):
        render(options)
        if options.resolve().parent == RESULTS:
            render_readme(options)
        return 0
    from bench.session import Session
    from bench.state import OtherRunError
    from bench.workloads.inputs import NoPhotographsError

    try:
        return Session(options).run()
    except (NoPhotographsError, OtherRunError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # during an installation
        return 130


if __name__ == "__main__":
    sys.exit(main())
