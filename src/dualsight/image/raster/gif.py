"""How many pictures a GIF holds, counted no further than anybody wants to know (GIF89a, sections 18 to 26)."""

from __future__ import annotations

_HEADER_BYTES = 13  # signature and logical screen
_DESCRIPTOR_BYTES = 10  # of an image, with its separator
_IMAGE, _EXTENSION, _TRAILER = b",!;"


def count_frames(data: bytes, most: int) -> int:
    """How many image descriptors there are, counted to `most` and no further; those that a cut leaves whole.

    What is no block is stepped over, as Pillow does.
    """
    if len(data) < _HEADER_BYTES:
        return 0
    at = _HEADER_BYTES + _table_bytes(data[10])
    n_frames = 0
    while at < len(data) and data[at] != _TRAILER and n_frames < most:
        if data[at] == _EXTENSION:
            at = _behind_sub_blocks(data, at + 2)
        elif data[at] == _IMAGE:
            if at + _DESCRIPTOR_BYTES > len(data):
                break
            n_frames += 1
            at += _DESCRIPTOR_BYTES + _table_bytes(data[at + 9])
            at = _behind_sub_blocks(data, at + 1)  # behind the size of the first codes
        else:
            at += 1
    return n_frames


def _table_bytes(flags: int) -> int:
    """Of the colour table that a screen's or an image's flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _behind_sub_blocks(data: bytes, at: int) -> int:
    """Where a chain of sub-blocks, each behind its length, ends: behind the empty one."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1
