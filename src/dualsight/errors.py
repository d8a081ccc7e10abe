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
    │   ├── MissingExtra       an optional library is not installed
    │   ├── QueueFull          more is in hand than may wait for the engine
    │   └── DeadlineExceeded   no answer in the time that was given
    ├── ManifestError          a table of labelled pictures that cannot be used as it is
    ├── VectorsError           a file of embeddings that is none, or of another model or other pictures
    ├── AdapterError           an adapter that is none, or was made for another model
    ├── TrainingError          a training run cannot start or go on
    ├── RequestError           a server refuses a request
    │   ├── MalformedRequest   not what the route takes
    │   ├── KeyRefused         no key, or none that the server knows
    │   ├── UnsupportedBody    a content type or encoding that is not taken
    │   ├── RequestTooLarge    over a limit: images, labels, texts, maps
    │   │   ├── BodyTooLarge   over a limit of bytes
    │   │   └── TooManyImages  over the limit of images
    │   ├── RequestTooSlow     it did not arrive in time
    │   ├── NotOffered         the server was started without what the route needs
    │   └── NotReady           the server has no model yet, or no longer
    ├── StoreError             an index cannot be opened, searched or added to as asked
    │   └── FilterError        a filter that is not of its small language
    ├── ServiceError           a dualsight server elsewhere did not answer as asked
    └── OutputError            a result cannot be written

A message names what was wrong, where, and (as `hint`) what to do. No message carries a pixel,
or an attribute that identifies a patient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial


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

    def __reduce__(self) -> tuple[Callable[[str], ImageError], tuple[str]]:
        """How another process makes it again: its fields are not its message."""
        return partial(type(self), source=self.source, frame=self.frame, hint=self.hint), (self.problem,)


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


class QueueFull(EngineError):
    """More is in hand than may wait for the engine; a moment later there is room."""


class DeadlineExceeded(EngineError):
    """There was no answer in the time that was given for it."""


class RequestError(DualsightError):
    """A server refuses a request, whatever its items are."""


class MalformedRequest(RequestError):
    """Not what the route takes: no JSON, a field that is missing, unknown or of another type."""


class KeyRefused(RequestError):
    """No key, or none that the server knows."""


class UnsupportedBody(RequestError):
    """A content type or content encoding that is not taken."""


class RequestTooLarge(RequestError):
    """Over a limit of the server: images, labels, texts, maps."""


class BodyTooLarge(RequestTooLarge):
    """More bytes than a body may have: the same asked of fewer or smaller images is answered."""


class TooManyImages(RequestTooLarge):
    """More images than a request may have: the same asked of fewer at a time is answered."""


class RequestTooSlow(RequestError):
    """The request did not arrive in time."""


class NotOffered(RequestError):
    """The server was started without what the route needs, such as an index."""


class NotReady(RequestError):
    """The server has no model yet, or no longer."""


class _ListedError(DualsightError):
    """Tells everything that is to be mended at once: `problems` has a line for each thing; it may be empty."""

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__("\n  ".join((message, *problems)), hint=hint)
        self.problems = problems


class ManifestError(_ListedError):
    """A table of labelled pictures that cannot be used as it is."""


class VectorsError(DualsightError):
    """A file of embeddings that cannot be read, or whose vectors are of another model or of other pictures."""


class AdapterError(DualsightError):
    """An adapter that cannot be read, or was made for another model's embeddings."""


class TrainingError(_ListedError):
    """A training run cannot start or go on."""


class StoreError(DualsightError):
    """An index cannot be opened, searched or added to as asked: no index, another model's, a column it lacks."""


class FilterError(StoreError):
    """A filter that is not of its small language. `position` counts the characters before the fault."""

    def __init__(self, problem: str, *, expression: str, position: int, hint: str = "") -> None:
        super().__init__(f"filter, character {position + 1}: {problem}\n  {expression}\n  {' ' * position}^", hint=hint)
        self.problem = problem
        self.expression = expression
        self.position = position


class OutputError(DualsightError):
    """A result cannot be written where it was asked for."""


class ServiceError(DualsightError):
    """A dualsight server elsewhere did not answer as asked: not reached, too late, a refusal, or no such answer.

    `status` and `code` are those of its answer; None and empty where none came.
    """

    def __init__(
        self, problem: str, *, service: str, status: int | None = None, code: str = "", hint: str = ""
    ) -> None:
        answer = "" if status is None else f"the server answers {status}: "
        super().__init__(f"{service}: {answer}{problem}", hint=hint)
        self.problem = problem
        self.service = service
        self.status = status
        self.code = code
