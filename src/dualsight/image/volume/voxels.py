"""Volumes: voxels in one stated orientation, and their slices as a radiologist sees them.

Axes are RAS+ (as in NIfTI): the first index grows to the patient's right, the second to the front, the third to the
head. Slices are shown in radiological convention: the patient's right is on the left of axial and coronal pictures,
the front is at the top of axial and on the left of sagittal ones, the head is at the top of the other two.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualsight.errors import ConfigError, UnreadableImage, UnsupportedImage
from dualsight.image.aspect import squared
from dualsight.image.frame import Frame, FrameMeta
from dualsight.image.limits import Limits
from dualsight.image.reading import Plane, Window
from dualsight.image.view import View, full_range_view, linear_view, named_view
from dualsight.image.voi import distinct, per_value, to_grey, value_range

Affine = NDArray[np.float64]  # [4, 4]: voxel index → mm, RAS+
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])  # DICOM's coordinates run to the left and the back

_AXES: dict[str, int] = {"sagittal": 0, "coronal": 1, "axial": 2}
_PLANES: dict[str, Plane] = {
    "R": "sagittal",
    "L": "sagittal",
    "A": "coronal",
    "P": "coronal",
    "S": "axial",
    "I": "axial",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """Voxels in RAS+ order, with what is needed to show them.

    values: [X, Y, Z], any real type; HU for CT. spacing_mm: along x, y, z. affine: [4, 4], index → mm in RAS+.
    view: one for all slices. invert: low values are white. stored_axes: where each axis grew to in the file, as in
    "LPS". time_index, n_times: its place in a series in time. meta.note: what was odd about the file or series.
    """

    values: NDArray[Any]
    spacing_mm: tuple[float, float, float]
    affine: Affine
    source: str
    view: View
    invert: bool = False
    stored_axes: str = "RAS"
    time_index: int = 0
    n_times: int = 1
    meta: FrameMeta = field(default_factory=FrameMeta)

    @property
    def acquired(self) -> Plane:
        """The plane of the slices as they were stored: the one that the last axis goes through."""
        return _PLANES[self.stored_axes[2]]

    def slices(
        self, plane: Plane = "axial", step_mm: float | None = None, *, limits: Limits | None = None
    ) -> Iterator[Frame]:
        """The slices of a plane: axial from feet to head, coronal from back to front, sagittal from left to right.

        step_mm: the distance of one slice to the next; the nearest stored slices are taken, none twice. None: all.
        Pixels are square: the more coarsely sampled axis of a slice is enlarged, bilinearly. `frame_index` counts
        all slices of the plane, also those stepped over, and goes on from one point in time to the next.
        Raises ConfigError for an unknown plane or a step that is no positive number; UnreadableImage for voxels of a
        shape that no scanner has; ImageTooLarge.
        """
        if plane not in _AXES:
            raise ConfigError(f"no plane is named {plane!r}", hint=f"known are {', '.join(_AXES)}")
        if step_mm is not None and not (np.isfinite(step_mm) and step_mm > 0):
            raise ConfigError("step_mm must be a positive number")
        return self._slices(plane, step_mm, limits or Limits())

    def with_slice(self, shown: NDArray[np.float32], plane: Plane, frame_index: int) -> NDArray[np.float32]:
        """float32 [X, Y, Z]: `shown` [H, W], as `slices` shows that frame, on the voxels it comes from; 0 elsewhere."""
        axis = _AXES[plane]
        values = np.zeros(self.values.shape, np.float32)
        stored = np.moveaxis(values, axis, 0)[frame_index % self.values.shape[axis]][::-1, ::-1].T  # [down, across]
        stored[...] = np.asarray(Image.fromarray(shown).resize(stored.shape[::-1], Image.Resampling.BOX))
        return values

    def _slices(self, plane: Plane, step_mm: float | None, limits: Limits) -> Iterator[Frame]:
        axis = _AXES[plane]
        across, down = (self.spacing_mm[i] for i in range(3) if i != axis)
        planes = np.moveaxis(self.values, axis, 0)  # a view: `take` would copy the volume for each slice
        n_slices = len(planes)
        for index in _picked(n_slices, self.spacing_mm[axis], step_mm):
            stored = planes[index][::-1, ::-1].T  # [down, across]
            limits.check_size(*stored.shape, source=self.source)
            with np.errstate(all="ignore"):  # voxels may have any float
                grey = per_value(lambda v: to_grey(self.view.display(v), invert=self.invert), stored)
            grey = squared(grey, down, across, limits, self.source)
            meta = replace(
                self.meta,
                view=plane,
                window=self.view.name,
                rows=stored.shape[0],
                columns=stored.shape[1],
                spacing_mm=(down, across),
            )
            pixels = np.repeat(grey[:, :, None], 3, axis=2)
            yield Frame(
                pixels=pixels,
                source=self.source,
                frame_index=self.time_index * n_slices + index,
                n_frames=self.n_times * n_slices,
                meta=meta,
            )


def _picked(n_slices: int, spacing_mm: float, step_mm: float | None) -> list[int]:
    """The slices nearest to every multiple of the step."""
    if step_mm is None or step_mm <= spacing_mm:
        return list(range(n_slices))
    positions = np.arange(0.0, (n_slices - 0.5) * spacing_mm, step_mm)
    return np.unique(np.rint(positions / spacing_mm).astype(int).clip(0, n_slices - 1)).tolist()


def to_ras(values: NDArray[Any], affine: Affine) -> tuple[NDArray[Any], Affine]:
    """`values` [I, J, K] with axes swapped and flipped, never resampled, to lie closest to RAS+, and its affine.

    Raises ValueError if the affine gives no orientation.
    """
    order, flipped = _closest(affine)
    to_stored = np.zeros((4, 4))  # new index → stored index
    to_stored[3, 3] = 1
    for axis, stored in enumerate(order):
        to_stored[stored, axis] = -1 if axis in flipped else 1
        to_stored[stored, 3] = values.shape[stored] - 1 if axis in flipped else 0
    return np.flip(values.transpose(order), tuple(flipped)), affine @ to_stored


def axes_of(affine: Affine) -> str:
    """Where each voxel axis grows to, roughly: "LPS" is left, back, head. Raises as `to_ras` does."""
    order, flipped = _closest(affine)
    return "".join("RAS"[axis] if axis not in flipped else "LPI"[axis] for axis in np.argsort(order))


def _closest(affine: Affine) -> tuple[tuple[int, ...], list[int]]:
    """For each RAS axis the voxel axis that lies closest to it, and which of the RAS axes these run against."""
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise ValueError("the affine gives no orientation")
    cosines = affine[:3, :3] / np.array(spacing_of(affine))  # [RAS axis, voxel axis]
    order = max(itertools.permutations(range(3)), key=lambda p: sum(abs(cosines[i, p[i]]) for i in range(3)))
    return order, [axis for axis in range(3) if cosines[axis, order[axis]] < 0]


def spacing_of(affine: Affine) -> tuple[float, float, float]:
    """Distance of neighbouring voxels along each axis, mm."""
    x, y, z = np.sqrt((affine[:3, :3] ** 2).sum(axis=0)).tolist()
    return x, y, z


def check_shape(shape: tuple[int, int, int, int], limits: Limits, source: str) -> None:
    """Raises ImageTooLarge if [X, Y, Z, T] is over a limit: as slices of any plane, or as one volume in float64."""
    x, y, z, t = shape
    for height, width, n_slices in ((y, x, z), (z, x, y), (z, y, x)):
        limits.check_size(height, width, n_slices * t, source=source)
    limits.check_bytes(x * y * z * 8, source=source)


def chosen_view(
    values: NDArray[Any], window: Window, *, stored_range: tuple[float, float] | None = None, source: str
) -> View:
    """How a volume's values are shown.

    window: "auto" takes the file's own range, or else the full range of `values`; "dicom" insists on the file's;
        (centre, width); or a name from `voi.CT_WINDOWS`, which supposes HU.
    Raises UnsupportedImage for a range that is not there or a window that cannot be; UnreadableImage as
    `volume_range_view` does.
    """
    if not isinstance(window, str):
        return linear_view("chosen", *window, source=source)
    if window not in ("auto", "dicom"):
        return named_view(window, source=source)
    if stored_range is not None:
        low, high = stored_range
        return View(f"header range, {low:g} to {high:g}", full_range_view(low, high).display)
    if window == "dicom":
        hint = 'window="auto" shows the full range'
        raise UnsupportedImage("its header has no display range", source=source, hint=hint)
    return volume_range_view(values, source=source)


def volume_range_view(values: NDArray[Any], *, source: str) -> View:
    """The view from the least to the greatest finite value of a volume.

    Raises UnreadableImage if there is none, or only one.
    """
    levels = distinct(values)
    levels = levels[np.isfinite(levels)]
    if not levels.size:
        raise UnreadableImage("no voxel is a number", source=source)
    return range_view(*value_range(lambda v: v.astype(np.float64), levels), source=source)


def range_view(low: float, high: float, *, source: str) -> View:
    """The view from `low` to `high`. Raises UnreadableImage if they are equal, or no numbers."""
    if not np.isfinite(high - low):
        raise UnreadableImage("its values are beyond all numbers", source=source)
    if low == high:
        raise UnreadableImage("every voxel has the same value", source=source, hint="choose a window to see it")
    return full_range_view(low, high)
