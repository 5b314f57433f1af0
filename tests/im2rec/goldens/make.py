"""Makes images/ and goldens.json with MXNet 1.9.1's own im2rec.py. Run by the Python that has MXNet:

    python tests/im2rec/goldens/make.py

(Python 3.11, mxnet 1.9.1, numpy 1.23.5, opencv-python-headless 4.10.0.84 wrote what is committed.) The images are
synthetic, made here. A golden holds the arguments, the lists that went in, and what came out: lists and indices as
text, records as size and sha256.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
IMAGES = HERE / "images"
IM2REC = Path(str(find_spec("mxnet").origin)).parent / "tools" / "im2rec.py"

#: Two by one pixels, black and white; OpenCV 4.10 reads no GIF, and writes none.
GIF = bytes.fromhex("47494638396102000100f00000000000ffffff2c00000000020001000002020c0a003b")

LIST_CASES = (
    "",
    "--no-shuffle",
    "--recursive",
    "--recursive --no-shuffle",
    "--recursive --exts .png",
    "--recursive --exts .JPG .tif",
    "--recursive --exts .JPG --train-ratio 0.5",
    "--recursive --exts .bmp .webp .tif .jpg .jpeg .png",
    "--recursive --chunks 3",
    "--recursive --chunks 50",
    "--recursive --train-ratio 0.8",
    "--recursive --train-ratio 0.7 --test-ratio 0.15",
    "--recursive --train-ratio 0.5 --test-ratio 0.5",
    "--recursive --train-ratio 0.5 --test-ratio 0.5 --chunks 3 --no-shuffle",
    "--recursive --train-ratio 0.8 --test-ratio 0.7",
    "--recursive --train-ratio 1.0 --test-ratio 0.3",
    "--recursive --train-ratio 0 --test-ratio 0.25",
    "--recu --train 0.6 --no-s --ch 2",
)


def main() -> None:
    write_images()
    goldens = {
        "opencv": cv2.__version__,
        "pixels": pixels(),
        "list": [list_case(flags.split()) for flags in LIST_CASES],
        "pack": [pack_case(*case) for case in pack_cases()],
    }
    (HERE / "goldens.json").write_text(json.dumps(goldens, indent=1) + "\n", encoding="utf-8", newline="\n")


# ---- images


def picture(width: int, height: int, seed: int, channels: int = 3, depth: type = np.uint8) -> np.ndarray:
    """A gradient with some noise: compresses well, and no two pixels of a neighbourhood are alike."""
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.RandomState(seed).randint(0, 24, (height, width, channels))
    base = np.stack([(rows * (3 + c) + columns * (5 - c) + 40 * seed) % 232 for c in range(channels)], axis=2)
    scale = 257 if depth is np.uint16 else 1
    return ((base + noise) * scale).astype(depth)


def write_images() -> None:
    shutil.rmtree(IMAGES, ignore_errors=True)
    jpg = lambda *args, **kw: encode(".jpg", picture(*args, **kw))  # noqa: E731
    files = {
        "root.jpg": jpg(48, 36, 1),
        "UPPER.JPG": jpg(36, 48, 2),
        ".hidden.jpeg": jpg(20, 20, 3),
        "notes.txt": b"not an image\n",
        "noext": jpg(8, 8, 4),
        "a/landscape.jpg": jpg(80, 45, 5),
        "a/portrait.jpg": jpg(45, 81, 6),
        "a/square.jpeg": jpg(50, 50, 7),
        "a/gray.jpg": encode(".jpg", picture(44, 33, 8, 1)),
        "a/progressive.jpg": encode(".jpg", picture(64, 40, 9), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "a/restarts.jpg": encode(".jpg", picture(64, 40, 10), cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        "a/deep/er/one.jpg": jpg(33, 57, 11),
        "a/deep/er/dot.png": encode(".png", picture(1, 1, 12)),
        "b c/rgba.png": encode(".png", picture(41, 30, 13, 4)),
        "b c/sixteen.png": encode(".png", picture(30, 41, 14, 3, np.uint16)),
        "b c/gray.png": encode(".png", picture(35, 35, 15, 1)),
        "b c/palette.png": palette_png(37, 29),
        "b c/thin.png": encode(".png", picture(3, 70, 16)),
        "folder.jpg/inside.jpg": jpg(40, 30, 17),
        "other/photo.webp": encode(".webp", picture(40, 30, 18), cv2.IMWRITE_WEBP_QUALITY, 90),
        "other/photo.bmp": encode(".bmp", picture(20, 15, 19)),
        "other/photo.tif": encode(".tif", picture(20, 15, 20)),
        "others/photo.ppm": encode(".ppm", picture(22, 31, 30)),
        "others/gray.pgm": encode(".pgm", picture(31, 22, 31, 1)),
        "others/sixteen.pgm": encode(".pgm", picture(12, 17, 32, 1, np.uint16)),
        "others/photo.pam": encode(".pam", picture(25, 20, 33)),
        "others/photo.ras": encode(".ras", picture(20, 26, 34)),
        "others/still.gif": GIF,
        **{f"turned/exif{n}.jpg": with_orientation(jpg(40, 28, 20 + n), n) for n in (2, 3, 5, 6, 8)},
    }
    for name, data in files.items():
        path = IMAGES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def encode(suffix: str, pixels: np.ndarray, *parameters: int) -> bytes:
    done, data = cv2.imencode(suffix, pixels, list(parameters))
    assert done
    return data.tobytes()


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF segment that holds the orientation alone."""
    tiff = b"MM\0\x2a\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01" + bytes((0, orientation, 0, 0)) + bytes(4)
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:]


def palette_png(width: int, height: int) -> bytes:
    """Eight colours, one of them transparent; OpenCV writes no palettes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    colours = bytes((37 * n * (c + 1)) % 256 for n in range(8) for c in range(3))
    rows = b"".join(b"\0" + bytes((x * y // 5) % 8 for x in range(width)) for y in range(height))
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 3, 0, 0, 0))
    parts = ((b"IHDR", head), (b"PLTE", colours), (b"tRNS", b"\xff\0"), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


# ---- cases


def plain_list() -> list[list[str]]:
    """``[key, labels..., path]`` of every image, with one label or three in turn."""
    paths = sorted(str(path.relative_to(IMAGES)).replace(os.sep, "/") for path in IMAGES.rglob("*.*") if path.is_file())
    images = [path for path in paths if not path.endswith(".txt") and not path.startswith("others/")]
    return [
        [str(number), str(number % 4), *((["0.25", "-1e3"]) if number % 3 else []), path]
        for number, path in enumerate(images)
    ]


def text(rows: list[list[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def pack_cases() -> Iterator[tuple[str, dict[str, str], list[str], str]]:
    """``(what it is about, the lists, flags, prefix)``."""
    whole = {"data.lst": text(plain_list())}
    some = plain_list()[::3]
    colors, encodings = ("--color 1", "--color 0", "--color -1"), ("", "--encoding .png")
    # A 16-bit PNG and a 16-bit JPEG want other things of an encoder: what OpenCV 4.10 does is what is right here.
    for parts in itertools.product(colors, encodings, ("", "--center-crop"), ("", "--resize 32")):
        flags = " ".join(filter(None, parts))
        yield flags, whole, flags.split(), "data"
    yield "upscaled", {"data.lst": text(some)}, ["--resize", "90"], "data"
    yield "one pixel", {"data.lst": text(some)}, ["--resize=1", "--center-crop"], "data"
    for quality in ("-3", "0", "1", "50", "100", "250"):
        for encoding in (".jpg", ".png"):
            name = f"quality {quality} {encoding}"
            yield name, {"data.lst": text(some[:4])}, ["--quality", quality, "--encoding", encoding], "data"
    yield "pass-through", whole, ["--pass-through"], "data"
    yield "pass-through ignores the rest", whole, ["--pass", "--resize", "9", "--encoding", ".png"], "data"
    yield "labels", whole, ["--pack-label", "--resize", "16"], "data"
    yield "labels, abbreviated", whole, ["--pack", "--res", "16", "--cen", "--num", "3"], "data"
    yield "numbers", {"data.lst": numbers()}, ["--resize", "16", "--num-thread", "2"], "data"
    yield (
        "numbers, all labels",
        {"data.lst": numbers()},
        ["--resize", "16", "--num-thread", "2", "--pack-label"],
        "data",
    )
    yield "bad lines", {"data.lst": bad_lines()}, ["--resize", "16"], "data"
    yield "missing files", {"data.lst": missing_files()}, ["--resize", "16", "--num-thread", "2"], "data"
    yield "missing, pass-through", {"data.lst": missing_files()}, ["--pass-through", "--num-thread", "2"], "data"
    names = ("photo.ppm", "gray.pgm", "sixteen.pgm", "photo.pam", "photo.ras")
    others = text([[str(key), "1", f"others/{name}"] for key, name in enumerate(names)])
    for flags in ("", "--resize 16 --center-crop", "--color 0", "--color -1 --encoding .png --quality 3"):
        yield f"other formats {flags}".strip(), {"data.lst": others}, flags.split(), "data"
    stored = others + text([["9", "2", "others/still.gif"]])
    yield "other formats, pass-through", {"data.lst": stored}, ["--pass-through"], "data"
    several = {name: text(some[begin:4:2]) for begin, name in enumerate(("data.lst", "data_2.lst"))}
    several |= {"dat.lst": text(some), "x.lst": text(some[5:6]), "data.lst.old": "", "data_empty.lst": ""}
    yield "prefix", several, ["--resize", "16"], "data"
    yield "prefix is a folder", several, ["--resize", "16"], ""


def numbers() -> str:
    """Keys and labels at the edges of what fits, and beyond."""
    keys = ["0", "7", "7", "007", " 8 ", "+9", "1_0", str(2**32), str(2**63), str(2**64 - 1), "-1", str(2**64), "-0"]
    labels = ["0", "-0.0", "1e39", "-1e39", "3.4028235677973366e38", "nan", "inf", "-inf", "16777217", "0.1", "1e-46"]
    rows = [[key, labels[n % len(labels)], "root.jpg"] for n, key in enumerate(keys)]
    rows += [[str(20 + n), label, labels[-n], "root.jpg"] for n, label in enumerate(labels)]
    return text([*rows, ["7", "1", "a/gray.jpg"]])


def bad_lines() -> str:
    return (
        "0\t1\troot.jpg\n\n   \n1 1 root.jpg\n2\troot.jpg\nkey\t1\troot.jpg\n3\tlabel\troot.jpg\n4.0\t1\troot.jpg\n"
        "5\t\troot.jpg\n  6\t 1 \t  a/gray.jpg  \n7\t1\ta/gray.jpg\t\n8\t1\ta/gray.jpg\r\n\t9\t1\ta/gray.jpg\n"
        "10\t1\t2\tthree\ta/gray.jpg\n11\t1\ta/gray.jpg"
    )


def missing_files() -> str:
    names = ("root.jpg", "none.jpg", "a/gray.jpg", "none/none.jpg", "b c", "b c/gray.png", "a/../root.jpg")
    return "".join(f"{key}\t{key}\t{name}\n" for key, name in enumerate(names))


# ---- running im2rec.py


def list_case(flags: list[str]) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        done = run([*flags, "--list", f"{folder}/data", str(IMAGES)])
        return {"flags": flags, "stdout": done, "files": outputs(Path(folder))}


def pack_case(name: str, lists: dict[str, str], flags: list[str], prefix: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        for file, content in lists.items():
            Path(folder, file).write_text(content, encoding="utf-8", newline="")
        run([*flags, os.path.join(folder, prefix), str(IMAGES)])
        files = {file: value for file, value in outputs(Path(folder)).items() if file not in lists}
        return {"name": name, "lists": lists, "flags": flags, "prefix": prefix, "files": files}


def run(arguments: list[str]) -> str:
    done = subprocess.run([sys.executable, str(IM2REC), *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{arguments}: {done.stderr}")
    return done.stdout


def outputs(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        sums = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        found[path.name] = sums if path.suffix == ".rec" else data.decode()
    return found


def pixels() -> dict[str, str]:
    """What this OpenCV makes of one picture, step by step: a build that computes otherwise gives other records."""
    decoded = cv2.imread(str(IMAGES / "a" / "landscape.jpg"), 1)
    steps = {
        "decode": decoded,
        "decode gray": cv2.imread(str(IMAGES / "a" / "landscape.jpg"), 0),
        "shrink": cv2.resize(decoded, (32, 18)),
        "enlarge": cv2.resize(decoded, (160, 90)),
        "jpeg": cv2.imencode(".jpg", decoded, [cv2.IMWRITE_JPEG_QUALITY, 95])[1],
        "png": cv2.imencode(".png", decoded, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1],
    }
    return {name: hashlib.sha256(value.tobytes()).hexdigest() for name, value in steps.items()}


if __name__ == "__main__":
    main()
