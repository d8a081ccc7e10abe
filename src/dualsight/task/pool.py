"""Vectors of frames → one vector of the file, series or study that they belong to.

mean, median or max of the frames' vectors, each number on its own, then made of unit length
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from itertools import groupby
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import ConfigError, UnreadableImage, UnsupportedImage
from dualsight.image.frame import FrameMeta
from dualsight.task.embed import Embedded, Failed

Per = Literal["image", "frame", "series", "study"]
Pool = Literal["mean", "median", "max"]
Vector = NDArray[Any]

_OWN_WINDOWS = "each frame its own"
_MAX_NOTES = 4  # different ones in a group's note


def check_pooling(per: str, pool: str) -> None:
    """Raises ConfigError for a word that means nothing here."""
    for name, value, known in (("per", per, get_args(Per)), ("pool", pool, get_args(Pool))):
        if value not in known:
            raise ConfigError(f"{name} is {value!r}", hint=f"one of: {', '.join(known)}")


def pool_frames(
    stream: Iterable[Embedded | Failed], *, per: Per = "image", pool: Pool = "mean"
) -> Iterator[Embedded | Failed]:
    """One result a source: the pooled vector of its frames, with what their metadata have in common.

    An image (a file) that fails half-way has failed. Of a series or study each file that fails is told by name, and
    the rest is pooled; if nothing is left, the group has failed too. `n_frames` counts what was pooled. Memory is one
    vector a group for mean and max, all of its vectors for the median.
    """
    for _, group in groupby(stream, key=lambda item: item.index):
        yield from _results(group, per, pool)


def _results(group: Iterable[Embedded | Failed], per: Per, pool: Pool) -> Iterator[Embedded | Failed]:
    pooled: _Pooled | None = None
    failed: list[Failed] = []
    for item in group:
        if isinstance(item, Failed):
            failed.append(item)
            yield item
        elif pooled is None:
            pooled = _Pooled(item, pool)
        else:
            pooled.add(item)
    if pooled is None:
        if len(failed) > 1:  # a single one has said it all
            problem = f"none of the {len(failed)} files of its {per} can be used"
            hint = "the errors before this one say why"
            yield replace(failed[0], error=UnreadableImage(problem, source=failed[0].source, hint=hint))
    elif per != "image":
        yield _of_group(pooled.result(), per, pooled.n, len(failed))
    elif not failed:
        yield pooled.result()


class _Pooled:
    """Frames of one group, so far."""

    def __init__(self, first: Embedded, pool: Pool) -> None:
        self.n = 1
        self._first = first
        self._pool: Pool = pool
        self._vector: Vector = first.vector.astype(np.float64)  # the sum, or the greatest numbers
        self._all: list[Vector] = [first.vector]  # of the median, which needs them
        self._meta = first.meta
        self._notes = dict.fromkeys(filter(None, [first.meta.note]))

    def add(self, frame: Embedded) -> None:
        """Counts a frame in."""
        self.n += 1
        self._meta = _common(self._meta, frame.meta)
        if frame.meta.note and len(self._notes) <= _MAX_NOTES:
            self._notes[frame.meta.note] = None
        match self._pool:
            case "mean":
                self._vector += frame.vector
            case "max":
                np.maximum(self._vector, frame.vector, out=self._vector)
            case "median":
                self._all.append(frame.vector)

    def result(self) -> Embedded | Failed:
        """One frame as it is; several as one vector, or Failed where they cancel out."""
        if self.n == 1:
            return self._first
        vector = np.median(self._all, axis=0) if self._pool == "median" else self._vector
        length = np.linalg.norm(vector)
        source, index = self._first.source, self._first.index
        if not length > 0:
            error = UnsupportedImage(f"the {self._pool} of its frames' vectors is zero", source=source)
            return Failed(index=index, source=source, error=error)
        unit = (vector / length).astype(np.float32)
        meta = replace(self._meta, note=_joined(list(self._notes)))
        return replace(self._first, frame_index=None, n_frames=self.n, meta=meta, vector=unit)


def _common(one: FrameMeta, other: FrameMeta) -> FrameMeta:
    """What both say; None where they differ, but of windows that they do."""
    if one == other:
        return one
    same: dict[str, Any] = {
        f.name: getattr(one, f.name) for f in fields(one) if getattr(one, f.name) == getattr(other, f.name)
    }
    same["window"] = one.window if one.window == other.window else _OWN_WINDOWS
    return FrameMeta(**same)


def _joined(notes: list[str]) -> str | None:
    return "; ".join([*notes[:_MAX_NOTES], *["…"] * (len(notes) > _MAX_NOTES)]) or None


def _of_group(result: Embedded | Failed, per: Per, n_pooled: int, n_failed: int) -> Embedded | Failed:
    """`result` without the UIDs of what is only a part of it, and with a note of what is missing."""
    if isinstance(result, Failed):
        return result
    meta = result.meta
    note = f"{n_failed} {'file' if n_failed == 1 else 'files'} left out as unreadable" if n_failed else None
    meta = replace(
        meta,
        series_instance_uid=None if per == "study" else meta.series_instance_uid,
        sop_instance_uid=None,
        note="; ".join(filter(None, (note, meta.note))) or None,
    )
    return replace(result, frame_index=None, n_frames=n_pooled, meta=meta)
