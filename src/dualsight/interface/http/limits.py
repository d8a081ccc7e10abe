"""How much a client may ask for. Everything that a request makes the server hold or compute has a bound here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dualsight.errors import BodyTooLarge, ConfigError, RequestTooLarge, TooManyImages
from dualsight.image.limits import Limits as ImageLimits
from dualsight.text.prompts import PLACEHOLDER


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """What one server takes; what is over it is refused before it costs anything."""

    body_bytes: int = 64 << 20  # of one request
    bodies_bytes: int = 512 << 20  # of all requests that are in hand
    json_values: int = 200_000  # of one body: a list of two bytes a value takes thirty times that in memory
    images: int = 64  # of one request
    pixels: int = 64_000_000  # of one frame
    frames: int = 512  # of one file
    labels: int = 1_000
    texts: int = 2_000  # of one request, prompts included: labels × templates
    text_characters: int = 4_000  # the encoder reads 77 tokens
    maps: int = 8  # of one request
    queued_maps: int = 32
    queued_images: int = 256  # in hand, of all clients
    queued_texts: int = 20_000
    connections: int = 512  # half of the files that a process may usually have open
    body_s: float = 30.0  # until a request's body is there; its head, and the taking of its answer: connection.py
    deadline_s: float = 60.0  # from then to the answer

    def __post_init__(self) -> None:
        if self.images > self.queued_images:
            raise ConfigError(
                f"{self.images} images a request do not fit into a queue of {self.queued_images}",
                hint="a request is admitted whole or not at all",
            )
        if self.body_bytes > self.bodies_bytes:
            raise ConfigError(f"a body of {self.body_bytes:,} bytes does not fit into {self.bodies_bytes:,} for all")
        if not 0 < self.deadline_s < math.inf:
            raise ConfigError(f"{self.deadline_s:g} s is no deadline", hint="a number of seconds above 0, such as 60")

    @property
    def image(self) -> ImageLimits:
        """What one picture may be; unpacked, a file may be four times the largest body."""
        return ImageLimits(pixels=self.pixels, frames=self.frames, file_bytes=4 * self.body_bytes)

    def check_body(self, n_bytes: int) -> None:
        """Raises BodyTooLarge for more bytes than a body may have."""
        if n_bytes > self.body_bytes:
            raise BodyTooLarge(f"a body of more than {self.body_bytes:,} bytes", hint="send several requests")

    def check_images(self, n: int) -> None:
        """Raises TooManyImages for more images than a request may have: a client then knows that fewer will do."""
        if n > self.images:
            raise TooManyImages(
                f"more images than the limit of {self.images:,} a request", hint="send several requests"
            )

    def check_fields(self, n: int) -> None:
        """Raises RequestTooLarge for more fields of a form, files aside, than labels and texts together may be."""
        _check(n, self.labels + self.texts, "fields of a form")

    def check_maps(self, n: int, pixels: int) -> None:
        """Raises RequestTooLarge for more maps of so many pixels than a request may have, in number or in memory."""
        _check(n, self.maps, "maps")
        _check(n * pixels, self.pixels, "pixels of all maps")

    def check_labels(self, n: int) -> None:
        """Raises RequestTooLarge for more labels than a request may have."""
        _check(n, self.labels, "labels")

    def check_texts(self, texts: Sequence[str]) -> None:
        """Raises RequestTooLarge for more texts than a request may have, or one that is too long."""
        _check(len(texts), self.texts, "texts")
        _check(max(map(len, texts), default=0), self.text_characters, "characters of a text")

    def check_prompts(self, labels: Sequence[str], templates: Sequence[str]) -> None:
        """The same for every label in every template, before any is filled in: a small request may mean millions."""
        _check(len(labels) * len(templates), self.texts, "prompts")
        grows_by = max(map(len, labels), default=0) - len(PLACEHOLDER)
        longest = max((len(text) + text.count(PLACEHOLDER) * grows_by for text in templates), default=0)
        _check(longest, self.text_characters, "characters of a prompt")


def room_for(body_bytes: int) -> int:
    """`bodies_bytes` where one body may be so large: several of them fit."""
    return max(512 << 20, 4 * body_bytes)


def _check(n: int, limit: int, what: str) -> None:
    if n > limit:
        raise RequestTooLarge(f"{n:,} {what} are more than the limit of {limit:,}", hint="send several requests")
