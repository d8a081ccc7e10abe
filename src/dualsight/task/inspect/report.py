"""All that was asked of one look inside, computed and not yet shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dualsight.image.open import Source
from dualsight.model.config import DualConfig, ImageEncoderConfig
from dualsight.model.cost import on_meta
from dualsight.task.inspect.table import ModelTable, PeerRow, WeightRow, compare, model_table, weight_table
from dualsight.task.inspect.walk import ImageWalk, Match, TextWalk, match, walk_image, walk_text
from dualsight.task.model import Model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """A look inside one model. What was not asked for is empty or None."""

    name: str
    notice: str  # what the model asks to have said wherever its outputs are shown
    engine: str  # what computed the walks; empty for a configuration alone
    logit_scale: float | None  # as stored: a logarithm
    table: ModelTable
    weights: tuple[WeightRow, ...]
    peers: tuple[PeerRow, ...]
    image: ImageWalk | None
    texts: tuple[TextWalk, ...]
    matches: tuple[Match, ...]  # picture and texts, in the order of the texts


def report_config(
    name: str,
    config: DualConfig | ImageEncoderConfig,
    image_size: tuple[int, int],
    *,
    weights: bool = False,
    peers: bool = False,
) -> Report:
    """A look at a configuration (image_size: height, width): tables alone, without weights."""
    return Report(
        name=name,
        notice="",
        engine="",
        logit_scale=None,
        table=model_table(config, image_size),
        weights=weight_table(on_meta(config)) if weights else (),
        peers=compare(name, config.image if isinstance(config, DualConfig) else config, image_size) if peers else (),
        image=None,
        texts=(),
        matches=(),
    )


def report_model(
    model: Model,
    *,
    image: Source | None = None,
    texts: Sequence[str] = (),
    weights: bool = False,
    peers: bool = False,
) -> Report:
    """A look at a loaded model, one picture and some texts walked through it.

    Raises ImageError or TextError for a picture or text that cannot be used.
    """
    config = model.config.dual
    walked = None if image is None else walk_image(model, image)
    walks = tuple(walk_text(model, text) for text in texts)
    return Report(
        name=model.name,
        notice=model.notice,
        engine=model.engine.name,
        logit_scale=model.logit_scale,
        table=model_table(config, config.image_size),
        weights=weight_table(model.checkpoint.model) if weights else (),
        peers=compare(model.name, config.image, config.image_size) if peers else (),
        image=walked,
        texts=walks,
        matches=match(model, walked, walks) if walked is not None and walks else (),
    )
