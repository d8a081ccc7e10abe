"""How many of the page's requests are worked on at once, by what they cost: what is quick never waits for heat maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Requests that wait for each other, of all visitors."""

    name: str
    at_once: int


SHOW = Lane(name="show", at_once=4)  # opening a file, another slice
ANSWER = Lane(name="answer", at_once=2)  # an embedding or two
MAP = Lane(name="map", at_once=1)  # seconds: heat maps, walks


def connect(
    event: Any,
    handler: Callable[..., Any],
    inputs: Sequence[Any] | None,
    outputs: Sequence[Any],
    *,
    lane: Lane,
    busy: Any,
    says_what: bool = False,
    stops: Sequence[Any] = (),
) -> Any:
    """Lets a component's event run the handler; `busy` is the output that shows that it runs, and for how long.

    Of events that come while one is worked on, the last is worked on next, with the inputs as they are then. An event
    that itself says what is meant (says_what) must not be kept waiting, for Gradio would forget that. stops: what
    `connect` has returned for others, whose answers are no longer wanted.
    """
    return event(
        handler,
        list(inputs) if inputs else None,
        list(outputs),
        trigger_mode="multiple" if says_what else "always_last",
        show_progress_on=[busy],
        concurrency_id=lane.name,
        concurrency_limit=lane.at_once,
        cancels=list(stops) or None,
        api_visibility="private",
    )
