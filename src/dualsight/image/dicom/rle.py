"""DICOM's run-length encoding → native pixels (PS3.5 annex G), by Pillow's PackBits decoder.

pylibjpeg's decoder panics, and prints so on stderr, where a damaged segment gives more bytes than the frame has;
pydicom's is slow.
"""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

_HEADER_BYTES = 64
_MOST_SEGMENTS = 15


def unpack_rle(data: bytes, n_pixels: int, samples: int, sample_bytes: int) -> bytes:
    """Little-endian samples of one frame, plane after plane, of `n_pixels` pixels.

    What a segment gives beyond them is left out. Raises ValueError if the segments are not as many as the samples
    have bytes, lie outside `data`, or end early.
    """
    n_segments, *offsets = struct.unpack_from(f"<{1 + _MOST_SEGMENTS}L", data.ljust(_HEADER_BYTES, b"\0"))
    if n_segments != samples * sample_bytes or n_segments > _MOST_SEGMENTS:
        raise ValueError("another number of segments than the samples have bytes")
    if min(offsets[:n_segments]) < _HEADER_BYTES:
        raise ValueError("segments outside the frame")
    edges = [*offsets[:n_segments], len(data)]
    planes = np.empty((samples, n_pixels, sample_bytes), np.uint8)
    for number in range(n_segments):  # of each sample the most significant byte comes first (G.2)
        sample, byte = divmod(number, sample_bytes)
        segment = data[edges[number] : edges[number + 1]]
        unpacked = Image.frombytes("L", (n_pixels, 1), segment, "packbits", "L")
        planes[sample, :, sample_bytes - 1 - byte] = np.asarray(unpacked)[0]
    return planes.tobytes()
