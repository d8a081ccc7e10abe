"""A process of its own that opens pictures and resizes them: Python's lock does not bind it, a codec may crash in it.

    parent                                    child (`decoder_process`)
    settings ─────────────────────────────▶   imports the decoders
             ◀─────────────────────────────   "dualsight decoder"
    {"name", "path"} or {"name"} + bytes ─▶   opens it
             ◀─────────────────────────────   {"meta", …} + pixels    for each frame, as it is resized
             ◀─────────────────────────────   {"end"}: how it ended

Messages go through the child's stdin and stdout. It is a plain subprocess because every start method of
`multiprocessing` but fork (unsafe beside torch's threads) runs the user's main script again, and a script without
`if __name__ == "__main__"` would start itself over and over.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from dualsight.errors import ImageError, UnreadableImage
from dualsight.image.frame import Frame, FrameMeta
from dualsight.image.prepare import Preprocessing
from dualsight.image.reading import Reading
from dualsight.task.message import READY, receive, send

_KINDS: list[type[ImageError]] = [ImageError, *ImageError.__subclasses__()]
_ERRORS = {kind.__name__: kind for kind in _KINDS}
_PROGRAM = "dualsight.task.decoder_process"
_START_LIMIT_S = 60.0
# glibc gives the memory of a large picture back to the system, and takes it again for the next one, which costs as
# much as decoding a JPEG of 2000 × 2500 pixels: here it keeps up to 128 MiB of it. Others do not know the names.
_SETTINGS = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 26),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 27),
    "OMP_NUM_THREADS": "1",
}
_PIPE_BYTES = 1 << 20  # a resized frame fits, so that the child goes on while the parent is busy


class NoDecoder(Exception):
    """This system starts no such process."""


class UnexpectedEnd(Exception):
    """The child met an error that is no ImageError. Opening the picture here shows which one."""


class Decoder:
    """The child, seen from its parent. For one thread; ends with its parent, however that ends."""

    def __init__(self, preprocessing: Preprocessing, reading: Reading) -> None:
        """Starts it, and waits until it is ready. Raises NoDecoder."""
        if getattr(sys, "frozen", False) or not sys.executable:
            raise NoDecoder("this program is not run by a Python interpreter that could be started again")
        self._size = (preprocessing.height, preprocessing.width)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, this module, nothing of a user's
                [sys.executable, "-P", "-m", _PROGRAM],  # -P: nothing is imported from the working directory
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # the codecs' comments; errors come as messages
                env=os.environ | _SETTINGS | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                process_group=0,  # Ctrl-C is for the parent, who closes the pipe
            )
        except OSError as error:
            raise NoDecoder(f"the system starts no process ({error.strerror})") from error
        self._requests, self._replies = _pipes(self._process)
        self._limit_s = reading.limits.frame_s
        settings = {"preprocessing": asdict(preprocessing), "reading": asdict(reading)}
        if not self._starts_with(settings):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)  # it may still be on its way out, with an exit code that tells more
            self.close()
            raise NoDecoder(f"the process did not start ({_how(self._process.returncode)})")

    def _starts_with(self, settings: dict[str, Any]) -> bool:
        """Whether it says that it is ready: `sys.executable` may be another program that has Python inside."""
        timer = threading.Timer(_START_LIMIT_S, self._process.kill)
        timer.start()
        try:
            send(self._requests, settings)
            self._requests.flush()
            return self._replies.read(len(READY)) == READY
        except OSError:
            return False
        finally:
            timer.cancel()

    def frames(self, content: Path | bytes, name: str) -> Iterator[Frame]:
        """The frames of a file, resized to [height, width, 3]. The file is opened under the child's own eyes only.

        Raises ImageError as `dualsight.image.open` does, or UnreadableImage if the child dies over it, or takes longer
        over a frame than its limit; UnexpectedEnd. Where the frames are not read to the end, and where the child has
        ended, it is closed.
        """
        is_in_step = False
        try:
            if isinstance(content, Path):
                send(self._requests, {"name": name, "path": str(content.absolute())})
            else:
                send(self._requests, {"name": name}, content)
            self._requests.flush()
            while (reply := receive(self._replies)) is not None:
                message, body = reply
                if "end" in message:
                    is_in_step = True
                    _raise_end(message["end"])
                    return
                yield _frame(message, body, self._size, name)
            raise self._death(name)
        except OSError:
            raise self._death(name) from None
        finally:
            if not is_in_step:
                self.close()

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more pictures."""
        return self._requests.closed

    def interrupt(self) -> None:
        """Ends the child, whatever it is doing; for another thread, since the rest is left to `close`."""
        self._process.kill()

    def close(self) -> None:
        """Ends the child, whatever it is doing."""
        self.interrupt()
        self._process.wait()
        for stream in (self._requests, self._replies):
            with suppress(OSError):  # what was not sent yet has nowhere to go
                stream.close()

    def _death(self, name: str) -> UnreadableImage:
        code = self._process.wait()
        if sys.platform != "win32" and code == -signal.SIGALRM:
            problem = f"opening it took longer than the limit of {self._limit_s:g} seconds"
            return UnreadableImage(problem, source=name, hint="the file is probably damaged, or very large")
        hint = "the file is probably damaged, or needs more memory than there is"
        return UnreadableImage(f"the process that opened it ended ({_how(code)})", source=name, hint=hint)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """The child's stdin and stdout."""
    requests, replies = process.stdin, process.stdout
    if requests is None or replies is None:
        raise AssertionError("both were asked for")
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # over the system's limit: it works with less
            fcntl.fcntl(replies, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return requests, replies


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _frame(message: dict[str, Any], body: bytes, size: tuple[int, int], name: str) -> Frame:
    height, width = size
    strides = (width, 1, 0) if len(body) == height * width else (3 * width, 3, 1)  # grey: one channel stands for three
    return Frame(
        pixels=np.ndarray((height, width, 3), np.uint8, body, strides=strides),
        source=name,
        frame_index=message["frame_index"],
        n_frames=message["n_frames"],
        meta=FrameMeta(**message["meta"]),
    )


def _raise_end(end: dict[str, Any] | None) -> None:
    """Raises what ended a file before its time."""
    if end is None:
        return
    if end["kind"] not in _ERRORS:
        raise UnexpectedEnd(end["kind"])
    kind = _ERRORS[end.pop("kind")]
    raise kind(end.pop("problem"), **end)
