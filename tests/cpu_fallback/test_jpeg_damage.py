"""What libjpeg says of damaged pictures is heard, and of the right ones, whoever decodes meanwhile."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import gpu_pack
from cpu_fallback.codec import transform
from gpu_pack.formats import native_stderr
from gpu_pack.formats.image_headers import ImageError
from gpu_pack.tools.verify import verify
from gpu_pack.types import TransformSpec
from tests.pictures import jpeg, photo, segment

SPEC = TransformSpec(size=64)
WHOLE, OTHER = jpeg(photo(420, 300, 1)), jpeg(photo(420, 300, 2))
MIDDLE = len(WHOLE) // 2
CUT = WHOLE.index(b"\xff\xdb")

#: What no decoder minds, and a file's structure does not show.
DAMAGED = {
    "a block of another picture": WHOLE[:MIDDLE] + OTHER[8192:12288] + WHOLE[MIDDLE + 4096 :],
    "the second half of another": WHOLE[:MIDDLE] + OTHER[len(OTHER) // 2 :],
    "a block that is gone": WHOLE[:MIDDLE] + WHOLE[MIDDLE + 4096 :],
    "a block that came twice": WHOLE[: MIDDLE + 4096] + WHOLE[MIDDLE:],
}
#: What libjpeg mentions, and is none.
SOUND = {
    "whole": WHOLE,
    "junk between segments": WHOLE[:CUT] + b"junk that goes on for a while" + WHOLE[CUT:],
    "a few bytes too many": WHOLE[:-2] + b"\0\0\0" + WHOLE[-2:],
    "an unknown version of JFIF": WHOLE[:2] + segment(0xE0, b"JFIF\0\7\0\0\0\1\0\1\0\0") + WHOLE[2:],
}


def verdict(data: bytes, spec: TransformSpec = SPEC) -> str | None:
    try:
        transform(data, spec)
    except ImageError as error:
        return error.reason
    return None


def listening(test: Callable[..., None]) -> Callable[..., None]:
    """A decorator and no fixture: pytest turns descriptor 2 elsewhere between a fixture and its test."""

    @functools.wraps(test)
    def inside(*args: object, **kwargs: object) -> None:
        with native_stderr.captured():
            test(*args, **kwargs)

    return inside


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("spec", [SPEC, TransformSpec(size=20), TransformSpec(interp="linear", color="gray")])
@listening
def test_damage_that_only_the_decoder_sees(name: str, spec: TransformSpec) -> None:
    assert (verdict(DAMAGED[name], spec) or "").startswith("a damaged JPEG: ")


@pytest.mark.parametrize("name", SOUND)
@listening
def test_what_is_no_damage(name: str) -> None:
    assert verdict(SOUND[name]) is None


@listening
def test_each_thread_is_told_of_its_own_pictures() -> None:
    """Four threads decode at once, damaged and sound ones in turn: no complaint goes to a neighbour."""
    pictures = [*SOUND.values(), *DAMAGED.values()]
    found: dict[int, list[bool]] = {}

    def decode(place: int) -> None:
        found[place] = [verdict(pictures[(place + number) % len(pictures)]) is None for number in range(40)]

    threads = [threading.Thread(target=decode, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sound = [True] * len(SOUND) + [False] * len(DAMAGED)
    for place in range(4):
        assert found[place] == [sound[(place + number) % len(pictures)] for number in range(40)]


@listening
def test_other_noise_does_not_hide_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = cv2.imdecode

    def noisy(*arguments: object) -> object:
        os.write(2, b"libpng warning: iCCP: known incorrect sRGB profile\n" * 3000)
        return real(*arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(native_stderr, "_MOST_BYTES", 200_000)
    monkeypatch.setattr(cv2, "imdecode", noisy)
    for _ in range(5):
        assert [verdict(data) is None for data in (*SOUND.values(), *DAMAGED.values())] == [True] * 4 + [False] * 4


@pytest.mark.parametrize("workers", [2, 9])
def test_a_run_names_them_and_verify_finds_those_that_were_passed_through(
    tmp_path: Path, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    for number, data in enumerate((*SOUND.values(), *DAMAGED.values())):
        path = tmp_path / "source/a" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    options = gpu_pack.CreateOptions(spec=SPEC, device=gpu_pack.DeviceOptions("cpu", workers=workers, batch_size=1))
    report = gpu_pack.create(tmp_path / "source", tmp_path / "out", options)
    assert (report.packed, report.rejected) == (4, 4)
    passing = gpu_pack.CreateOptions(spec=TransformSpec(pass_through=True))
    assert gpu_pack.create(tmp_path / "source", tmp_path / "passed", passing).packed == 8
    assert verify([tmp_path / "out"]).ok
    assert len([fault for fault in verify([tmp_path / "passed"]).faults if "damaged" in fault.what]) == 4
    assert capfd.readouterr().err == "", "and the terminal stays clean"


def test_outside_of_a_run_nothing_is_redirected() -> None:
    before = os.fstat(2)
    with native_stderr.captured():
        inner = os.fstat(2)
        with native_stderr.captured():
            assert os.path.samestat(os.fstat(2), inner), "once is enough"
        assert os.path.samestat(os.fstat(2), inner)
        assert not os.path.samestat(inner, before)
    assert os.path.samestat(os.fstat(2), before)


def shown(code: str) -> str:
    code = "import os, sys, time\nfrom gpu_pack.formats.native_stderr import captured\n" + code
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stderr


def test_what_is_no_noise_reaches_the_terminal_whole_and_in_order() -> None:
    lines = "".join(f"line {number} of native code\n" for number in range(3000))
    assert (
        shown(f"with captured():\n    os.write(2, {lines.encode()!r} + b'without an end')") == lines + "without an end"
    )
    told = shown(
        "with captured():\n"
        "    os.write(2, b'libpng warning: x\\nhalf ')\n"
        "    time.sleep(0.5)\n"
        "    os.write(2, b'a line\\n')\n"
        "    print('of ours', file=sys.stderr)\n"
        "os.write(2, b'afterwards\\n')\n"
        "print('of ours again', file=sys.stderr)\n"
    )
    assert sorted(told.splitlines()) == ["afterwards", "half a line", "of ours", "of ours again"]


def test_an_error_inside_leaves_all_as_it_was() -> None:
    def fail() -> None:
        raise KeyError

    stderr, before = sys.stderr, os.fstat(2)
    with pytest.raises(KeyError), native_stderr.captured():
        native_stderr.overhear(fail, lambda said: None)
    assert sys.stderr is stderr and os.path.samestat(os.fstat(2), before)
    done = threading.Thread(target=lambda: native_stderr.overhear(lambda: 1, str))
    done.start()
    done.join(10)
    assert not done.is_alive()


def test_a_late_thread_harms_nothing(tmp_path: Path) -> None:
    """One that still decodes when the run has ended finds nothing said, and no other file under the old number."""
    go, results = threading.Event(), []
    decode: Callable[[], np.ndarray | None] = lambda: cv2.imdecode(np.frombuffer(WHOLE, np.uint8), 1)  # noqa: E731

    def late() -> None:
        go.wait()
        results.append(native_stderr.overhear(decode, lambda said: said.decode())[1])

    thread = threading.Thread(target=late)
    with native_stderr.captured():
        thread.start()
    with (tmp_path / "data").open("w+b") as file:
        file.write(b"0123456789")
        file.flush()
        file.seek(5)
        go.set()
        thread.join()
        assert file.read() == b"56789" and results == [None]


@listening
def test_a_decoder_that_hangs_holds_up_nobody_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_stderr, "_PATIENCE", 0.2)
    go = threading.Event()
    hanging = threading.Thread(target=lambda: native_stderr.overhear(go.wait, lambda said: None))
    hanging.start()
    try:
        assert verdict(DAMAGED["a block of another picture"]) is not None
        assert verdict(WHOLE) is None
    finally:
        go.set()
        hanging.join()
