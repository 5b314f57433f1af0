"""One odd image costs only itself, on the real graph."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from cpu_fallback.worker import CpuWorker, make_codec
from gpu_pack.errors import BackendError
from gpu_pack.gpu.memory import Memory
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import Encoded, Rejected, TransformSpec
from tests.gpu.device import DEVICE, context, need_dali
from tests.gpu.pictures import decoded, images, jpeg, oriented, photograph, png

SPEC = TransformSpec(size=64)
PHOTO = photograph(200, 150, 7)
WHOLE = jpeg(PHOTO)
TABLES = WHOLE.index(b"\xff\xc4")


def rotten(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + b"\xff\x01\xff\x02" + data[middle + 4 :]


#: What the device must not be blamed for, and whether the CPU codec packs it.
ODD = {
    "empty": (b"", False),
    "text": (b"not an image " * 40, False),
    "half": (WHOLE[: len(WHOLE) // 2], False),
    "without its end marker": (WHOLE[:-2], False),
    "header alone": (WHOLE[:300], False),
    "rotten": (rotten(WHOLE), False),
    "Huffman table": (WHOLE[: TABLES + 5] + b"\x7f" * 16 + WHOLE[TABLES + 21 :], False),
    "data that ends early": (WHOLE[: len(WHOLE) // 2] + b"\xff\xd9", False),
    "junk between segments": (WHOLE[:20] + b"\0junk" + WHOLE[20:], True),
    "progressive": (jpeg(PHOTO, progressive=True), True),
    "4:1:1": (jpeg(PHOTO, "4:1:1"), True),
    "png": (png(PHOTO), True),
}


@pytest.mark.parametrize("name", ODD)
def test_the_rest_of_the_batch_is_packed_bit_for_bit_as_without_it(open_worker, name):
    odd, packed = ODD[name]
    good = [jpeg(photograph(100 + 9 * seed, 130, seed)) for seed in range(6)]
    worker = open_worker(SPEC)
    alone = worker.transform(images(good))
    batch = images([*good[:3], odd, *good[3:]])
    outcomes = worker.transform(batch)
    (verdict,) = outcomes[3:4]
    assert verdict == CpuWorker(SPEC).transform(batch[3:4])[0]
    assert isinstance(verdict, Encoded) == packed
    others = outcomes[:3] + outcomes[4:]
    assert [outcome.data for outcome in others] == [outcome.data for outcome in alone]
    assert {outcome.backend for outcome in others} == {"gpu"}


def test_a_batch_of_nothing_but_odd_ones(open_worker):
    batch = images([data for data, _ in ODD.values()])
    outcomes = open_worker(SPEC).transform(batch)
    assert outcomes == CpuWorker(SPEC).transform(batch)
    assert [outcome.entry for outcome in outcomes] == [image.entry for image in batch]


def test_images_that_pass_every_check_and_still_fail_in_the_decoder(open_worker):
    """Found by bisecting, several in one batch, again and again."""
    bad, _ = ODD["Huffman table"]
    good = [jpeg(photograph(120, 90 + seed, seed)) for seed in range(13)]
    worker = open_worker(SPEC)
    alone = worker.transform(images(good))
    mixed = images([bad, *good[:5], bad, *good[5:], bad])
    for _ in range(3):
        outcomes = worker.transform(mixed)
        assert [type(outcome) for outcome in outcomes].count(Rejected) == 3
        assert [outcome.data for outcome in outcomes if isinstance(outcome, Encoded)] == [one.data for one in alone]
    assert outcomes[0] == CpuWorker(SPEC).transform(mixed[:1])[0]
    assert worker.transform(images(good)) == alone


def test_what_the_parser_refuses_never_reaches_the_decoder(open_worker):
    """libjpeg skips junk between segments; DALI 2.4 crashes some batches after nvImageCodec's parser has met it."""
    junk, _ = ODD["junk between segments"]
    batch = images([WHOLE, junk, WHOLE, WHOLE])
    worker = open_worker(TransformSpec(size=16))
    for _ in range(150):
        assert [outcome.backend for outcome in worker.transform(batch)] == ["gpu", "cpu", "gpu", "gpu"]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (2, 2), (17, 16)])
@pytest.mark.parametrize("encoder", ["cpu", "nvjpeg"])
def test_tiny_pictures(open_worker, size, encoder):
    for spec in (SPEC, TransformSpec(size=None, crop=False), TransformSpec(size=None)):
        batch = images([jpeg(photograph(*size))])
        (outcome,) = open_worker(spec, encoder=encoder).transform(batch)
        (expected,) = CpuWorker(spec).transform(batch)
        assert isinstance(outcome, Encoded)
        assert outcome[2:4] == expected[2:4] == decoded(outcome.data).shape[1::-1]


def test_all_samplings_and_gray_in_one_batch(open_worker):
    datas = [jpeg(PHOTO, sampling) for sampling in ("4:4:4", "4:2:2", "4:2:0", "4:4:0")]
    datas += [jpeg(PHOTO[:, :, 1]), oriented(WHOLE, 6)]
    outcomes = open_worker(SPEC).transform(images(datas))
    assert [outcome.backend for outcome in outcomes] == ["gpu"] * len(datas)
    assert all(decoded(outcome.data).shape == (64, 64, 3) for outcome in outcomes)


def test_pictures_above_the_limit_are_the_codecs_to_reject(open_worker):
    spec = TransformSpec(size=64, max_pixels=150 * 199)
    outcomes = open_worker(spec).transform(images([WHOLE, jpeg(photograph(100, 100))]))
    assert isinstance(outcomes[0], Rejected)
    assert isinstance(outcomes[1], Encoded)


def test_batches_are_cut_by_their_pixels(open_worker):
    datas = [jpeg(photograph(100, 80, seed)) for seed in range(8)]
    whole = open_worker(SPEC).transform(images(datas))
    assert open_worker(SPEC, batch_pixels=20_000).transform(images(datas)) == whole
    assert open_worker(SPEC, batch_pixels=1).transform(images(datas)) == whole


def test_workers_in_threads_side_by_side(open_worker):
    batches = [images([jpeg(photograph(150, 110, 10 * channel + n)) for n in range(6)]) for channel in range(3)]
    batches = [[*batch, images([b"bad"])[0]] for batch in batches]
    workers = [open_worker(SPEC, number, encoder=encoder) for number, encoder in enumerate(("cpu", "nvjpeg", "cpu"))]
    alone = [worker.transform(batch) for worker, batch in zip(workers, batches, strict=True)]
    together: dict[int, list] = {}

    def run(channel: int) -> None:
        together[channel] = [workers[channel].transform(batches[channel]) for _ in range(4)]

    threads = [threading.Thread(target=run, args=(channel,)) for channel in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[channel] for channel in range(3)] == [[outcomes] * 4 for outcomes in alone]


@pytest.mark.parametrize("spec", [TransformSpec(pass_through=True), TransformSpec(encoding="png", quality=3)])
def test_what_the_gpu_does_not_do_is_said_at_once(open_worker, spec):
    with pytest.raises(BackendError, match=r"--pass-through|--encoding png"):
        open_worker(spec)


def test_auto_settles_on_one_encoder(open_worker):
    worker = open_worker(SPEC, encoder="auto")
    assert worker.encoder in ("cpu", "nvjpeg")
    assert isinstance(worker.transform(images([WHOLE]))[0], Encoded)


def unavailable(context):
    raise RuntimeError("nvJPEG is not there")


def test_auto_does_without_an_encoder_that_cannot_be_made():
    need_dali()
    from gpu_pack.gpu.open_workers import ENCODERS, open_workers

    settings = GpuSettings(workers=1, batch_size=4, threads=1, encoder="auto", device=DEVICE)
    encoders = {**ENCODERS, "nvjpeg": unavailable}
    (worker,) = open_workers(SPEC, make_codec(SPEC), 0, settings, encoders)
    assert worker.encoder == "cpu"
    worker.close()
    with pytest.raises(BackendError, match="gpu:0: it cannot be set up: nvJPEG is not there"):
        open_workers(SPEC, make_codec(SPEC), 0, settings, {**encoders, "cpu": unavailable})


def wrong_kernels(context):
    from gpu_pack.gpu.encoders import CpuEncoder

    class LastFileCut(CpuEncoder):
        def encode(self, crops):
            *files, last = super().encode(crops)
            return [*files, last[:-1]]

    return LastFileCut(context)


def test_kernels_that_make_other_files_are_told_and_not_used():
    need_dali()
    from gpu_pack.gpu.open_workers import ENCODERS, open_workers

    settings = GpuSettings(workers=2, batch_size=4, threads=1, encoder="auto", device=DEVICE)
    encoders = {**ENCODERS, "cuda": wrong_kernels}
    told = "3 of 9 known pictures (64 x 64, quality 95) do not become OpenCV's bytes"
    workers = open_workers(SPEC, make_codec(SPEC), 0, settings, encoders)
    assert workers[0].encoder == workers[1].encoder != "cuda"
    assert [worker.failures for worker in workers] == [{f"gpu:0: encoder=auto leaves out cuda: {told}": 1}, {}]
    assert isinstance(workers[1].transform(images([WHOLE]))[0], Encoded)
    for worker in workers:
        worker.close()
    asked = dataclasses.replace(settings, encoder="cuda")
    with pytest.raises(BackendError) as error:
        open_workers(SPEC, make_codec(SPEC), 0, asked, encoders)
    assert str(error.value) == f"gpu:0: it cannot be set up: encoder=cuda (--encoder cuda): {told}"


def test_kernels_that_break_the_device_are_told():
    need_dali()
    from gpu_pack.gpu.encoders import CpuEncoder
    from gpu_pack.gpu.open_workers import open_workers

    broken = []

    class OnTheDevice(CpuEncoder):
        def encode(self, crops):
            if broken:
                raise RuntimeError("the context is lost")
            return super().encode(crops)

    def breaking(context):
        broken.append(True)
        raise RuntimeError("an illegal memory access")

    settings = GpuSettings(workers=1, batch_size=4, threads=1, encoder="auto", device=DEVICE)
    encoders = {"cpu": OnTheDevice, "nvjpeg": OnTheDevice, "cuda": breaking}
    reason = "the context is lost; before that, encoder=auto leaves out cuda: an illegal memory access"
    with pytest.raises(BackendError, match=f"gpu:0: the device fails with a valid test image: {reason}"):
        open_workers(SPEC, make_codec(SPEC), 0, settings, encoders)


def test_a_run_ends_before_its_outputs_are_read_or_the_next_begins(monkeypatch):
    """JPEG engines ignore the order of streams: see `gpu_pack.gpu.graph`."""
    need_dali()
    from gpu_pack.gpu import graph

    built, runs = [], []

    def recording(define):
        def build(**options):
            built.append(options)
            pipe = original(define)(**options)
            run = pipe.run
            pipe.run = lambda *args, **inputs: runs.append((args, {*inputs})) or run(*args, **inputs)
            return pipe

        return build

    original = graph.pipeline_def
    monkeypatch.setattr(graph, "pipeline_def", recording)
    one = graph.Graph(context(SPEC))
    one.rebuild()
    one.close()
    assert [options["prefetch_queue_depth"] for options in built] == [1, 1]
    assert not any(name.startswith("exec_") for options in built for name in options)
    assert runs
    assert all(not args and "cuda_stream" not in inputs for args, inputs in runs)


def test_reset_waits_for_the_device():
    need_dali()
    from gpu_pack.gpu.graph import Graph

    waits = []

    class Waiting(Memory):
        def wait_device(self):
            waits.append(len(waits))

    one = Graph(context(SPEC)._replace(memory=Waiting()))
    resets, reset = [], one._pipe.reset
    one._pipe.reset = lambda: resets.append(len(waits)) or reset()
    one.reset()
    assert resets == [1], "the wait comes first"
    assert len(waits) == 1
    one.rebuild()
    assert len(waits) == 2
    one.close()


def test_a_new_pipeline_decodes_a_whole_batch_first():
    """nvImageCodec divides all later batches between its decoders as it did the first."""
    need_dali()
    from gpu_pack.gpu.graph import Graph

    sizes = []

    class RecordingGraph(Graph):
        def run(self, batch):
            sizes.append(len(batch))
            return super().run(batch)

    graph = RecordingGraph(context(SPEC, batch_size=9))
    assert sizes == [9]
    graph.rebuild()
    assert sizes == [9, 9]
    graph.close()
