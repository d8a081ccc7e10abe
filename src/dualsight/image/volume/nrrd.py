"""The headers of NRRD files: .nrrd, and .nhdr with voxels beside it (teem.sourceforge.net/nrrd/format.html)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.volume.voxel_file import VoxelHeader
from dualsight.image.volume.voxels import LPS_TO_RAS, Affine

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_CODES = {name: code for code, names in _TYPES.items() for name in names}
_ENCODINGS: dict[str, Literal["raw", "zlib", "bzip2"]] = {
    "raw": "raw",
    "gzip": "zlib",
    "gz": "zlib",
    "bzip2": "bzip2",
    "bz2": "bzip2",
}
_SPACES = {
    "right-anterior-superior": np.ones(3),
    "ras": np.ones(3),
    "left-anterior-superior": np.array([-1.0, 1.0, 1.0]),
    "las": np.array([-1.0, 1.0, 1.0]),
    "left-posterior-superior": LPS_TO_RAS,
    "lps": LPS_TO_RAS,
}
_MM = {"mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1000.0, "um": 1e-3, "micron": 1e-3, "µm": 1e-3, "μm": 1e-3}
_VECTOR = re.compile(r"none|\([^)]*\)")
_IN_SPACE = ("domain", "space")
_IN_TIME = ("list", "time")


def read_header(head: bytes, source: str) -> VoxelHeader:
    """What the first bytes of a NRRD file say of its voxels; time goes along an axis of kind list or time.

    Without a space that names the patient's directions, axes are taken as LPS, as ITK does, and the note says so.
    Raises UnsupportedImage for colour or vector voxels and voxels as text; UnreadableImage for sizes that cannot be or
    a header without an end; and whatever a damaged number raises.
    """
    fields, start = _fields(head, source)
    sizes = tuple(int(size) for size in fields["sizes"].split())
    if int(fields["dimension"]) != len(sizes) or not 2 <= len(sizes) <= 8 or min(sizes) < 1:
        raise UnreadableImage("its sizes are none of 2 to 8 dimensions", source=source)
    code = _CODES.get(fields["type"].lower())
    if code is None:
        raise UnsupportedImage("its voxels are no single real numbers", source=source)
    encoding = _ENCODINGS.get(fields["encoding"].lower())
    skip = int(fields.get("byte skip", fields.get("byteskip", "0")))
    if skip < -1:
        raise UnreadableImage(f"a byte skip of {skip}", source=source)
    if encoding is None or int(fields.get("line skip", fields.get("lineskip", "0"))) or (skip and encoding != "raw"):
        hint = "save it with the encoding raw or gzip"
        raise UnsupportedImage("its voxels are written in a way that is not read", source=source, hint=hint)
    data_file = fields.get("data file", fields.get("datafile"))
    space, time = _axes(fields, sizes, source)
    affine, note = _affine(fields, space, source)
    big_endian = fields["endian"].lower() == "big" if code[1] != "1" else False
    return VoxelHeader(
        format="NRRD",
        sizes=sizes,
        dtype=np.dtype((">" if big_endian else "<") + code),
        space=space,
        time=time,
        affine=affine,
        encoding=encoding,
        start=skip if skip < 0 or data_file else start + skip,
        data_file=data_file,
        note=note,
    )


def _fields(head: bytes, source: str) -> tuple[dict[str, str], int]:
    """Fields by their names in small letters, and where the header ends: with an empty line."""
    fields: dict[str, str] = {}
    position = 0
    while (end := head.find(b"\n", position)) >= 0:
        line = head[position:end].decode("utf-8", "replace").rstrip("\r")
        position = end + 1
        if not line:
            return fields, position
        name, colon, value = line.partition(": ")
        if colon and not line.startswith("#") and ":=" not in name:
            fields[name.strip().lower()] = value.strip()
    if "data file" in fields or "datafile" in fields:  # alone in a file, a header may end with it
        return fields, position
    raise UnreadableImage("the NRRD header has no end", source=source)


def _axes(fields: Mapping[str, str], sizes: tuple[int, ...], source: str) -> tuple[tuple[int, ...], int | None]:
    """Which axes are in space, and which one in time: by their directions, or else their kinds, or else their order."""
    kinds = [kind.lower() for kind in fields.get("kinds", "").split()]
    if "space directions" in fields:
        in_space = [vector != "none" for vector in _VECTOR.findall(fields["space directions"])]
    elif kinds:
        in_space = [kind in _IN_SPACE for kind in kinds]
    else:
        in_space = [axis < 3 for axis in range(len(sizes))]
        kinds = ["domain", "domain", "domain", "time"][: len(sizes)]
    if sum(in_space) == len(in_space) == 4:  # ITK gives a space of four dimensions to volumes in time
        in_space, kinds = [True, True, True, False], ["domain", "domain", "domain", "time"]
    space = tuple(axis for axis, inside in enumerate(in_space) if inside)
    others = [axis for axis, inside in enumerate(in_space) if not inside and sizes[axis] > 1]
    if len(in_space) != len(sizes) or len(kinds) not in (0, len(sizes)) or not 1 <= len(space) <= 3:
        raise UnreadableImage("its header does not say which axes are in space", source=source)
    if len(others) > 1 or any(not kinds or kinds[axis] not in _IN_TIME for axis in others):
        raise UnsupportedImage("its voxels are vectors", source=source)
    return space, others[0] if others else None


def _affine(fields: Mapping[str, str], space: tuple[int, ...], source: str) -> tuple[Affine, str | None]:
    """Index → mm in RAS+, and what to note."""
    signs = _SPACES.get(fields.get("space", "").lower().removesuffix("-time"))
    affine = np.eye(4)
    if "space directions" in fields:
        vectors = _VECTOR.findall(fields["space directions"])
        for column, axis in enumerate(space):
            affine[:3, column] = _numbers(vectors[axis])
    else:
        spacings = fields.get("spacings", "").split() or ["1"] * (max(space) + 1)
        affine[range(len(space)), range(len(space))] = [_spacing(spacings[axis]) for axis in space]
    if len(space) == 2:
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        affine[:3, 2] = normal / np.linalg.norm(normal)
    affine[:3, 3] = _numbers(fields.get("space origin", "(0,0,0)"))
    units = set(re.findall(r'"([^"]*)"', fields.get("space units", "").lower()))
    if len(units) > 1 or not units <= _MM.keys():
        raise UnsupportedImage("its directions are in units of no length", source=source)
    affine[:3] *= _MM[units.pop()] if units else 1.0
    affine[:3] *= (LPS_TO_RAS if signs is None else signs)[:, None]
    return affine, "no orientation in the header" if signs is None else None


def _numbers(vector: str) -> NDArray[np.float64]:
    """Three of "(1,2,3)"; a vector in the plane has none along the third, one in time has a fourth."""
    numbers = [float(number) for number in vector.strip().strip("()").split(",")]
    return np.array([*numbers, 0.0, 0.0][:3])


def _spacing(text: str) -> float:
    """NaN is how an axis without one is written."""
    spacing = abs(float(text))
    return 1.0 if math.isnan(spacing) else spacing
