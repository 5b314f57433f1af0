"""The parts of prove_gpu.py that use workers directly: environment, agreement, faults, sweep, stages."""

from __future__ import annotations

import dataclasses
import itertools
import os
import platform
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from gpu_host import host_rate, python_microseconds
from gpu_measure import Session, codec, failures, open_gpu, open_groups, psnr, rate, side_by_side

from gpu_pack import doctor
from gpu_pack.formats.image_headers import read_header
from gpu_pack.geometry import crop_resize
from gpu_pack.gpu.memory import CudaMemory, Memory
from gpu_pack.gpu.protocols import DecodeRequest, WorkerContext
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import Encoded, Entry, Image, Rejected, TransformSpec, available_cores

INTERPS = ("antialias", "linear")
#: Values of each setting to try, the other settings at their best so far; the most important first. A trial starts its
#: processes anew, which takes most of its time.
CHOICES: dict[str, tuple[Any, ...]] = {
    "encoder": ("cpu", "nvjpeg"),
    "processes": (1, 2, 4, 6, 8),
    "workers": (1, 2, 3),
    "hw_decoder_load": (0.0, 0.65, 0.9, 1.0),
    "batch_size": (64, 128, 256),
    "threads": (1, 2, 4, 8),
    "hybrid_huffman_threshold": (0, 1_000_000),
}
#: Measured with the best of these. gpu_pack's kernels come last: an access outside their memory makes the device
#: unusable for the process.
AFTERWARDS: tuple[dict[str, Any], ...] = ({"fancy_upsampling": False}, {"check_scans": False}, {"encoder": "cuda"})
CPU_CHOICES: dict[str, tuple[Any, ...]] = {"encoder": ("cpu", "nvjpeg")}


def environment(session: Session) -> None:
    """The machine, the versions and the commit."""
    diagnosis = doctor.diagnose()
    for key, value in dataclasses.asdict(diagnosis).items():
        session.say(key, value)
    session.say("processor", _processor())
    session.say("commit", _commit())
    files = session.files()
    session.say("photos", len(files))
    session.say("mean_bytes", round(sum(path.stat().st_size for path in files) / len(files)))
    session.say("scratch folder", tempfile.gettempdir())
    session.say("scratch MB/s", _disk_rate(64 if session.cpu else 1024))
    if not session.cpu and diagnosis.device != "gpu":
        raise SystemExit(f"no usable GPU: {diagnosis.reason}. {diagnosis.cure}")


def agreement(session: Session) -> None:
    """PSNR of the GPU path's crops against the CPU fallback's, with each of the decoder's settings."""
    images = session.images(32 if session.cpu else 256)
    loads = (1.0,) if session.cpu else (1.0, 0.0, 0.9)
    by_engine: dict[tuple[bool, str], list[bytes]] = {}
    for fancy, load, interp in itertools.product((True, False), loads, INTERPS):
        if session.left() < 0:
            session.keep("cut off", True)
            return
        spec = TransformSpec(interp=interp)
        expected = [codec(spec)(image) for image in images]
        settings = session.settings(
            workers=1, encoder="cpu", fancy_upsampling=fancy, hw_decoder_load=load, check_corners=False
        )
        (worker,) = open_gpu(spec, settings)
        outcomes = [outcome for part in _parts(images, worker.batch_size) for outcome in worker.transform(part)]
        pairs = [
            (one, other)
            for one, other in zip(outcomes, expected, strict=True)
            if isinstance(one, Encoded) and isinstance(other, Encoded) and one.backend == "gpu"
        ]
        values = [psnr(one.data, other.data) for one, other in pairs]
        figures: dict[str, Any] = {"images": len(values), "failures": failures([worker])}
        if values:
            figures.update({"mean": round(float(np.mean(values)), 2), "worst": round(min(values), 2)})
        figures["other_sizes"] = sum(one[2:4] != other[2:4] for one, other in pairs)
        # If engine and CUDA decode alike, a batch may be divided between them.
        datas = [outcome.data for outcome in outcomes if isinstance(outcome, Encoded)]
        same = by_engine.setdefault((fancy, interp), datas)
        figures["other_bytes_than_at_load_1"] = sum(one != other for one, other in zip(datas, same, strict=True))
        session.say(f"{interp},fancy={int(fancy)},load={load}", figures)
        worker.close()


def faults(session: Session) -> None:
    """Each kind of damage among good images: its verdict, whether the others are bit-exact, and what it costs."""
    spec = TransformSpec()
    good = (session.images(15) * 15)[:15]
    # By the engines and by CUDA; the encoders by the engines alone.
    channels = (
        (("cpu", 1.0), ("nvjpeg", 1.0)) if session.cpu else (("cpu", 1.0), ("cpu", 0.0), ("nvjpeg", 1.0), ("cuda", 1.0))
    )
    for encoder, load in channels:
        settings = session.settings(workers=1, batch_size=16, encoder=encoder, hw_decoder_load=load)
        (worker,) = open_gpu(spec, settings)
        alone = [outcome.data for outcome in worker.transform(good) if isinstance(outcome, Encoded)]
        for name, data in damaged(good[0].data).items():
            batch = [*good[:7], Image(Entry(99, (0.0,), name), data), *good[7:]]
            begin = time.perf_counter()
            outcomes = worker.transform(batch)
            milliseconds = 1000 * (time.perf_counter() - begin)
            odd = outcomes.pop(7)
            others = [outcome.data for outcome in outcomes if isinstance(outcome, Encoded)]
            by_gpu = isinstance(odd, Encoded) and odd.backend == "gpu"
            figures = {
                "verdict": f"packed by {odd.backend}" if isinstance(odd, Encoded) else f"rejected: {odd.reason}",
                "silent": by_gpu and isinstance(codec(spec)(batch[7]), Rejected),
                "others_exact": others == alone,
                "milliseconds": round(milliseconds),
            }
            session.say(f"{encoder},load={load:g},{name}", figures)
        session.say(f"{encoder},load={load:g} said", failures([worker]))
        worker.close()


def damaged(data: bytes) -> dict[str, bytes]:
    """A good JPEG, damaged or disguised in every way that decoders are known to be sensitive to."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    scan, middle = read_header(data).body, len(data) // 2
    tables = data.index(b"\xff\xc4")

    def encoded(suffix: str, *options: int) -> bytes:
        return cv2.imencode(suffix, picture, list(options))[1].tobytes()

    return {
        "none": data,
        "empty": b"",
        "text": b"not an image " * 40,
        "half": data[:middle],
        "no end marker": data[:-2],
        "header only": data[:scan],
        "flipped bits": data[:middle] + bytes(byte ^ 0x5A for byte in data[middle : middle + 16]) + data[middle + 16 :],
        "foreign block": data[:middle] + b"\xff\x02" * 512 + data[middle + 1024 :],
        "zeros": data[:middle] + bytes(1024) + data[middle + 1024 :],
        "short scan": data[: scan + (len(data) - scan) // 3] + b"\xff\xd9",
        "Huffman table": data[: tables + 5] + b"\x7f" * 16 + data[tables + 21 :],
        "junk between segments": data[:tables] + b"\0junk" + data[tables:],
        "progressive": encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "restart markers": encoded(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 3),
        "4:1:1": encoded(".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411),
        "gray": cv2.imencode(".jpg", picture[:, :, 1])[1].tobytes(),
        "png": encoded(".png"),
        "one pixel": cv2.imencode(".jpg", picture[:1, :1])[1].tobytes(),
    }


def sweep(session: Session) -> None:
    """Images/s at each value of each setting, the others at their best so far. Records ``best`` and every trial."""
    entries = session.entries()
    choices = CPU_CHOICES if session.cpu else CHOICES
    best: dict[str, Any] = (
        {"encoder": "cpu"} if session.cpu else {"encoder": "cpu", "processes": 4, "workers": 2, "batch_size": 128}
    )
    seconds = session.seconds / (sum(len(values) for values in choices.values()) + len(AFTERWARDS)) / 2
    rates: dict[str, float] = {}
    trials: list[dict[str, Any]] = []
    for setting, values in choices.items():
        start = best
        for value in values:
            trial = {**start, setting: value}
            if _trial(session, trial, entries, seconds, rates, trials) == max(rates.values()):
                best = trial
                session.say("best", best)
                session.say("best_images/s", max(rates.values()))
            if session.left() < 0:
                session.keep("cut off", True)
                return
    for changes in AFTERWARDS[:1] if session.cpu else AFTERWARDS:
        figure = _trial(session, {**best, **changes}, entries, seconds, rates, trials)
        session.say(f"images/s with {changes}", figure)


def _trial(
    session: Session,
    changes: dict[str, Any],
    entries: list[Entry],
    seconds: float,
    rates: dict[str, float],
    trials: list[dict[str, Any]],
) -> float:
    """One setting's rate; 0 where it does not work."""
    key = str(sorted(changes.items()))
    if key not in rates:
        trial: dict[str, Any] = dict(changes)
        try:
            groups = open_groups(TransformSpec(), session.settings(**changes))
            try:
                trial.update(rate(groups, entries, seconds))
            finally:
                for group in groups:
                    group.close()
        except Exception as error:
            trial.update({"images/s": 0.0, "error": str(error)[:300]})
        rates[key] = trial["images/s"]
        trials.append(trial)
        print(f"    {trial}", flush=True)
        session.keep("trials", trials)
    return rates[key]


def stages(session: Session) -> None:
    """Where the time goes: each stage alone, with one worker and with as many as the sweep found best."""
    from gpu_pack.gpu.graph import Graph
    from gpu_pack.gpu.open_workers import ENCODERS

    spec, settings = TransformSpec(), session.settings(encoder="cpu")
    images = session.images(settings.batch_size)
    datas = [image.data for image in images]
    requests = [DecodeRequest(data, crop_resize(*read_header(data).upright_size, spec), (0, 0)) for data in datas]
    channels = settings.workers * settings.processes_per_gpu(1)
    threads = settings.threads_per_worker(channels)
    slice_seconds = max(0.1, session.seconds / 12)

    def context(changed: GpuSettings) -> WorkerContext:
        memory = Memory() if session.cpu else CudaMemory(0)
        memory.activate()
        return WorkerContext(spec, changed, 0, memory, ThreadPoolExecutor(threads))

    def each(make: Any, count: int) -> float:
        works = [make() for _ in range(count)]
        counts, elapsed = side_by_side(works, slice_seconds)
        return round(sum(counts) / elapsed, 1)

    def decoding(**changes: Any) -> Any:
        def make() -> Any:
            graph = Graph(context(dataclasses.replace(settings, threads=threads, **changes)))
            return lambda: len(graph.run(requests).sizes)

        return make

    def encoding(name: str) -> Any:
        def make() -> Any:
            parts = context(dataclasses.replace(settings, threads=threads))
            crops, encoder = Graph(parts).run(requests), ENCODERS[name](parts)

            def step() -> int:
                parts.memory.activate()  # a stream is current for one thread only
                return len(encoder.encode(crops))

            return step

        return make

    several = sorted({1, channels})
    for count in several:
        session.say(f"graph x{count} images/s", each(decoding(), count))
        for name in ("cpu", "nvjpeg"):
            session.say(f"encode {name} x{count} images/s", each(encoding(name), count))
    if not session.cpu:
        for load in (0.0, 1.0):
            session.say(f"graph load={load} x{several[-1]} images/s", each(decoding(hw_decoder_load=load), several[-1]))
    session.say("python us/image", python_microseconds(datas, spec))
    session.say(f"host x{channels} images/s", host_rate(session, spec, settings, min(3.0, slice_seconds)))
    session.say("cores", available_cores())
    for count in () if session.cpu else several:  # last: see AFTERWARDS
        session.say(f"encode cuda x{count} images/s", each(encoding("cuda"), count))


def _parts(images: list[Image], size: int) -> list[list[Image]]:
    return [images[start : start + size] for start in range(0, len(images), size)]


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    except OSError:  # no git on a bare machine
        return None
    return done.stdout.strip() or None


def _disk_rate(megabytes: int) -> float:
    """MB/s of writing and syncing where whole runs write: what bounds them if it is slow."""
    block = bytes(1 << 20)
    with tempfile.TemporaryFile(buffering=0) as file:
        begin = time.perf_counter()
        for _ in range(megabytes):
            file.write(block)
        os.fsync(file.fileno())
        return round(megabytes * 1.048576 / (time.perf_counter() - begin), 1)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
