"""Any file to pixels: what a user points at, told by content, decoded to frames and prepared for the encoder."""

# Imported here, not on first use: the module `open` would otherwise take the place of the function `open`.
# Nothing heavy comes along; PIL, numpy and pydicom are imported by the decoders.
from dualsight.image.frame import Frame, FrameMeta
from dualsight.image.grouping import group
from dualsight.image.limits import Limits
from dualsight.image.open import Source, open
from dualsight.image.reading import Plane, Reading, Window
from dualsight.image.source import Item, Skipped, scan
from dualsight.image.study import Series, Study

__all__ = [
    "Frame",
    "FrameMeta",
    "Item",
    "Limits",
    "Plane",
    "Reading",
    "Series",
    "Skipped",
    "Source",
    "Study",
    "Window",
    "group",
    "open",
    "scan",
]
