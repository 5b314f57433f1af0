"""One part's process, which prove_gpu.py starts. The exit status says how the part ended."""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DONE, FAILED, ITEM_FAILED, OUT_OF_TIME = 0, 1, 3, 4


def main() -> int:
    """Run the part that the arguments, a JSON object, name."""
    from bench.gpu.processes import end_with_parent
    from bench.gpu.record import Record
    from bench.gpu.session import ItemFailedError, OutOfTimeError, Session

    end_with_parent()
    arguments = json.loads(sys.argv[1])
    part, record = arguments["part"], Record.read(Path(arguments["record"]))
    session = Session(record, part, Path(arguments["photos"]), arguments["seconds"], arguments["images"])
    try:
        getattr(import_module(f"bench.gpu.parts.{part}"), part)(session)
    except ItemFailedError:
        return ITEM_FAILED
    except OutOfTimeError as error:
        record.cut(part, str(error))
        return OUT_OF_TIME
    except SystemExit as error:  # has a message for people
        print(error, file=sys.stderr)
        return FAILED
    record.finish(part)
    return DONE


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    status = FAILED
    try:
        status = main()
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a library that hangs when it unloads must not fail the part
