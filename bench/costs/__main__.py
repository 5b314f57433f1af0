"""Count the instructions an image of each hot part, beside what was recorded for this interpreter.

    python -m bench.costs [--record]

Needs valgrind, and takes a quarter of a minute; what else the machine does makes no difference. With ``--record``, the
counts become the recorded ones in bench/results/costs.json, from which bench/results/costs.md is written.
tests/test_costs.py fails where a part has grown by more than 15 %.
"""

from __future__ import annotations

import argparse
import sys

from bench.costs import callgrind, records
from bench.costs.workloads import COUNT, PARTS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="make these counts the recorded ones")
    options = parser.parse_args()
    if not callgrind.available():
        sys.exit("valgrind is not installed: on Debian and Ubuntu, apt-get install valgrind")
    interpreter, counted = callgrind.interpreter(), callgrind.count([*PARTS], COUNT)
    recorded = records.read().get(interpreter, {})
    print(interpreter)
    for part, value in counted.items():
        before = recorded.get(part)
        print(f"{part:20}{value:>10,}" + (f"   recorded {before:,}: {value / before - 1:+.1%}" if before else ""))
    if options.record:
        records.write(records.read() | {interpreter: counted})
        return 0
    grown = records.grown(counted, recorded)
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
