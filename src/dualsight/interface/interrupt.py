"""What Ctrl-C does to the command line: everywhere a KeyboardInterrupt, but not while a library is being imported.

An exception that comes out of the blue aborts the process in those that are written in C++, with a core dump.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType

INTERRUPTED = 130  # exit code, as shells count: 128 + SIGINT

unfinished: set[Path] = set()
"""Files that are being written, and go when the process ends."""


def handle_interrupts() -> None:
    """Once, in the main thread. A process that was started to ignore Ctrl-C goes on doing so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            _leave()
        frame = frame.f_back
    raise KeyboardInterrupt


def _leave() -> None:
    for path in unfinished:
        path.unlink(missing_ok=True)
    show_cursor = b"\x1b[?25h" if os.isatty(2) else b""  # a display of what is waited for has hidden it
    os.write(2, show_cursor + b"interrupted\n")
    os._exit(INTERRUPTED)
