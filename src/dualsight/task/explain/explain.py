"""`explain`: why a picture is similar to a label, as a heat map over the picture.

picture ──prepare──▶ pixels ─┐
                             ├─ method ─▶ heat [h, w] ─ geometry ─▶ map [H, W] in the picture's own pixels
label, against ──▶ direction ┘
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

import numpy as np

from dualsight.errors import ConfigError, TextError, UnreadableImage
from dualsight.image.frame import Frame
from dualsight.image.open import Source, read
from dualsight.image.prepare import prepare
from dualsight.image.reading import Reading
from dualsight.task.classify import label_embeddings
from dualsight.task.explain.geometry import Box, Map, seen_box, to_frame
from dualsight.task.explain.grad_cam import GradCam
from dualsight.task.explain.method import Method, Vector, similarities
from dualsight.task.explain.multi_scale import MultiScale
from dualsight.task.explain.occlusion import Occlusion
from dualsight.task.explain.rise import Rise
from dualsight.task.explain.token_shares import TokenShares
from dualsight.task.model import Model
from dualsight.task.prepared import source_name
from dualsight.text.prompts import PLAIN

DEFAULT_METHOD = "multi-scale"

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "multi-scale": MultiScale(),
        "token-shares": TokenShares(),
        "grad-cam": GradCam(),
        "occlusion": Occlusion(),
        "rise": Rise(),
    }
)
"""Every method by its name, with its usual choices. docs/explain.md has what they measure."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """What a map is about: a direction among embeddings, float32 [D], and what it is called.

    against: labels whose mean embedding is taken from that of `label`; empty for the label alone.
    """

    label: str
    against: tuple[str, ...] = ()
    direction: Vector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """Why one frame is similar to a label. It shows what moves the model, not what is there. Never a diagnosis.

    map: float32 [H, W] in the pixels of `frame`, positive for the label, negative against it, in `unit`; it is drawn
    smoothly from `grid` (h, w) cells, and 0 outside `seen`, which is what the encoder sees of the frame.
    similarity: the embedding's with the target: a cosine, or the difference of two where there is an `against`.
    rest: the part that belongs to no place, for methods that share out the whole similarity.
    """

    frame: Frame
    map: Map
    label: str
    against: tuple[str, ...]
    similarity: float
    method: str
    grid: tuple[int, int]
    unit: str
    rest: float
    seen: Box
    model: str
    notice: str  # what to say wherever it is shown; empty for a model without a notice


def explain(
    model: Model,
    image: Source,
    label: str,
    *,
    against: str | Sequence[str] = (),
    templates: Sequence[str] = PLAIN,
    method: str | Method = DEFAULT_METHOD,
    frame_index: int = 0,
    reading: Reading | None = None,
) -> Explanation:
    """The map of one label for one frame, as `explain_frame` gives it.

    against: "why `label` and not that": one or several other labels. templates: as in `Model.classify`.
    Raises ImageError for a picture that cannot be read or has no such frame, TextError for unusable labels,
    ConfigError for an unknown method.
    """
    target = label_target(model, label, against=against, templates=templates)
    return explain_frame(model, _frame(image, frame_index, reading or Reading()), target, method=method)


def explain_frame(model: Model, frame: Frame, target: Target, *, method: str | Method = DEFAULT_METHOD) -> Explanation:
    """The map of one target, in the frame's own pixels. The same input gives the same map.

    Raises ConfigError for an unknown method, ImageError for a frame that cannot be resized.
    """
    chosen = find_method(method)
    pixels = prepare(frame, model.config.preprocessing)
    heat = chosen(model, pixels, target.direction)
    height, width = frame.pixels.shape[:2]
    grid_height, grid_width = heat.values.shape
    return Explanation(
        frame=frame,
        map=to_frame(heat.values, height, width, model.config.preprocessing),
        label=target.label,
        against=target.against,
        similarity=float(similarities(model, [pixels], target.direction)[0]),
        method=_name_of(chosen),
        grid=(grid_height, grid_width),
        unit=heat.unit,
        rest=heat.rest,
        seen=seen_box(height, width, model.config.preprocessing),
        model=model.name,
        notice=model.notice,
    )


def label_target(
    model: Model, label: str, *, against: str | Sequence[str] = (), templates: Sequence[str] = PLAIN
) -> Target:
    """Towards a label, or from the mean of others to it. Raises TextError for labels that cannot be meant."""
    others = (against,) if isinstance(against, str) else tuple(against)
    if label in others:
        raise TextError(f"label {label!r} against itself", hint="name another one")
    vectors = label_embeddings([label, *others], templates, model.encode_text)
    direction = vectors[0] - vectors[1:].mean(axis=0) if others else vectors[0]
    return Target(label=label, against=others, direction=np.asarray(direction, np.float32))


def picture_target(model: Model, image: Source, *, label: str, reading: Reading | None = None) -> Target:
    """Towards another picture, which `label` names: where is what makes the two alike? Raises ImageError."""
    return Target(label=label, direction=model.encode_image(image, reading=reading or Reading())[0])


def find_method(method: str | Method) -> Method:
    """A method by its name, or itself. Raises ConfigError for an unknown name."""
    if not isinstance(method, str):
        return method
    try:
        return METHODS[method]
    except KeyError:
        raise ConfigError(f"no method {method!r}", hint=f"one of: {', '.join(METHODS)}") from None


def _name_of(method: Method) -> str:
    """As in METHODS, whatever its choices; of another kind, its type's."""
    return next((name for name, known in METHODS.items() if type(known) is type(method)), type(method).__name__)


def _frame(image: Source, index: int, reading: Reading) -> Frame:
    name = source_name(image, 0)
    frame = next(islice(read(image, reading, source=name), index, None), None) if index >= 0 else None
    if frame is None:
        raise UnreadableImage(f"no frame {index}", source=name, hint="frames count from 0")
    return frame
