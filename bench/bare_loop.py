"""The floor: nothing but OpenCV in threads, and one file at the end. No order, no index, no checks, no resume.

python bench/bare_loop.py FOLDER OUT linear|area THREADS
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

import cv2
import numpy as np


def main() -> None:
    folder, out, interp, threads = sys.argv[1:]
    cv2.setNumThreads(1)
    files = iter(sorted(os.path.join(path, name) for path, _, names in os.walk(folder) for name in names))
    flag = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}[interp]
    lock = threading.Lock()
    with open(out, "wb") as file:
        workers = [threading.Thread(target=work, args=(files, flag, file, lock)) for _ in range(int(threads))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def work(files: Iterator[str], flag: int, out: BinaryIO, lock: threading.Lock) -> None:
    while True:
        with lock:
            name = next(files, None)
        if name is None:
            return
        with open(name, "rb") as file:
            image = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR)
        height, width = image.shape[:2]
        side = min(height, width)
        y, x = (height - side) // 2, (width - side) // 2
        crop = cv2.resize(image[y : y + side, x : x + side], (224, 224), interpolation=flag)
        data = cv2.imencode(".jpg", crop, (cv2.IMWRITE_JPEG_QUALITY, 95))[1]
        with lock:
            out.write(data)


if __name__ == "__main__":
    main()
