"""MXRecordIO and MXIndexedRecordIO: the behaviour of MXNet's classes, and their errors."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_pack.errors import FormatError
from gpu_pack.recordio import MXIndexedRecordIO, MXRecordIO, frame
from tests.recordio import cases

GOLDENS = Path(__file__).parent / "goldens"


@pytest.fixture
def indexed(tmp_path: Path) -> tuple[str, str]:
    """Paths of an .idx and a .rec with keys 0, 10, ... 90 and the key's text as record."""
    idx, rec = str(tmp_path / "a.idx"), str(tmp_path / "a.rec")
    writer = MXIndexedRecordIO(idx, rec, "w")
    for key in range(0, 100, 10):
        writer.write_idx(key, b"%d" % key)
    writer.close()
    return idx, rec


def test_writes_and_reads_in_sequence(tmp_path: Path) -> None:
    path = str(tmp_path / "a.rec")
    writer = MXRecordIO(path, "w")
    for record in cases.MAGICS:
        writer.write(record)
    del writer  # as in MXNet, dropping the writer is enough
    assert Path(path).read_bytes() == (GOLDENS / "magics.rec").read_bytes()
    reader = MXRecordIO(path, "r")
    assert [reader.read() for _ in cases.MAGICS] == cases.MAGICS
    assert reader.read() is None
    assert reader.read() is None
    reader.reset()
    assert reader.read() == cases.MAGICS[0]


@pytest.mark.parametrize(("name", "records"), [("lengths", cases.LENGTHS), ("magics", cases.MAGICS)])
def test_index_and_records_are_mxnets(tmp_path: Path, name: str, records: list[bytes]) -> None:
    with MXIndexedRecordIO(tmp_path / "a.idx", tmp_path / "a.rec", "w") as writer:
        for key, record in enumerate(records):
            writer.write_idx(key, record)
    for suffix in ("idx", "rec"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (GOLDENS / f"{name}.{suffix}").read_bytes()


def test_reads_in_any_order(indexed: tuple[str, str]) -> None:
    reader = MXIndexedRecordIO(*indexed, "r")
    assert reader.keys == list(range(0, 100, 10))
    assert list(reader.idx) == reader.keys
    for key in random.Random(1).sample(reader.keys, 10):
        assert reader.read_idx(key) == b"%d" % key
    reader.seek(80)
    assert [reader.read(), reader.read(), reader.read()] == [b"80", b"90", None]
    with pytest.raises(KeyError):
        reader.read_idx(5)


def test_tell_and_reset_while_writing(tmp_path: Path) -> None:
    with MXIndexedRecordIO(tmp_path / "a.idx", tmp_path / "a.rec", "w") as writer:
        places = [writer.tell()]
        for key in range(3):
            writer.write_idx(key, b"record_%d" % key)
            places.append(writer.tell())
        assert places == [0, 16, 32, 48]
        assert (writer.keys, writer.idx) == ([0, 1, 2], {0: 0, 1: 16, 2: 32})
        writer.reset()
        assert (writer.tell(), writer.keys) == (0, [])
        writer.write_idx(7, b"anew")
    assert (tmp_path / "a.rec").read_bytes() == frame(b"anew")
    assert (tmp_path / "a.idx").read_bytes() == b"7\t0\n"


def test_keys_of_another_type(tmp_path: Path) -> None:
    paths = str(tmp_path / "a.idx"), str(tmp_path / "a.rec")
    with MXIndexedRecordIO(*paths, "w", key_type=str) as writer:
        writer.write_idx("cat one", b"1")
        writer.write_idx("ü", b"2")
        for key in ("a\tb", "a\nb", " a", ""):
            with pytest.raises(FormatError, match="index cannot hold"):
                writer.write_idx(key, b"3")
    with MXIndexedRecordIO(*paths, "r", str) as reader:
        assert (reader.keys, reader.read_idx("ü")) == (["cat one", "ü"], b"2")
    with pytest.raises(FormatError, match="line 1"):
        MXIndexedRecordIO(*paths, "r")


def test_buffers_are_written_and_text_is_not(tmp_path: Path) -> None:
    with MXRecordIO(tmp_path / "a.rec", "w") as writer:
        writer.write(bytearray(b"one"))
        writer.write(memoryview(b"two"))
        with pytest.raises(TypeError):
            writer.write("three")  # type: ignore[arg-type]
    with MXRecordIO(tmp_path / "a.rec", "r") as reader:
        assert [reader.read(), reader.read(), reader.read()] == [b"one", b"two", None]


def test_pickled_readers_open_anew(indexed: tuple[str, str]) -> None:
    reader = MXIndexedRecordIO(*indexed, "r")
    reader.read_idx(50)
    twin = pickle.loads(pickle.dumps(reader))
    assert (twin.is_open, twin.read()) == (True, b"0")
    assert twin.read_idx(30) == b"30"
    assert not reader.is_open  # MXNet closes what it pickles ...
    assert reader.read_idx(20) == b"20"  # ... and seeking opens it again
    twin.close()
    assert not pickle.loads(pickle.dumps(twin)).is_open


def test_a_closed_file_says_so(indexed: tuple[str, str], tmp_path: Path) -> None:
    reader = MXIndexedRecordIO(*indexed, "r")
    reader.close()
    reader.close()
    with pytest.raises(RuntimeError, match="closed"):
        reader.read()
    with MXRecordIO(tmp_path / "b.rec", "w") as writer:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        writer.write(b"x")


def test_reading_and_writing_do_not_mix(indexed: tuple[str, str], tmp_path: Path) -> None:
    with MXIndexedRecordIO(*indexed, "r") as reader:
        for call in (lambda: reader.write(b"x"), lambda: reader.write_idx(1, b"x"), reader.tell):
            with pytest.raises(AssertionError):
                call()
    with MXIndexedRecordIO(tmp_path / "b.idx", tmp_path / "b.rec", "w") as writer:
        for call in (writer.read, lambda: writer.seek(1), lambda: writer.read_idx(1)):
            with pytest.raises(AssertionError):
                call()


def test_files_that_cannot_be_opened(tmp_path: Path, indexed: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="Invalid flag a"):
        MXRecordIO(tmp_path / "a.rec", "a")
    with pytest.raises(FileNotFoundError):
        MXRecordIO(tmp_path / "none.rec", "r")
    with pytest.raises(TypeError):  # and nothing more when what was never opened is dropped
        MXIndexedRecordIO(None, indexed[1], "r")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"none\.idx"):
        MXIndexedRecordIO(tmp_path / "none.idx", indexed[1], "r")
    with pytest.raises(OSError):
        MXRecordIO(tmp_path / "no" / "folder.rec", "w")


def test_an_index_that_points_nowhere(indexed: tuple[str, str]) -> None:
    Path(indexed[0]).write_text("0\t4\n1\t100000\n2\t152\n")
    with MXIndexedRecordIO(*indexed, "r") as reader:
        for key, offset, what in ((0, 4, "magic"), (1, 100000, "beyond the end"), (2, 152, "cut short|magic|beyond")):
            with pytest.raises(FormatError, match=what) as caught:
                reader.read_idx(key)
            assert (caught.value.path, caught.value.offset) == (indexed[1], offset)


def test_a_torn_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(frame(b"whole") + frame(b"torn in two")[:-1])
    with MXRecordIO(tmp_path / "a.rec", "r") as reader:
        assert reader.read() == b"whole"
        with pytest.raises(FormatError, match="cut short") as caught:
            reader.read()
    assert (caught.value.path, caught.value.offset) == (str(tmp_path / "a.rec"), 16)


def test_a_reader_follows_a_growing_file(tmp_path: Path) -> None:
    with MXRecordIO(tmp_path / "a.rec", "w") as writer, MXRecordIO(tmp_path / "a.rec", "r") as reader:
        assert reader.read() is None
        writer.write(b"one")
        assert (reader.read(), reader.read()) == (b"one", None)


FORK = """
import gc, os, sys
from gpu_pack.recordio import MXIndexedRecordIO, MXRecordIO

folder = sys.argv[1]
reader = MXIndexedRecordIO(f"{folder}/a.idx", f"{folder}/a.rec", "r")
reader.seek(30)
writer = MXIndexedRecordIO(f"{folder}/b.idx", f"{folder}/b.rec", "w")
writer.write_idx(1, b"parent")
child = os.fork()
if child == 0:
    status = 1
    try:
        reader.read()
    except RuntimeError:
        try:
            writer.write_idx(2, b"child")
        except RuntimeError:
            status = 0 if reader.read_idx(70) == b"70" and reader.read() == b"80" else 2
    del writer
    gc.collect()
    os._exit(status)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert reader.read() == b"30"
writer.write_idx(3, b"parent again")
writer.close()
with MXIndexedRecordIO(f"{folder}/b.idx", f"{folder}/b.rec", "r") as found:
    assert [found.read_idx(key) for key in found.keys] == [b"parent", b"parent again"]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_reads_for_itself_and_never_writes(indexed: tuple[str, str]) -> None:
    # In an interpreter of its own: pytest's may have threads, which do not go with fork.
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(Path(indexed[0]).parent)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
