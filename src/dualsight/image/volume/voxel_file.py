"""Voxels that a text header describes, as in NRRD and MetaImage files → volumes.

A header decides nothing before it is checked: its sizes against the limits and against what is stored, and the name
of a file of voxels against the folder that the header is in.
"""

from __future__ import annotations

import bz2
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.frame import FrameMeta
from dualsight.image.limits import Limits
from dualsight.image.quiet import damage
from dualsight.image.reading import Window
from dualsight.image.sniff import opened, read_head
from dualsight.image.volume.voxels import Affine, Volume, axes_of, check_shape, chosen_view, spacing_of, to_ras

HEADER_BYTES = 1 << 20  # no text header is longer
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VoxelHeader:
    """What a header says of its voxels.

    sizes: of all axes, the fastest first. space: which of them, one to three, the columns of `affine` are for.
    time: which one is points in time, if one is; further axes have size 1. affine: [4, 4], index → mm in RAS+.
    start: the first byte of the voxels in their file; -1 if they are its last bytes. data_file: the name of a file
    beside the header, None if the voxels are in the same.
    """

    format: str
    sizes: tuple[int, ...]
    dtype: np.dtype[Any]
    space: tuple[int, ...]
    time: int | None
    affine: Affine
    encoding: Literal["raw", "zlib", "bzip2"]
    start: int
    data_file: str | None = None
    note: str | None = None
    modality: str | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """[X, Y, Z, T], in the header's own directions."""
        x, y, z = (*(self.sizes[axis] for axis in self.space), 1, 1)[:3]
        return x, y, z, 1 if self.time is None else self.sizes[self.time]

    @property
    def n_bytes(self) -> int:
        """Of all voxels, unpacked."""
        x, y, z, t = self.shape
        return x * y * z * t * self.dtype.itemsize


def decode_voxel_file(
    content: bytes | Path,
    source: str,
    read_header: Callable[[bytes, str], VoxelHeader],
    *,
    window: Window = "auto",
    limits: Limits | None = None,
) -> Iterator[Volume]:
    """The volumes that the header of a file describes, one for each point in time.

    content: a file's bytes, or a path, which voxels in another file need. window: as for `nifti.decode_nifti`; a
    display range is in neither format.
    Raises as `read_header` does; UnreadableImage if voxels are missing or damaged, or constant without a window;
    UnsupportedImage for voxels in several files or another folder; ImageTooLarge.
    """
    limits = limits or Limits()
    head = read_head(content, source, HEADER_BYTES)
    with damage(source, "the header is damaged"):
        header = read_header(head, source)
    check_shape(header.shape, limits, source)
    limits.check_bytes(header.n_bytes, source=source)
    place = content if header.data_file is None else _beside(header.data_file, content, source)
    with opened(place, source) as file, damage(source, "the voxels cannot be read"):
        data = _unpacked(file, header, source)
        stored: NDArray[Any] = np.frombuffer(data, header.dtype).reshape(header.sizes[::-1]).T
        kept = (*header.space, *(() if header.time is None else (header.time,)))
        others = tuple(axis for axis in range(stored.ndim) if axis not in kept)
        stored = stored.transpose(*kept, *others).reshape(header.shape)
    for index in range(header.shape[3]):
        with damage(source, "the voxels cannot be read"):
            volume = _volume(header, stored[..., index], index, window, source)
        yield volume


def _volume(header: VoxelHeader, stored: NDArray[Any], index: int, window: Window, source: str) -> Volume:
    values = stored.astype(header.dtype.newbyteorder("="), copy=False)
    values, affine = to_ras(values, header.affine)
    n_times = header.shape[3]
    notes = [header.note, f"time point {index + 1} of {n_times}" if n_times > 1 else None]
    return Volume(
        values=values,
        spacing_mm=spacing_of(affine),
        affine=affine,
        source=source,
        view=chosen_view(values, window, source=source),
        stored_axes=axes_of(header.affine),
        time_index=index,
        n_times=n_times,
        meta=FrameMeta(
            format=header.format,
            modality=header.modality,
            bits=8 * header.dtype.itemsize,
            note="; ".join(note for note in notes if note) or None,
        ),
    )


def _beside(name: str, content: bytes | Path, source: str) -> Path:
    """The file of that name in the header's folder, where it is a file and no link that leads out of there.

    A header is somebody else's text: one that names /etc/passwd shows its bytes as grey values, if it is believed.
    """
    if name.split()[:1] == ["LIST"] or "%" in name:  # how both formats name several
        hint = "save it as one .nrrd or .mha file"
        raise UnsupportedImage("its voxels are in several files", source=source, hint=hint)
    if isinstance(content, bytes):
        hint = "open the header from its path, with that file beside it"
        raise UnsupportedImage("a header whose voxels are in another file", source=source, hint=hint)
    name = name.removeprefix("./")
    if not name.isprintable() or name in ("", "..") or {PurePosixPath(name).name, PureWindowsPath(name).name} != {name}:
        hint = "put both into one folder, and name the file alone in the header"
        raise UnsupportedImage("its voxels are not in the same folder", source=source, hint=hint)
    path = content.parent / name
    if not os.path.isfile(path):  # noqa: PTH113 - False for a name that no file can have
        raise UnreadableImage("the file of its voxels is missing", source=source, hint="it belongs beside the header")
    # realpath, because `resolve` raises for links that go round
    if Path(os.path.realpath(path)).parent != Path(os.path.realpath(content.parent)):
        raise UnsupportedImage("its voxels are behind a link that leads out of the folder", source=source)
    return path


def _unpacked(file: BinaryIO, header: VoxelHeader, source: str) -> bytes | bytearray:
    """The voxels' bytes, as many as the header says. Raises UnreadableImage if they are fewer."""
    wanted = header.n_bytes
    stored = file.seek(0, 2) - max(header.start, 0)
    if header.encoding == "raw":
        if stored < wanted:
            raise UnreadableImage(f"truncated: {stored} bytes of voxels, {wanted} expected", source=source)
        file.seek(header.start if header.start >= 0 else -wanted, 0 if header.start >= 0 else 2)
        return file.read(wanted)
    file.seek(header.start)
    data = bytearray()
    while len(data) < wanted:
        n_before, at = len(data), file.tell()
        _unpack_member(file, header.encoding, data, wanted)
        if len(data) == n_before or file.tell() == at:
            break
    if len(data) < wanted:
        raise UnreadableImage(f"truncated: {len(data)} bytes of voxels, {wanted} expected", source=source)
    return data


def _unpack_member(file: BinaryIO, encoding: str, data: bytearray, wanted: int) -> None:
    """Adds what one compressed stream holds to `data`, never beyond `wanted`; the file is left behind the stream."""
    stream = bz2.BZ2Decompressor() if encoding == "bzip2" else _Inflate()
    while len(data) < wanted and not stream.eof:
        block = file.read(_BLOCK) if stream.needs_input else b""
        part = stream.decompress(block, min(_BLOCK, wanted - len(data)))
        if not (block or part):
            return  # the file ends before the stream does
        data += part
    file.seek(-len(stream.unused_data), 1)


class _Inflate:
    """zlib or gzip data, told by its first bytes, with bz2's interface."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=47)

    def decompress(self, block: bytes, most: int) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + block, most)

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data
