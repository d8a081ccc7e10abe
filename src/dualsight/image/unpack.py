"""Bytes out of what they are wrapped in: gzip and base64."""

from __future__ import annotations

import binascii
import zlib
from pathlib import Path

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.limits import Limits
from dualsight.image.sniff import HEAD_BYTES, kind_of, read_head


def unzipped(content: bytes | Path, source: str, limits: Limits) -> bytes | Path:
    """The picture file inside a gzip file; `content` itself if it is none.

    Raises UnsupportedImage where what is inside is no picture, or wrapped once more; ImageTooLarge and UnreadableImage
    as `gunzip` does.
    """
    if kind_of(read_head(content, source)) != "gzip":
        return content
    packed = read_head(content, source, limits.file_bytes + 1)
    limits.check_bytes(len(packed), source=source)
    inner = gunzip(packed, source, limits)
    if kind_of(inner[:HEAD_BYTES]) in (None, "gzip", "zip"):
        raise UnsupportedImage("compressed, and what is inside is no picture", source=source)
    return inner


def gunzip(data: bytes, source: str, limits: Limits) -> bytes:
    """The contents of a gzip file. Raises ImageTooLarge over the limit, UnreadableImage if damaged or cut short."""
    parts: list[bytes] = []
    size = 0
    while data.startswith(b"\x1f\x8b"):  # a gzip file may have several members
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(data, limits.file_bytes + 1 - size)
        except zlib.error as error:
            raise UnreadableImage("damaged gzip data", source=source) from error
        parts.append(part)
        size += len(part)
        limits.check_bytes(size, source=source)
        if not member.eof:
            raise UnreadableImage("truncated gzip data", source=source)
        data = member.unused_data
    return b"".join(parts)


def unpack_base64(text: str) -> bytes | None:
    """The bytes of base64; line breaks are allowed, padding may be missing. None for any other text."""
    packed = "".join(text.split()).rstrip("=")
    try:
        return binascii.a2b_base64(packed + "=" * (-len(packed) % 4), strict_mode=True)
    except (binascii.Error, ValueError):  # ValueError: a letter beyond ASCII
        return None
