"""How much a picture may ask for before it is refused. A header is checked before a single pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from dualsight.errors import ImageTooLarge


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest file that is decoded; whatever is over a limit is an ImageTooLarge."""

    pixels: int = 178_956_970  # rows × columns of one frame
    total_pixels: int = 1 << 33  # rows × columns × frames of one file: hours of cine, not a bomb
    frames: int = 100_000
    file_bytes: int = 1 << 31  # as stored, and again once unpacked
    frame_s: float = 120.0  # in which a process of its own opens a frame; a thread would go on all the same
    pixels_per_byte: int = 1 << 14  # of a file of many frames: compression reaches a third of it, a bomb any number

    def check_size(self, height: int, width: int, n_frames: int = 1, *, source: str) -> None:
        """Raises ImageTooLarge if a frame, their number or all of them together are over the limit."""
        if height * width > self.pixels:
            problem = f"{height} × {width} pixels are more than the limit of {self.pixels:,}"
        elif n_frames > self.frames:
            problem = f"{n_frames:,} frames are more than the limit of {self.frames:,}"
        elif height * width * n_frames > self.total_pixels:
            problem = (
                f"{n_frames:,} frames of {height} × {width} pixels are more than the file limit of "
                f"{self.total_pixels:,} pixels"
            )
        else:
            return
        raise ImageTooLarge(problem, source=source, hint="pass larger Limits if you trust this file")

    def check_expansion(self, height: int, width: int, n_frames: int, n_bytes: int, *, source: str) -> None:
        """Raises ImageTooLarge if so few bytes claim so many pixels that only a bomb can be meant.

        One frame is let through: its own limit bounds what it can cost.
        """
        n_pixels = height * width * n_frames
        if n_pixels > max(self.pixels, self.pixels_per_byte * n_bytes):
            problem = f"{n_frames:,} frames of {height} × {width} pixels in {n_bytes:,} bytes are no pictures"
            raise ImageTooLarge(problem, source=source, hint="pass larger Limits if you trust this file")

    def check_bytes(self, n_bytes: int, *, source: str) -> None:
        """Raises ImageTooLarge if a file, or what is unpacked from it, is over the limit."""
        if n_bytes > self.file_bytes:
            raise ImageTooLarge(
                f"more than the limit of {self.file_bytes:,} bytes",
                source=source,
                hint="pass larger Limits if you trust this file",
            )
