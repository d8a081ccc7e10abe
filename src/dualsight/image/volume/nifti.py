"""NIfTI-1 and -2 files, plain or gzipped → volumes; and what was computed on a volume's voxels → NIfTI-1."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel
import numpy as np
from numpy.typing import NDArray

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.frame import FrameMeta
from dualsight.image.limits import Limits
from dualsight.image.quiet import damage
from dualsight.image.reading import Window
from dualsight.image.sniff import opened
from dualsight.image.unpack import unzipped
from dualsight.image.volume.voxels import Affine, Volume, axes_of, check_shape, chosen_view, spacing_of, to_ras

_NIFTI_2 = (b"\x1c\x02\0\0", b"\0\0\x02\x1c")  # the header's size, 540, in either byte order


def decode_nifti(
    data: bytes | Path, source: str, *, window: Window = "auto", limits: Limits | None = None
) -> Iterator[Volume]:
    """The volumes of a NIfTI file, one for each point in time, each read when it is asked for.

    window: see `voxels.chosen_view`; the file's own range is (cal_min, cal_max).
    Without an orientation in the header, axes are taken as NIfTI prescribes, and the note says so.
    Raises UnsupportedImage for colour, complex or vector voxels, for header-only files, NRRD and MetaImage;
    UnreadableImage if the file is damaged, or constant without a window; ImageTooLarge.
    """
    limits = limits or Limits()
    with opened(unzipped(data, source, limits), source) as stream:
        limits.check_bytes(stream.seek(0, io.SEEK_END), source=source)
        image = _read_header(stream, source, limits)
        shape = _checked_shape(image, source, limits)
        for index in range(shape[3]):
            with damage(source, "the voxels cannot be read"):
                volume = _volume(image, shape, index, window, source)
            yield volume


def encode_nifti(values: NDArray[np.float32], affine: Affine) -> bytes:
    """A NIfTI-1 file of values [X, Y, Z] or [X, Y, Z, T], with the affine of the volume that they lie on."""
    data: bytes = nibabel.Nifti1Image(values, affine).to_bytes()  # type: ignore[no-untyped-call]  # as nibabel is
    return data


def _read_header(stream: BinaryIO, source: str, limits: Limits) -> Any:
    stream.seek(0)
    head = stream.read(348)
    if head.startswith((b"NRRD", b"ObjectType", b"NDims")):
        hint = "dualsight.image.open tells them apart"
        raise UnsupportedImage("a NRRD or MetaImage volume, not NIfTI", source=source, hint=hint)
    if head[344:348] == b"ni1\0" or head[4:8] == b"ni2\0":
        problem = "a NIfTI header whose voxels are in another file"
        raise UnsupportedImage(problem, source=source, hint="convert the pair to one .nii file")
    stream.seek(0)
    kind = nibabel.Nifti2Image if head[:4] in _NIFTI_2 else nibabel.Nifti1Image
    with damage(source, "the NIfTI header is damaged"):
        return kind.from_stream(cast(io.IOBase, stream))


def _checked_shape(image: Any, source: str, limits: Limits) -> tuple[int, int, int, int]:
    """[X, Y, Z, T], after a look at the limits and at how many bytes there are."""
    with damage(source, "the NIfTI header is damaged"):
        dtype = image.get_data_dtype()
        shape = tuple(int(n) for n in image.shape)
        offset = int(image.dataobj.offset)
        stream = image.file_map["image"].fileobj
        n_bytes = stream.seek(0, 2) - offset
    if dtype.kind not in "iuf":
        raise UnsupportedImage("its voxels are no single real numbers", source=source)
    if any(n < 1 for n in shape) or not shape:
        raise UnreadableImage("it has no voxels", source=source)
    if any(n > 1 for n in shape[4:]):
        raise UnsupportedImage("its voxels are vectors", source=source)
    x, y, z, t = (*shape, 1, 1, 1, 1)[:4]
    check_shape((x, y, z, t), limits, source)
    if x * y * z * t * dtype.itemsize > n_bytes:
        problem = f"truncated: {n_bytes} bytes of voxels, {x * y * z * t * dtype.itemsize} expected"
        raise UnreadableImage(problem, source=source)
    return x, y, z, t


def _volume(image: Any, shape: tuple[int, int, int, int], index: int, window: Window, source: str) -> Volume:
    picked = (slice(None),) * 3 + (index,)
    values = np.asarray(image.dataobj[picked[: len(image.shape)]] if len(image.shape) > 3 else image.dataobj)
    values = values.reshape(shape[:3])
    values = values.astype(np.float64) if values.dtype.itemsize > 8 else values.astype(values.dtype.newbyteorder("="))
    values, affine = to_ras(values, np.asarray(image.affine, np.float64))
    notes = [] if image.header["sform_code"] > 0 or image.header["qform_code"] > 0 else ["no orientation in the header"]
    if shape[3] > 1:
        notes.append(f"time point {index + 1} of {shape[3]}")
    bits = 8 * int(image.get_data_dtype().itemsize)
    return Volume(
        values=values,
        spacing_mm=spacing_of(affine),
        affine=affine,
        source=source,
        view=chosen_view(values, window, stored_range=_stored_range(image), source=source),
        stored_axes=axes_of(np.asarray(image.affine, np.float64)),
        time_index=index,
        n_times=shape[3],
        meta=FrameMeta(format="NIfTI", bits=bits, note="; ".join(notes) or None),
    )


def _stored_range(image: Any) -> tuple[float, float] | None:
    """The range that the header wants to be shown, or None."""
    low, high = float(image.header["cal_min"]), float(image.header["cal_max"])
    return (low, high) if np.isfinite(high - low) and high > low else None
