"""One process that opens damaged files and says what it saw, line by line, so that its own death loses nothing.

    python -m hostile.judge KIND FIRST STOP REPORT

REPORT gets `case N` before file N is opened, `bad N …` for each complaint, and `done {…}` at the end. A decode that
hangs ends the process with a traceback in REPORT; so does a crash.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import re
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from dualsight import image
from dualsight.engine.memory import peak_bytes
from dualsight.errors import ImageError
from dualsight.image import Frame, Item
from hostile.kinds import KINDS, Kind, damaged_file
from hostile.seeds import MARK

LIMIT_S = 5.0  # of processor time, which does not depend on what else runs
_HANG_S = 2 * LIMIT_S  # of processor time as well; then the process is ended, whatever library it is in
_SLEEP_S = 240.0  # of wall time, for what waits and does not work; a busy machine may take long
LIMIT_BYTES = 2 << 30  # of resident memory
_ADDRESS_SPACE = 5 << 30  # libraries map more than they use
_SOURCE = "hostile-file"
_QUOTE = 8  # so many characters of an error that are in the file as well were quoted from it, unless
_OURS = "".join(path.read_text() for path in Path(image.__file__).parent.rglob("*.py"))  # our own words do it
_NUMBERS = re.compile(r"[\d.]+")  # sizes and UIDs may be told
MEMORY_SPENT = 3  # exit status: the peak of resident memory cannot be taken back


@dataclass(slots=True)
class Tally:
    """What a process has seen. seconds and n_bytes: the worst, and the file that needed them."""

    shown: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    seconds: tuple[float, int] = (0.0, -1)
    n_bytes: tuple[int, int] = (0, -1)


def main(name: str, first: int, stop: int, report: Path) -> None:
    """Opens the files `first` to `stop` − 1 of a kind."""
    kind, tally = KINDS[name], Tally()
    with report.open("a") as lines, tempfile.TemporaryFile() as noise, tempfile.TemporaryDirectory() as folder:
        faulthandler.enable(lines)
        faulthandler.register(signal.SIGPROF, lines, chain=True)  # a traceback, and then the signal's own effect
        damaged_file(kind, first)  # makes the seeds, whose encoders may say what they like
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for descriptor in (1, 2):
            os.dup2(noise.fileno(), descriptor)
        logging.basicConfig(level=logging.DEBUG)  # what anybody logs is noise
        warnings.simplefilter("always")
        for number in range(first, stop):
            data = damaged_file(kind, number)
            lines.write(f"case {number}\n")
            lines.flush()
            for complaint in _complaints(kind, number, data, tally, Path(folder), noise, lines):
                lines.write(f"bad {number} {complaint!r}\n")
            if tally.n_bytes[0] > LIMIT_BYTES:
                lines.flush()
                os._exit(MEMORY_SPENT)
        summary = {"shown": tally.shown, "refused": tally.refused, "seconds": tally.seconds, "n_bytes": tally.n_bytes}
        lines.write(f"done {json.dumps(summary)}\n")


def _complaints(
    kind: Kind, number: int, data: bytes, tally: Tally, folder: Path, noise: IO[bytes], lines: IO[str]
) -> Iterator[str]:
    signal.setitimer(signal.ITIMER_PROF, _HANG_S)
    faulthandler.dump_traceback_later(_SLEEP_S, exit=True, file=lines)
    started = time.process_time()
    try:
        tally.shown += _open(kind, data, folder)
    except ImageError as error:
        tally.refused[type(error).__name__] += 1
        yield from _of_error(error, data)
    except AssertionError as error:
        yield f"a wrong frame: {error}"
    except BaseException as error:
        yield f"{type(error).__name__}: {error}"
    seconds = time.process_time() - started
    faulthandler.cancel_dump_traceback_later()
    signal.setitimer(signal.ITIMER_PROF, 0)
    tally.seconds = max(tally.seconds, (seconds, number))
    if seconds > LIMIT_S:
        yield f"took {seconds:.1f} s"
    peak = peak_bytes()
    if peak > tally.n_bytes[0]:
        tally.n_bytes = (peak, number)
    if peak > LIMIT_BYTES:
        yield f"needed {peak / 2**20:,.0f} MiB"
    sys.stdout.flush()
    sys.stderr.flush()
    if noise.seek(0, 2):
        noise.seek(0)
        yield f"printed {noise.read(300)!r}"
        noise.seek(0)
        noise.truncate()


def _open(kind: Kind, data: bytes, folder: Path) -> int:
    """How many frames it has; each is looked at."""
    if kind.how == "bytes":
        return sum(_check(frame) for frame in image.open(data, source=_SOURCE))
    path = folder / _SOURCE
    path.write_bytes(data)
    if kind.how == "path":
        return sum(_check(frame) for frame in image.open(path, source=_SOURCE))
    n_frames, refusal = 0, None
    for found in image.scan(path):
        if isinstance(found, Item):
            try:
                n_frames += sum(_check(frame) for frame in found.frames())
            except ImageError as error:
                refusal = error
    if refusal is not None:
        raise refusal
    return n_frames


def _check(frame: Frame) -> bool:
    pixels = frame.pixels
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size, pixels.shape
    assert 0 <= frame.frame_index < frame.n_frames, (frame.frame_index, frame.n_frames)
    return True


def _of_error(error: ImageError, data: bytes) -> Iterator[str]:
    """What an error must not say: what is in the file. Its causes count, because a traceback shows them."""
    if _SOURCE not in str(error):
        yield f"names no file: {error}"
    cause: BaseException | None = error
    while cause is not None:
        text = _NUMBERS.sub("", f"{cause} {getattr(cause, 'hint', '')}".replace(_SOURCE, ""))
        if any(MARK[i : i + 4].casefold() in text.casefold() for i in range(len(MARK) - 3)):
            yield f"names the patient: {text}"
        parts = (text[i : i + _QUOTE] for i in range(len(text) - _QUOTE + 1))
        found = (part for part in parts if part.encode("utf-8", "replace") in data)
        quoted = next((part for part in found if part.strip() not in _OURS), None)
        if quoted or "\\x" in text or "b'" in text:
            yield f"quotes the file ({quoted}): {text}"
        if isinstance(cause, MemoryError) or "(MemoryError)" in text:
            yield "asked for more memory than is allowed"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
