"""A grid of tokens ⇄ windows of tokens. Pure functions, no weights.

B batch, H W grid, S window side, C width.
"""

from __future__ import annotations

from torch import Tensor


def to_windows(grid: Tensor, height: int, width: int) -> Tensor:
    """[B, H, W, C] → [B·(H/height)·(W/width), height·width, C]; the sides must divide the grid."""
    windows = grid.unflatten(2, (-1, width)).unflatten(1, (-1, height))  # [B, H/h, h, W/w, w, C]
    return windows.transpose(2, 3).flatten(3, 4).flatten(0, 2)


def from_windows(windows: Tensor, height: int, width: int, grid: tuple[int, int]) -> Tensor:
    """[B·(H/height)·(W/width), height·width, C] → [B, H, W, C]."""
    rows, columns = grid[0] // height, grid[1] // width
    tiles = windows.unflatten(1, (height, width)).unflatten(0, (-1, rows, columns))  # [B, rows, columns, h, w, C]
    return tiles.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def regions(grid: tuple[int, int], window: int) -> list[list[tuple[slice, slice, int, int]]]:
    """The grid as up to 2 × 2 rectangles, each cut exactly by windows of its own size.

    A grid that is no multiple of the window leaves narrower windows at the right and lower edge.
    Each entry is (rows, columns, window height, window width); the outer list runs down, the inner across.
    """

    def spans(side: int) -> list[tuple[slice, int]]:
        whole = side - side % window
        parts = [(slice(0, whole), window), (slice(whole, side), side - whole)]
        return [(span, size) for span, size in parts if span.start < span.stop]

    return [[(rows, columns, h, w) for columns, w in spans(grid[1])] for rows, h in spans(grid[0])]
