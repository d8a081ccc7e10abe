"""The headers of MetaImage files: .mha, and .mhd with a file of voxels beside it.

The header is lines of `Key = Value` up to ElementDataFile (MetaIO, itk.org/Wiki/MetaIO). Places are in LPS+, as in
DICOM, which is how ITK reads them, whatever AnatomicalOrientation says.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.volume.voxel_file import VoxelHeader
from dualsight.image.volume.voxels import LPS_TO_RAS, Affine

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # four bytes on every machine, by MetaIO's own table
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")  # the same thing, by the age of the writer
_ORIGIN = ("Offset", "Position", "Origin")
_SPACING = ("ElementSpacing", "ElementSize")
_MODALITIES = {"MET_MOD_CT": "CT", "MET_MOD_MR": "MR", "MET_MOD_NM": "NM", "MET_MOD_US": "US"}


def read_header(head: bytes, source: str) -> VoxelHeader:
    """What the first bytes of a MetaImage file say of its voxels.

    Raises UnsupportedImage for colour or vector voxels and voxels as text; UnreadableImage for sizes that cannot be or
    a header without an end; and whatever a damaged number raises.
    """
    fields, start = _fields(head, source)
    n_axes = int(fields["NDims"])
    sizes = tuple(int(size) for size in fields["DimSize"].split())
    if n_axes != len(sizes) or not 2 <= n_axes <= 4 or min(sizes) < 1:
        raise UnreadableImage("its sizes are none of 2 to 4 dimensions", source=source)
    if fields.get("ElementType") not in _TYPES or int(fields.get("ElementNumberOfChannels", "1")) != 1:
        raise UnsupportedImage("its voxels are no single real numbers", source=source)
    if not _is_true(fields, "BinaryData", "True"):
        raise UnsupportedImage("its voxels are written as text", source=source, hint="save it as binary data")
    big_endian = _is_true(fields, "BinaryDataByteOrderMSB") or _is_true(fields, "ElementByteOrderMSB")
    data_file = fields["ElementDataFile"]
    is_local = data_file.upper() == "LOCAL"
    return VoxelHeader(
        format="MetaImage",
        sizes=sizes,
        dtype=np.dtype((">" if big_endian else "<") + _TYPES[fields["ElementType"]]),
        space=tuple(range(min(n_axes, 3))),
        time=3 if n_axes == 4 else None,
        affine=_affine(fields, n_axes),
        encoding="zlib" if _is_true(fields, "CompressedData") else "raw",
        start=start if is_local else max(int(fields.get("HeaderSize", "0")), -1),
        data_file=None if is_local else data_file,
        note=None if _first(fields, _MATRIX) else "no orientation in the header",
        modality=_MODALITIES.get(fields.get("Modality", "")),
    )


def _fields(head: bytes, source: str) -> tuple[dict[str, str], int]:
    """Keys and values, and where the header ends: with the line of ElementDataFile."""
    fields: dict[str, str] = {}
    position = 0
    while (end := head.find(b"\n", position)) >= 0:
        key, equals, value = head[position:end].decode("latin-1").partition("=")
        position = end + 1
        if not equals:
            break
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            return fields, position
    raise UnreadableImage("the MetaImage header has no end", source=source)


def _affine(fields: Mapping[str, str], n_axes: int) -> Affine:
    """Index → mm in RAS+. Each row of the stored matrix is the direction of one axis."""

    def numbers(keys: tuple[str, ...], default: NDArray[np.float64]) -> NDArray[np.float64]:
        text = _first(fields, keys)
        values = np.array([float(number) for number in text.split()]) if text else default.ravel()
        return values.reshape(default.shape)

    n = min(n_axes, 3)
    affine = np.eye(4)
    directions = numbers(_MATRIX, np.eye(n_axes))[:n, :n]
    affine[:n, :n] = directions.T * numbers(_SPACING, np.ones(n_axes))[:n]
    affine[:n, 3] = numbers(_ORIGIN, np.zeros(n_axes))[:n]
    affine[:3] *= LPS_TO_RAS[:, None]
    return affine


def _first(fields: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((fields[key] for key in keys if key in fields), "")


def _is_true(fields: Mapping[str, str], key: str, default: str = "False") -> bool:
    return fields.get(key, default).upper() in ("TRUE", "1")
