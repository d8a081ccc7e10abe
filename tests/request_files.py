"""What requests carry: colours as PNG, base64 as clients write it, and pictures that are none."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from PIL import Image

from picture_files import png_chunk, saved


def picture_png(seed: int, height: int = 40, width: int = 50) -> bytes:
    """Smooth colours that no other seed gives: their embeddings differ by far more than 1e-5."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return saved(Image.fromarray(coarse).resize((width, height)), "PNG")


def b64(data: bytes) -> str:
    """Base64 in one line."""
    return base64.b64encode(data).decode()


def b64_lines(data: bytes) -> str:
    """Base64 in lines of 76, as Microsoft's client sends it."""
    return base64.encodebytes(data).decode()


def bomb_png(side: int = 30_000) -> bytes:
    """A small file that claims side² pixels: decoded, gigabytes."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
