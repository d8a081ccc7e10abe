"""The program that a `Decoder` starts: opens one picture after another, resizes it and sends it to its parent.

A codec that never comes back, and holds Python's lock meanwhile, can only be ended by the system. So it is told
beforehand, by an alarm, when to do that: this process then ends, be its parent there or not. Windows has no such alarm.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np

from dualsight.errors import ImageError
from dualsight.image.frame import Frame
from dualsight.image.limits import Limits
from dualsight.image.open import read
from dualsight.image.prepare import Preprocessing, resize
from dualsight.image.quiet import quiet
from dualsight.image.reading import Reading
from dualsight.task.message import READY, receive, send


def main() -> None:
    """One picture after another, until the parent closes the pipe."""
    replies = os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)  # a library that prints must not speak between the messages
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the parent may have been started to ignore it
    requests = sys.stdin.buffer
    with suppress(BrokenPipeError):  # the parent has gone
        settings = receive(requests)
        if settings is None:
            return
        opener = _Opener(settings[0], replies)
        replies.write(READY)
        replies.flush()
        with quiet():  # from one picture to the next: no code but ours is here to be heard
            while (request := receive(requests)) is not None:
                opener.answer(*request)


class _Opener:
    """Opens pictures as its settings say."""

    def __init__(self, settings: dict[str, Any], replies: IO[bytes]) -> None:
        for kind in ("dicom", "raster"):  # now, so that no picture waits for it
            import_module(f"dualsight.image.{kind}.decode")

        reading = settings["reading"]
        self._preprocessing = Preprocessing(**settings["preprocessing"])
        self._reading = Reading(**reading | {"limits": Limits(**reading["limits"])})
        self._replies = replies

    def answer(self, request: dict[str, Any], body: bytes) -> None:
        """Sends the frames of one picture, then how it ended."""
        end = None
        try:
            for frame in self._resized(Path(request["path"]) if "path" in request else body, request["name"]):
                self._send(frame)
        except BrokenPipeError:
            raise
        except ImageError as error:
            fields = {"problem": error.problem, "source": error.source, "frame": error.frame, "hint": error.hint}
            end = {"kind": type(error).__name__, **fields}
        except Exception as error:  # the parent opens the picture itself, to see it
            end = {"kind": type(error).__name__}
        send(self._replies, {"end": end})
        self._replies.flush()

    def _resized(self, content: Path | bytes, name: str) -> Iterator[Frame]:
        """Each frame in the time that it may take."""
        frames = read(content, self._reading, source=name)
        while True:
            with _alarm(self._reading.limits.frame_s):
                frame = next(frames, None)
                if frame is None:
                    return
                resized = replace(frame, pixels=resize(frame.pixels, self._preprocessing, source=name))
            yield resized

    def _send(self, frame: Frame) -> None:
        pixels = frame.pixels
        if pixels.strides[2] == 0:  # grey: one channel stands for three
            pixels = pixels[:, :, :1]
        head = {"frame_index": frame.frame_index, "n_frames": frame.n_frames, "meta": asdict(frame.meta)}
        send(self._replies, head, np.ascontiguousarray(pixels).data.cast("B"))
        if frame.frame_index + 1 < frame.n_frames:  # else the end follows at once
            self._replies.flush()


@contextmanager
def _alarm(seconds: float) -> Generator[None, None, None]:
    """Whatever is inside: after that time the process ends, by SIGALRM."""
    if sys.platform == "win32":
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
