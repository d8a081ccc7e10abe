"""What a file holds and how it would be shown, read from its header where that can be. Nothing here names a patient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dualsight.errors import UnreadableImage
from dualsight.image.dicom.file import DicomFile, PixelElement, open_dicom
from dualsight.image.dicom.frames import read_pixel_module
from dualsight.image.dicom.lut import choose_view
from dualsight.image.dicom.meta import describe, prompt_words, sop_class_name, uid_name
from dualsight.image.frame import FrameMeta
from dualsight.image.open import read
from dualsight.image.quiet import damage
from dualsight.image.reading import Reading
from dualsight.image.sniff import kind_of, read_head
from dualsight.image.unpack import unzipped

if TYPE_CHECKING:
    from dualsight.image.source import Item

FULL_RANGE = "full range of each frame's values"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeInfo:
    """Voxels: shape and spacing along right, front, head (RAS+); where each axis grew to in the file, as in "LPS"."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    stored_axes: str
    n_times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """One file. n_frames: 0 where it has no pixels. meta: of its first frame, with the window that it is shown with,
    and without UIDs. prompt: words for a caption, "" if nothing is known. The last three are for DICOM alone.
    """

    source: str
    n_frames: int
    meta: FrameMeta
    prompt: str = ""
    volume: VolumeInfo | None = None
    sop_class: str | None = None
    transfer_syntax: str | None = None
    photometric_interpretation: str | None = None


def describe_file(item: Item, reading: Reading | None = None) -> FileInfo:
    """What is in a file. Of DICOM only the header is read, of a volume its first point in time, else the first frame.

    Raises ImageError as `dualsight.image.open` does.
    """
    return _describe(item.load(), item.name, reading or Reading())


def _describe(content: Path | bytes, source: str, reading: Reading) -> FileInfo:
    content = unzipped(content, source, reading.limits)
    kind = kind_of(read_head(content, source))
    if kind == "dicom":
        with open_dicom(content, source, reading.limits) as file:
            return _of_dicom(file, source, reading)
    if kind == "volume":
        return _of_volume(content, source, reading)
    frame = next(read(content, reading, source=source), None)
    if frame is None:
        raise UnreadableImage("no frame in it", source=source)
    return FileInfo(source=source, n_frames=frame.n_frames, meta=frame.meta)


def _of_dicom(file: DicomFile, source: str, reading: Reading) -> FileInfo:
    with damage(source, "the DICOM header is damaged"):
        meta = describe(file.header)
        uids = dict.fromkeys(("study_instance_uid", "series_instance_uid", "sop_instance_uid", "sop_class_uid"))
        info = FileInfo(
            source=source,
            n_frames=0,
            meta=replace(meta, note="no pixels", **uids),
            prompt=prompt_words(meta),
            sop_class=sop_class_name(file.header),
            transfer_syntax=uid_name(file.transfer_syntax) or None,
        )
    if file.pixels is not None:
        return _with_pixels(info, file, file.pixels, reading)
    if not len(file.header) or "Rows" in file.header:
        raise UnreadableImage("truncated: its header ends before its pixels", source=source)
    return info


def _with_pixels(info: FileInfo, file: DicomFile, pixels: PixelElement, reading: Reading) -> FileInfo:
    source = info.source
    module = read_pixel_module(file, pixels, source, reading.limits)
    window = None
    if module.photometric_interpretation.startswith("MONOCHROME"):
        with damage(source, "the header's description of its values is damaged"):
            view = choose_view(file.header, 0, reading.window, source)
            window = FULL_RANGE if view is None else view.name
    return replace(
        info,
        n_frames=module.n_frames,
        photometric_interpretation=module.photometric_interpretation,
        meta=replace(
            info.meta,
            rows=module.rows,
            columns=module.columns,
            bits=module.bits_stored,
            window=window,
            note=module.note,
        ),
    )


def _of_volume(content: Path | bytes, source: str, reading: Reading) -> FileInfo:
    from dualsight.image.volume.decode import decode_volumes

    volume = next(decode_volumes(content, source, reading))
    x, y, z = volume.values.shape
    plane = reading.plane or "axial"
    first = next(volume.slices(plane, limits=reading.limits))
    return FileInfo(
        source=source,
        n_frames=first.n_frames,
        meta=first.meta,
        volume=VolumeInfo(
            shape=(x, y, z), spacing_mm=volume.spacing_mm, stored_axes=volume.stored_axes, n_times=volume.n_times
        ),
        prompt=prompt_words(first.meta),
    )
