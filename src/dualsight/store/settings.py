"""How pictures are embedded for an index: what is part of a row's identity, and what is not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from dualsight.errors import ConfigError
from dualsight.image.reading import Reading
from dualsight.task.pool import Per, Pool, check_pooling

IndexPer: TypeAlias = Per | Literal["volume"]
TEXT_SETTINGS = json.dumps({"per": "text"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Choices for one `add`.

    per: what a row stands for: an "image" (a file), each "frame" or tile of it, the "series" or "study" of DICOM
    files; or "volume": each slice of a file or series, and all of them together as one row more.
    pool: how several frames become one vector. reading: how files are shown. batch_size: of the encoder.
    """

    per: IndexPer = "image"
    pool: Pool = "mean"
    reading: Reading = field(default_factory=Reading)
    batch_size: int = 8

    def __post_init__(self) -> None:
        """Raises ConfigError for a word that means nothing here."""
        if self.per not in ("volume", *get_args(Per)):
            raise ConfigError(f"per is {self.per!r}", hint=f"one of: {', '.join((*get_args(Per), 'volume'))}")
        check_pooling("image", self.pool)

    @property
    def grouped_by(self) -> Literal["series", "study"] | None:
        """What DICOM files are grouped by before they are embedded; None where each is a unit."""
        if self.per == "volume":
            return "series"
        return self.per if self.per in ("series", "study") else None

    def as_json(self) -> str:
        """What decides a row's vector, beside the picture and the model; the same choices give the same text."""
        reading = self.reading
        choices = {
            "per": self.per,
            "pool": None if self.per == "frame" else self.pool,
            "window": reading.window,
            "square_pixels": reading.square_pixels or None,
            "plane": reading.plane,
            "step_mm": reading.step_mm,
            "tile_px": reading.tile_px,
            "mpp": reading.mpp,
        }
        return json.dumps({name: choice for name, choice in choices.items() if choice is not None})


def read_reading(settings: str) -> Reading:
    """How the picture of a row with these settings was shown."""
    choices = json.loads(settings)
    window = choices.get("window", "auto")
    return Reading(
        window=window if isinstance(window, str) else (window[0], window[1]),
        square_pixels=choices.get("square_pixels", False),
        plane=choices.get("plane"),
        step_mm=choices.get("step_mm"),
        tile_px=choices["tile_px"],
        mpp=choices.get("mpp"),
    )
