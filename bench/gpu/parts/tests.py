"""The GPU path's tests, file by file, with REQUIRE_GPU=1 unless it is a rehearsal."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from bench.gpu.record import Figures
from bench.gpu.session import Session

ROOT = Path(__file__).resolve().parents[3]
#: The device's contract first. A rehearsal runs one short file, since the test suite runs all of them without a GPU.
_FIRST, _REHEARSED = "test_contract.py", "test_settings.py"
_ITSELF = "test_prove_gpu.py"


def tests(session: Session) -> None:
    found = sorted(path.name for path in (ROOT / "tests" / "gpu").glob("test_*.py"))
    names = sorted({*found} - {_ITSELF}, key=lambda name: (name != _FIRST, name))
    for name in [_REHEARSED] if session.rehearsal else names:
        session.item(name, 45, lambda name=name: _run(session, name))


def _run(session: Session, name: str) -> Figures:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    environment |= {} if session.rehearsal else {"REQUIRE_GPU": "1"}
    results = session.record.path.with_name("junit.xml")
    results.unlink(missing_ok=True)
    command = [sys.executable, "-X", "faulthandler", "-m", "pytest", "-v", "--tb=short", "--color=no"]
    command += ["-p", "no:cacheprovider", f"--junit-xml={results}", f"tests/gpu/{name}"]
    with session.record.path.with_name("tests.log").open("ab") as log:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
    if not results.exists():
        raise SystemExit(f"pytest ended with status {done.returncode}; see tests.log")
    cases = list(ElementTree.parse(results).iter("testcase"))
    results.unlink()
    failed = [
        case.get("name", "?") for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    skipped = sum(case.find("skipped") is not None for case in cases)
    if failed or done.returncode:
        raise SystemExit(f"{len(failed)} of {len(cases)} fail: {', '.join(failed[:20])}; see tests.log")
    return {"passed": len(cases) - skipped, "skipped": skipped}
