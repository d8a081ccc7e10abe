"""Numbers as people read them, the same on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Iterable


def count(value: int) -> str:
    """1234567 → 1,234,567."""
    return f"{value:,}"


def by(sides: Iterable[int]) -> str:
    """(1, 14400, 256) → 1×14400×256; empty for a single number's shape."""
    return "×".join(map(str, sides))


def billions(value: int | None) -> str:
    """Billions with three digits or more: 580.3, 24.6, 4.52, 0.027; a dash for None."""
    if value is None:
        return "–"
    scaled = value / 1e9
    if scaled >= 100:
        return f"{scaled:,.1f}"
    return f"{scaled:.2f}" if scaled >= 1 or value == 0 else f"{scaled:.3f}"


def number(value: float) -> str:
    """A measured value: three decimals, or an exponent where they would say nothing. Rounding noise is zero."""
    if abs(value) < 1e-6:
        return "0.000"
    return f"{value:.3f}" if 0.01 <= abs(value) < 10_000 else f"{value:.2e}"
