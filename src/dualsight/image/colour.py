"""From stored samples to RGB: YBR conversion, palettes, sample depth (PS3.3 C.7.6.3.1, C.7.9)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualsight.image.voi import Lut, look_up

Samples = NDArray[Any]  # [H, W, 3], unsigned

# Inverse of PS3.3 C.7.6.3.1.2's matrix for YBR_FULL: rows give R, G, B from Y, Cb, Cr.
_YBR_TO_RGB = np.array(
    [
        [1.0, 0.0, 1.402],
        [1.0, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587],
        [1.0, 1.772, 0.0],
    ],
    np.float32,
)


def ybr_full_to_rgb(samples: Samples, bits: int) -> Samples:
    """RGB samples [H, W, 3] of YBR_FULL ones of `bits` bits, same type (PS3.3 C.7.6.3.1.2)."""
    rgb = np.empty_like(samples)
    offset = np.array([0, 1 << (bits - 1), 1 << (bits - 1)], np.float32)
    for row, ybr in enumerate(samples):  # [W, 3]: floating point for one row at a time
        mixed = (ybr - offset) @ _YBR_TO_RGB.T
        rgb[row] = np.clip(np.floor(mixed + 0.5), 0, (1 << bits) - 1).astype(samples.dtype)
    return rgb


def to_eight_bits(samples: Samples, bits: int) -> NDArray[np.uint8]:
    """uint8 of samples of `bits` bits, full scale to full scale, rounded."""
    if bits == 8 and samples.dtype == np.uint8:
        return samples
    top = (1 << bits) - 1
    eight = np.empty(samples.shape, np.uint8)
    for row, line in enumerate(samples):
        eight[row] = np.floor(np.clip(line.astype(np.float64) / top, 0.0, 1.0) * 255.0 + 0.5)
    return eight


def palette_to_rgb(stored: NDArray[Any], red: Lut, green: Lut, blue: Lut) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of indices [H, W] (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6).

    Sixteen-bit entries count by their high byte, unless a writer has put eight-bit ones there; so do those that a
    writer calls eight-bit ones.
    """
    channels: list[NDArray[np.uint8]] = []
    used_bits = max(int(lut.entries.max()) for lut in (red, green, blue)).bit_length()
    for lut in (red, green, blue):
        entries = lut.entries >> np.uint16(max(lut.bits, used_bits) - 8 if used_bits > 8 else 0)
        channels.append(look_up(stored, Lut(lut.first, entries, 8)).astype(np.uint8))
    return np.stack(channels, axis=-1)


def expand_segments(data: NDArray[np.unsignedinteger[Any]], n_entries: int) -> NDArray[np.uint16]:
    """The `n_entries` entries of a segmented palette (PS3.3 C.7.9.2): runs given, runs interpolated, runs repeated.

    data: uint8 or uint16, as the descriptor's third value says.
    Raises ValueError if the segments are not what the standard defines, or give another number of entries.
    """
    segments = _Segments(data.tolist(), data.itemsize, n_entries)
    for start in segments.starts:
        segments.append(start)
    if len(segments.entries) != n_entries:
        raise ValueError("the segments give another number of entries than the descriptor")
    return np.array(segments.entries, np.uint16)


class _Segments:
    """The segments of one palette and the entries they have given so far, never more than `n_entries`."""

    def __init__(self, words: list[int], word_bytes: int, n_entries: int) -> None:
        self.words, self.word_bytes, self.n_entries = words, word_bytes, n_entries
        self.entries: list[int] = []
        self.starts: list[int] = []
        position = 0
        while position + 2 < len(words):  # a trailing pad word begins no segment
            self.starts.append(position)
            opcode, length = words[position], words[position + 1]
            position += {0: 2 + length, 1: 3, 2: 2 + 4 // word_bytes}.get(opcode, len(words))

    def append(self, start: int) -> None:
        """Adds the entries of the segment at word `start`."""
        match self.words[start], self.words[start + 1]:
            case 0, length if start + 2 + length <= len(self.words):  # discrete
                self.entries += self.words[start + 2 : start + 2 + length]
            case 1, length if self.entries and length:  # linear, from the last entry to the one given
                steps = np.linspace(self.entries[-1], self.words[start + 2], length + 1)[1:]
                self.entries += np.rint(steps).astype(int).tolist()
            case 2, length:  # indirect: `length` earlier segments once more
                for earlier in self._copied(start, length):
                    self.append(earlier)
            case _:
                raise ValueError("not a segment that the standard defines")
        if len(self.entries) > self.n_entries:
            raise ValueError("more entries than the descriptor gives")

    def _copied(self, start: int, length: int) -> list[int]:
        """Where the segments begin that the indirect segment at `start` repeats; its offset counts bytes."""
        offset_words = self.words[start + 2 : start + 2 + 4 // self.word_bytes]
        first = sum(word << 8 * self.word_bytes * i for i, word in enumerate(offset_words)) // self.word_bytes
        copied = [s for s in self.starts if first <= s < start][:length]
        if len(copied) != length or first not in copied or any(self.words[s] == 2 for s in copied):
            raise ValueError("an indirect segment points to no earlier segments")
        return copied
