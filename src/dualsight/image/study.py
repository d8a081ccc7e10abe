"""Series and studies: DICOM files that belong together, and the frames of them as one.

Study ──▶ Series ──▶ the slices of one volume, or else the frames of its files one after another
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from dualsight.errors import ImageError, UnsupportedImage
from dualsight.image.frame import Frame
from dualsight.image.reading import Reading
from dualsight.image.source import Item

if TYPE_CHECKING:
    from dualsight.image.volume.series import Slice
    from dualsight.image.volume.voxels import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The files of one DICOM series, in the order of their instance numbers. name: that of the file found first."""

    name: str
    items: tuple[Item, ...]

    def frames(self, reading: Reading | None = None) -> Iterator[Frame | ImageError]:
        """Its frames under its name, and for each file that cannot be read an error under the file's.

        Where its files make one volume: slices by position, all with one window, in the plane that `reading` names or
        else the one they were acquired in (see `stack_slices` and `Volume.slices`). Otherwise (one file, colour, no
        positions, sizes that differ): the frames of its files one after another, and `meta.note` says why.
        """
        reading = reading or Reading()
        if len(self.items) == 1:
            yield from self._one_by_one(reading, "")
            return
        try:
            volume, errors = self._volume(reading)
        except ImageError as error:
            yield from self._one_by_one(reading, f"no volume, frame by frame: {error.problem}")
            return
        yield from errors
        try:
            yield from volume.slices(reading.plane or volume.acquired, reading.step_mm, limits=reading.limits)
        except ImageError as error:
            yield error

    def _one_by_one(self, reading: Reading, why: str) -> Iterator[Frame | ImageError]:
        for item in self.items:
            try:
                for frame in item.frames(reading):
                    note = "; ".join(filter(None, (frame.meta.note, why))) or None
                    yield replace(frame, source=self.name, meta=replace(frame.meta, note=note))
            except ImageError as error:
                yield error

    def _volume(self, reading: Reading) -> tuple[Volume, list[ImageError]]:
        """The volume of the files that can be read, and what the others raised. Raises ImageError if there is none."""
        from dualsight.image.volume.series import check_alike, stack_slices

        slices: list[Slice] = []
        errors: list[ImageError] = []
        n_bytes = 0
        for item in self.items:
            n_before, bytes_before = len(slices), n_bytes
            for one in self._slices(item, reading):
                if isinstance(one, ImageError):
                    errors.append(one)
                    del slices[n_before:]  # no part of a file
                    n_bytes = bytes_before
                    break
                slices.append(one)
                check_alike(slices[0], one, self.name)  # before the next one is read
                n_bytes += one.values.nbytes
                reading.limits.check_bytes(n_bytes, source=self.name)
        return stack_slices(slices, self.name), errors

    def _slices(self, item: Item, reading: Reading) -> Iterator[Slice | ImageError]:
        """The slices of a file, and last what stopped them. Raises UnsupportedImage for a sound file that is none."""
        from dualsight.image.volume.series import read_slices

        try:
            yield from read_slices(item.load(), item.name, window=reading.window, limits=reading.limits)
        except UnsupportedImage:
            raise
        except ImageError as error:
            yield error


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The series of one DICOM study, in the order in which they were found. name: that of the file found first."""

    name: str
    series: tuple[Series, ...]

    def frames(self, reading: Reading | None = None) -> Iterator[Frame | ImageError]:
        """The frames of its series one after another, as `Series.frames` gives them, under its own name."""
        for thing in chain.from_iterable(one.frames(reading) for one in self.series):
            yield replace(thing, source=self.name) if isinstance(thing, Frame) else thing
