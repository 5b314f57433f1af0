"""Which encoder a worker gets: ``auto`` takes the fastest; the kernels only where they make OpenCV's files."""

from __future__ import annotations

import ctypes
import re

import numpy as np
import pytest

from gpu_pack.gpu.cuda_encoder import CudaEncoder
from gpu_pack.gpu.encoder_choice import choose_encoder
from gpu_pack.gpu.kernel_check import check_files, known_pictures
from gpu_pack.types import TransformSpec
from tests.gpu import host_kernels
from tests.gpu.compiler import need_compiler
from tests.gpu.crops import crops, opencv
from tests.gpu.device import ZeroedMemory, context
from tests.gpu.host_kernels import HostLaunch
from tests.gpu.pictures import photograph

EDGE = 17
SPEC = TransformSpec(size=EDGE)
WRONG = r"\d+ of \d+ known pictures \(17 x 17, quality 95\) do not become OpenCV's bytes"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Exact:
    """Makes OpenCV's files of RGB crops on the host, and moves the clock by ``seconds`` a batch."""

    def __init__(self, clock: Clock, name: str, seconds: float) -> None:
        self.name, self.clock, self.seconds = name, clock, seconds
        self.batches: list[int] = []
        self.closed = False

    def encode(self, crops):
        self.clock.now += self.seconds
        self.batches.append(len(crops.sizes))
        data = ctypes.string_at(crops.tensors.as_tensor().data_ptr(), sum(crops.byte_counts()))
        pictures = np.frombuffer(data, np.uint8).reshape(-1, EDGE, EDGE, 3)
        return [opencv(picture[..., ::-1], SPEC.quality) for picture in pictures]

    def close(self):
        self.closed = True


class OneByteOff(Exact):
    def encode(self, crops):
        files = super().encode(crops)
        files[-1] = files[-1][:-3] + bytes([files[-1][-3] ^ 1]) + files[-1][-2:]
        return files


class OffOnceABatchIsShorter(Exact):
    def encode(self, crops):
        files = super().encode(crops)
        return [files[0]] * len(files) if len(files) < max(self.batches) else files


class Refusing(Exact):
    def encode(self, crops):
        return [*super().encode(crops)[:-1], None]


class Breaking(Exact):
    def encode(self, crops):
        raise RuntimeError("an illegal memory access was encountered")


class Makers(dict):
    """Makes fakes by name, of the kind ``kernels`` under ``cuda``; ``made`` holds those that were made."""

    def __init__(self, kernels=Exact, **seconds: float) -> None:
        self.clock, self.made = Clock(), {}
        super().__init__({name: self._maker(kernels if name == "cuda" else Exact, name) for name in seconds})
        self.seconds = seconds

    def _maker(self, kind, name):
        def make(_):
            self.made[name] = kind(self.clock, name, self.seconds[name])
            return self.made[name]

        return make

    def choose(self, encoder: str = "auto", spec: TransformSpec = SPEC):
        made_for = context(spec, "cpu", encoder=encoder, batch_size=8)
        pictures = [photograph(EDGE, EDGE, seed) for seed in range(8)]
        return choose_encoder(made_for, self, lambda: crops(pictures), self.clock)

    def closed(self) -> set[str]:
        return {name for name, encoder in self.made.items() if encoder.closed}


@pytest.mark.parametrize("fastest", ["cpu", "nvjpeg", "cuda"])
def test_auto_takes_the_fastest(fastest):
    makers = Makers(**{name: 1.0 if name == fastest else 2.0 for name in ("cpu", "nvjpeg", "cuda")})
    chosen = makers.choose()
    assert chosen == (makers.made[fastest], ())
    assert makers.closed() == makers.keys() - {fastest}


@pytest.mark.parametrize("kind", [OneByteOff, OffOnceABatchIsShorter, Refusing])
def test_kernels_that_make_other_files_are_not_used(kind):
    makers = Makers(kind, cpu=3.0, nvjpeg=2.0, cuda=1.0)
    chosen = makers.choose()
    assert chosen.encoder is makers.made["nvjpeg"]
    (clause,) = chosen.left_out
    assert re.fullmatch("encoder=auto leaves out cuda: " + WRONG, clause)
    assert makers.closed() == {"cpu", "cuda"}
    with pytest.raises(RuntimeError, match=rf"^encoder=cuda \(--encoder cuda\): {WRONG}$"):
        makers.choose("cuda")
    assert makers.made["cuda"].closed


def test_kernels_that_fail_are_not_used():
    makers = Makers(Breaking, cpu=2.0, nvjpeg=3.0, cuda=1.0)
    encoder, left_out = makers.choose()
    assert encoder is makers.made["cpu"]
    assert left_out == ("encoder=auto leaves out cuda: an illegal memory access was encountered",)
    with pytest.raises(RuntimeError, match=r"encoder=cuda .*illegal memory access"):
        makers.choose("cuda")


def test_kernels_are_taken_when_they_are_asked_for_and_right():
    makers = Makers(cpu=1.0, nvjpeg=2.0, cuda=3.0)
    assert makers.choose("cuda") == (makers.made["cuda"], ())
    assert makers.made.keys() == {"cuda"}


def test_crops_that_the_kernels_cannot_encode():
    gray = TransformSpec(size=EDGE, color="gray")
    makers = Makers(cpu=2.0, nvjpeg=1.0)
    assert makers.choose(spec=gray) == (makers.made["nvjpeg"], ())
    assert makers.choose("cuda", gray) == (makers.made["cpu"], ())


def test_auto_without_any_encoder_says_what_failed_first():
    makers = Makers(Breaking, cuda=1.0)
    makers |= {"cpu": unavailable, "nvjpeg": unavailable}
    with pytest.raises(RuntimeError, match="not there"):
        makers.choose()


def unavailable(_):
    raise RuntimeError("it is not there")


# ---- the check, with the kernels on the host


@pytest.fixture(scope="module")
def launch(tmp_path_factory) -> HostLaunch:
    return HostLaunch(host_kernels.folder(tmp_path_factory))


@need_compiler
@pytest.mark.parametrize(("edge", "quality", "batch_size"), [(224, 95, 64), (17, 30, 7), (100, 100, 128), (1, 95, 1)])
def test_the_kernels_pass(launch, edge, quality, batch_size):
    made_for = context(TransformSpec(size=edge, quality=quality), "cpu", batch_size=batch_size)
    check_files(CudaEncoder(made_for, launch), made_for)


@need_compiler
@pytest.mark.parametrize("kernel", ["transform", "bit_offsets", "clear"])
def test_kernels_of_which_one_does_nothing_do_not_pass(launch, kernel):
    def without(name: str, threads: int, *arguments) -> None:
        if name != kernel:
            launch(name, threads, *arguments)

    made_for = context(SPEC, "cpu", batch_size=8)._replace(memory=ZeroedMemory())
    with pytest.raises(RuntimeError, match=WRONG):
        check_files(CudaEncoder(made_for, without), made_for)


def test_known_pictures_differ():
    pictures = known_pictures(17, 64)
    assert pictures.shape[1:] == (17, 17, 3)
    assert 64 <= len({picture.tobytes() for picture in pictures}) == len(pictures) < 80
    grays = [picture for picture in pictures if (picture == picture[..., :1]).all()]
    assert 0 < len(grays) < len(pictures)
    assert np.array_equal(known_pictures(17, 1), pictures[:7]), "one of each kind"
