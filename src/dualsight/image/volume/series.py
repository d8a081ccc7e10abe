"""A DICOM series → a volume: slices in the order of their position, not of their number or name (PS3.3 C.7.6.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.dicom.file import DicomFile, open_dicom
from dualsight.image.dicom.frames import StoredFrame, iter_stored, read_pixel_module
from dualsight.image.dicom.lut import choose_view, modality_transform, without_padding
from dualsight.image.dicom.meta import describe, functional_group
from dualsight.image.frame import FrameMeta
from dualsight.image.limits import Limits
from dualsight.image.quiet import damage
from dualsight.image.reading import Window
from dualsight.image.view import View
from dualsight.image.voi import distinct, value_range
from dualsight.image.volume.voxels import LPS_TO_RAS, Affine, Volume, axes_of, range_view, spacing_of, to_ras

Vector = NDArray[np.float64]  # [3], in LPS+, the patient coordinates of DICOM

_SAME_PLACE_MM = 1e-3  # header positions are decimal strings
_SAME_DIRECTION = 1e-3  # of direction cosines
_TILT_DEGREES = 0.5
_GAP = 1.5  # of the usual distance
_UNEVEN = 0.05  # of the usual distance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice:
    """One slice. values: float32 [H, W], after the modality LUT. value_range: finite, without padding; None if none."""

    values: NDArray[np.float32]
    value_range: tuple[float, float] | None
    position: Vector  # of the first pixel, mm
    along_row: Vector  # where the column index grows
    along_column: Vector
    spacing_mm: tuple[float, float]  # between rows, between columns
    thickness_mm: float | None
    invert: bool
    view: View | None
    meta: FrameMeta


def read_slices(
    content: bytes | Path, source: str, *, window: Window = "auto", limits: Limits | None = None
) -> Iterator[Slice]:
    """The slices of one file, single-frame or enhanced, each decoded when it is asked for.

    window: as for `decode_dicom`.
    Raises UnsupportedImage for what cannot lie in a volume: no pixels, colour, no position; UnreadableImage if it is
    damaged; ImageTooLarge.
    """
    limits = limits or Limits()
    with open_dicom(content, source, limits) as file:
        if file.pixels is None:
            raise UnsupportedImage("a series holds an object without pixels", source=source)
        module = read_pixel_module(file, file.pixels, source, limits)
        for index, stored in enumerate(iter_stored(file, file.pixels, module, source)):
            with damage(source, "the header of a slice is damaged", index):
                found = _slice(stored, file, index, window, source)
            yield found


def stack_slices(slices: Sequence[Slice], source: str) -> Volume:
    """The volume of one DICOM series, of slices in any order. source: the user's name for the series.

    A window of the header is the middle slice's, and serves all slices. Duplicate positions (the first one stays),
    gaps, uneven distances and a tilted gantry are told in `meta.note`; nothing is interpolated or sheared.
    Raises UnsupportedImage if the slices do not belong together; UnreadableImage if there is none, or they have no
    places in space.
    """
    if not slices:
        raise UnreadableImage("a series without slices", source=source)
    for other in slices:
        check_alike(slices[0], other, source)
    with damage(source, "the places of its slices are damaged"):
        normal = np.cross(slices[0].along_row, slices[0].along_column)
        ordered, notes = _ordered(slices, normal)
        first, middle = ordered[0], ordered[len(ordered) // 2]
        stored_affine = _affine(first, _step(ordered, normal))
        stacked = np.stack([s.values for s in ordered], axis=-1).swapaxes(0, 1)  # [column, row, slice]
        values, affine = to_ras(stacked, stored_affine)
        spacing, stored_axes = spacing_of(affine), axes_of(stored_affine)
    return Volume(
        values=values,
        spacing_mm=spacing,
        affine=affine,
        source=source,
        view=middle.view or _range_view(ordered, source),
        invert=first.invert,
        stored_axes=stored_axes,
        meta=replace(middle.meta, sop_instance_uid=None, note="; ".join(notes) or None),
    )


def _slice(stored: StoredFrame, file: DicomFile, index: int, window: Window, source: str) -> Slice:
    header = file.header
    if not stored.photometric_interpretation.startswith("MONOCHROME"):
        raise UnsupportedImage("a series in colour is no volume", source=source)
    position = _numbers(header, index, "PlanePositionSequence", "ImagePositionPatient", 3)
    directions = _numbers(header, index, "PlaneOrientationSequence", "ImageOrientationPatient", 6)
    meta = describe(header, index)
    if position is None or directions is None or meta.spacing_mm is None:
        hint = "its frames can be used one by one"
        raise UnsupportedImage("a slice lacks position, orientation or spacing", source=source, hint=hint)
    to_values = modality_transform(header, index)
    levels = without_padding(distinct(stored.values), header)
    measures = functional_group(header, index, "PixelMeasuresSequence") or header
    thickness = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
    return Slice(
        values=to_values(stored.values).astype(np.float32),
        value_range=value_range(to_values, levels) if levels.size else None,
        position=position,
        along_row=directions[:3],
        along_column=directions[3:],
        spacing_mm=meta.spacing_mm,
        thickness_mm=abs(float(thickness)) if thickness else None,
        invert=stored.photometric_interpretation == "MONOCHROME1",
        view=choose_view(header, index, window, source),
        meta=meta,
    )


def _numbers(header: Dataset, index: int, group: str, keyword: str, count: int) -> Vector | None:
    value = (functional_group(header, index, group) or header).get(keyword)
    numbers = np.array([float(v) for v in value], np.float64) if value else np.empty(0)
    return numbers if numbers.shape == (count,) and np.isfinite(numbers).all() else None


def check_alike(first: Slice, other: Slice, source: str) -> None:
    """Raises UnsupportedImage if two slices cannot lie in one stack, UnreadableImage if the first cannot in any."""
    if not np.allclose(np.linalg.norm(np.cross(first.along_row, first.along_column)), 1.0, atol=0.01):
        raise UnreadableImage("row and column directions are no right angle", source=source)
    turned = np.abs(np.r_[other.along_row - first.along_row, other.along_column - first.along_column]).max()
    differences = {
        "series": other.meta.series_instance_uid != first.meta.series_instance_uid,
        "size": other.values.shape != first.values.shape,
        "orientation": turned > _SAME_DIRECTION,
        "pixel spacing": not np.allclose(other.spacing_mm, first.spacing_mm, rtol=1e-3),
        "photometric interpretation": other.invert != first.invert,
    }
    found = [name for name, differs in differences.items() if differs]
    if found:
        problem = f"its slices differ in {', '.join(found)}"
        raise UnsupportedImage(problem, source=source, hint="pass the files of one series, without its localizers")


def _ordered(slices: Sequence[Slice], normal: Vector) -> tuple[list[Slice], list[str]]:
    """The slices by rising distance along the normal, one for each place, and what is odd about their places."""
    ordered = sorted(slices, key=lambda s: float(s.position @ normal))
    kept = ordered[:1]
    notes: list[str] = []
    for candidate in ordered[1:]:
        if (candidate.position - kept[-1].position) @ normal > _SAME_PLACE_MM:
            kept.append(candidate)
    if len(kept) < len(ordered):
        notes.append(f"{len(ordered) - len(kept)} slices at a place already taken, left out")
    if len(kept) < 2:
        return kept, notes
    distances = np.diff([s.position @ normal for s in kept])  # all positive
    usual = float(np.median(distances))
    gaps = int((distances > _GAP * usual).sum())
    if gaps:
        notes.append(f"{gaps} gaps, the widest {distances.max():g} mm where {usual:g} mm is usual")
    elif np.abs(distances - usual).max() > _UNEVEN * usual:
        notes.append(f"uneven distances, {distances.min():g} to {distances.max():g} mm")
    travel = kept[-1].position - kept[0].position
    tilt = float(np.degrees(np.arccos(np.clip(travel @ normal / np.linalg.norm(travel), -1.0, 1.0))))
    if tilt > _TILT_DEGREES:
        notes.append(f"gantry tilted by {tilt:.1f}°, slices are not sheared")
    return kept, notes


def _step(slices: list[Slice], normal: Vector) -> Vector:
    """From one slice to the next, mm: the usual distance, in the direction from the first to the last slice."""
    if len(slices) == 1:
        return normal * (slices[0].thickness_mm or 1.0)
    travel = slices[-1].position - slices[0].position
    usual = float(np.median(np.diff([s.position @ normal for s in slices])))
    return travel * (usual / float(travel @ normal))


def _affine(first: Slice, step: Vector) -> Affine:
    """[4, 4]: (column, row, slice) → mm in RAS+ (PS3.3 C.7.6.2.1.1)."""
    affine = np.eye(4)
    affine[:3, 0] = first.along_row * first.spacing_mm[1]
    affine[:3, 1] = first.along_column * first.spacing_mm[0]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    affine[:3] *= LPS_TO_RAS[:, None]
    return affine


def _range_view(slices: list[Slice], source: str) -> View:
    ranges = [s.value_range for s in slices if s.value_range is not None]
    if not ranges:
        raise UnreadableImage("no voxel that is a number and no padding", source=source)
    return range_view(min(low for low, _ in ranges), max(high for _, high in ranges), source=source)
