"""Workers that are real implementations of the interface, with a will of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from gpu_pack.errors import BackendError
from gpu_pack.types import Encoded, Entry, Image, Outcome


def images(count: int, size: int = 10) -> list[Image]:
    """Numbered images; the bytes tell which one it is."""
    return [
        Image(Entry(number, (0.0,), f"{number}.jpg", size), number.to_bytes(size, "little")) for number in range(count)
    ]


class EchoWorker:
    """Gives every image back as it is, after ``pause`` seconds a batch."""

    def __init__(self, name: str = "echo", batch_size: int = 4, pause: float = 0.0) -> None:
        self.name = name
        self.batch_size = batch_size
        self.pause = pause
        self.batches: list[int] = []
        self.closed = 0

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        self.batches.append(len(images))
        if self.pause:
            time.sleep(self.pause)
        return [Encoded(image.entry, image.data, 1, 1, "cpu") for image in images]

    def close(self) -> None:
        self.closed += 1


class BreakingWorker(EchoWorker):
    """Works for ``good`` batches, then raises what it is told to, each time."""

    def __init__(self, good: int, error: Exception | None = None, name: str = "breaking", batch_size: int = 4) -> None:
        super().__init__(name, batch_size)
        self.good = good
        self.error = error or BackendError("lost context")

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        if len(self.batches) >= self.good:
            raise self.error
        return super().transform(images)


class HangingWorker(EchoWorker):
    """Never answers until it is let go."""

    def __init__(self, name: str = "hanging") -> None:
        super().__init__(name)
        self.asked, self.let_go = threading.Event(), threading.Event()

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        self.asked.set()
        self.let_go.wait(60)
        return super().transform(images)


class AnswersWith(EchoWorker):
    """Puts ``change`` between the outcomes and the engine."""

    def __init__(self, change: Callable[[list[Outcome]], list[Outcome]]) -> None:
        super().__init__("liar")
        self.change = change

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        return self.change(super().transform(images))
