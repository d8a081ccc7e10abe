"""Every error that dualsight raises on purpose.

    DualsightError
    ├── ConfigError            a configuration that cannot be meant
    │   └── NoSuchPreset       an unknown preset name
    ├── CheckpointError        a checkpoint that cannot be read, or is not what it says
    │   ├── MissingTensor      a key the architecture needs is not in the file
    │   ├── UnexpectedTensor   a key in the file that the architecture does not have
    │   ├── ShapeMismatch      a key with another shape than the configuration gives
    │   ├── CorruptFile        truncated, damaged, or a pickle
    │   └── DownloadError      the hub did not deliver
    ├── ImageError             one picture cannot be used
    │   ├── UnreadableImage    broken: truncated, damaged, not what its header says
    │   ├── UnsupportedImage   sound, but not something we read
    │   ├── ImageTooLarge      over a safety limit (pixels, frames, bytes)
    │   └── FetchError         a picture server did not deliver
    ├── TextError              a text, label or template cannot be used
    ├── EngineError            no engine, device or precision as asked
    │   └── MissingExtra       an optional library is not installed
    └── OutputError            a result cannot be written

A message names what was wrong, where, and (as `hint`) what to do. No message carries a pixel,
or an attribute that identifies a patient.
"""

from __future__ import annotations


class DualsightError(Exception):
    """Base of all errors here. `str(error)` says what and where; `error.hint` says what to do, or is empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(DualsightError):
    """A configuration that cannot be meant: an unknown key, a width no head count divides."""


class NoSuchPreset(ConfigError):
    """An unknown preset; the hint offers near names."""


class CheckpointError(DualsightError):
    """A checkpoint that cannot be read, or is not what it says it is."""


class MissingTensor(CheckpointError):
    """The file lacks keys that the architecture needs."""


class UnexpectedTensor(CheckpointError):
    """The file has keys that the architecture does not have."""


class ShapeMismatch(CheckpointError):
    """A tensor's shape is not the one that the configuration gives."""


class CorruptFile(CheckpointError):
    """A truncated or damaged file, or a pickle (which is never opened)."""


class DownloadError(CheckpointError):
    """The hub did not deliver, or delivered something else."""


class ImageError(DualsightError):
    """One picture cannot be used. `source` is the user's own name for it, `frame` counts from 0 or is None."""

    def __init__(self, problem: str, *, source: str = "image", frame: int | None = None, hint: str = "") -> None:
        where = source if frame is None else f"{source}, frame {frame}"
        super().__init__(f"{where}: {problem}", hint=hint)
        self.problem = problem
        self.source = source
        self.frame = frame


class UnreadableImage(ImageError):
    """Broken: truncated, damaged, or not what its header says."""


class UnsupportedImage(ImageError):
    """A sound file, but not a picture that dualsight reads."""


class ImageTooLarge(ImageError):
    """Over a safety limit: pixels, frames or bytes."""


class FetchError(ImageError):
    """A picture server did not deliver: not reached, no answer in time, or a refusal."""


class TextError(DualsightError):
    """A text, label or template cannot be used."""


class EngineError(DualsightError):
    """No engine, device or precision as asked."""


class MissingExtra(EngineError):
    """An optional library is not installed; the hint is the command that installs it."""


class OutputError(DualsightError):
    """A result cannot be written where it was asked for."""
