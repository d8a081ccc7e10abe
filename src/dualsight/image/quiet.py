"""Silence around other people's decoders while they work on one picture, and one type for what they raise.

pydicom, nibabel and tifffile comment on odd headers with warnings and log lines that may quote a header's values, and
so a patient's; libtiff prints on stderr. What matters in them becomes an error or a frame's note here; the rest is
dropped. Filters and log levels belong to the whole process, therefore they are set when the first thread comes in and
put back when the last one leaves, whatever the order in between.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import warnings
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, TypeVar

from dualsight.errors import ImageError, UnreadableImage

T = TypeVar("T")

_LIBRARIES = r"(pydicom|libjpeg|openjpeg|rle|jpeg_ls|gdcm|nibabel|PIL|tifffile|imagecodecs)(\.|$)"
_LOGGERS = ("pydicom", "nibabel.global", "PIL", "tifffile")


class _Silence:
    """Counts who is inside; the first one in switches the noise off, the last one out switches it on again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._undo = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._undo.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=_LIBRARIES)
                for name in _LOGGERS:
                    logger = logging.getLogger(name)
                    self._undo.callback(logger.setLevel, logger.level)
                    logger.setLevel(logging.CRITICAL + 1)
                for set_handler in _libtiff_setters():
                    self._undo.callback(set_handler, set_handler(None))
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._undo.close()


@cache
def _libtiff_setters() -> list[Any]:
    """libtiff's functions that take a new handler of its messages and give the one before.

    Pillow brings libtiff along, and its own module leads to it; where that is linked another way there are none.
    """
    from PIL import _imaging

    library = ctypes.CDLL(_imaging.__file__)
    found = [getattr(library, name, None) for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler")]
    setters = [setter for setter in found if setter is not None]
    for setter in setters:
        setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
    return setters


_silence = _Silence()


@contextmanager
def quiet() -> Generator[None, None, None]:
    """No warning and no log line of the decoding libraries inside. Never held across a `yield` of a frame."""
    _silence.enter()
    try:
        yield
    finally:
        _silence.leave()


def be_quiet() -> None:
    """The same for good: of a process that does nothing but serve."""
    _silence.enter()


def quietly(frames: Iterator[T]) -> Iterator[T]:
    """The same frames: silence while one is made, none while its reader has it.

    To switch the noise off and on again takes longer than to read a short header; with this it is done once a frame,
    and each `quiet` inside only counts.
    """
    while True:
        with quiet():
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


@contextmanager
def damage(source: str, what: str, frame: int | None = None) -> Generator[None, None, None]:
    """Quiet, and whatever a library raises inside becomes an UnreadableImage.

    The library's own text is left out, here and in the traceback: it may quote the header, and so the patient.
    """
    import numpy as np  # not above: to import the door to all pictures loads no decoder

    try:
        with quiet(), np.errstate(all="ignore"):  # numpy would print what it thinks of infinity
            yield
    except ImageError:
        raise
    except Exception as error:
        raise UnreadableImage(f"{what} ({type(error).__name__})", source=source, frame=frame) from None
