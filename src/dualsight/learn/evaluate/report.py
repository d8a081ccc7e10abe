"""What an evaluation is asked for, and what it finds; both as data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from dualsight.errors import ConfigError
from dualsight.learn.evaluate.calibration import Reliability
from dualsight.learn.evaluate.figures import Figure, LabelFigures, TopFigures
from dualsight.learn.evaluate.retrieval import Retrieval
from dualsight.learn.evaluate.subgroups import Group
from dualsight.learn.evaluate.thresholds import Rule, Thresholds

MethodName = Literal["zero-shot", "knn", "adapter"]
METHODS: tuple[MethodName, ...] = get_args(MethodName)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured. rule, specificity: see Thresholds. caption_column: of the texts that retrieval asks with.

    Raises ConfigError for no or repeated methods, and a specificity outside 0…1.
    """

    methods: tuple[MethodName, ...] = ("zero-shot",)
    templates: tuple[str, ...] = ("{label}",)
    specificity: float = 0.9
    rule: Rule = "youden"
    subgroups: tuple[str, ...] = ()
    caption_column: str | None = None

    def __post_init__(self) -> None:
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise ConfigError(
                f"methods are {', '.join(self.methods) or 'none'}", hint=f"each once: {', '.join(METHODS)}"
            )
        if not 0 < self.specificity < 1:
            raise ConfigError(f"a specificity of {self.specificity:g}", hint="between 0 and 1, such as 0.9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Reliability as it is, and after scalings that were fitted to the split val; None, and the reason, without one."""

    plain: Reliability
    temperature: float | None = None
    by_temperature: Reliability | None = None
    by_platt: Reliability | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodFigures:
    """One method on the pictures measured. top: None where several labels may be true. groups: of every column."""

    method: str
    detail: str
    mean_auc: Figure
    mean_average_precision: Figure
    top: TopFigures | None
    labels: tuple[LabelFigures, ...]
    calibration: Calibration
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured, with what, on what. thresholds: of the zero-shot method; None where it is not compared.

    split: the one measured, "all" for a table without splits. chosen_on: the one thresholds come from; `caution` says
    what is wrong with that, or is empty. failed: pictures of either that could not be used, and are left out.
    """

    model: str
    fingerprint: str
    notice: str
    date: str
    manifest: str
    split: str
    n: int
    patients: int
    failed: int
    labels: tuple[str, ...]
    is_multilabel: bool
    specificity: float
    rule: Rule
    chosen_on: str
    caution: str
    methods: tuple[MethodFigures, ...]
    retrieval: Retrieval | None
    thresholds: Thresholds | None

    def to_json(self) -> str:
        """All of it as one document."""
        return json.dumps({"dualsight_evaluation": 1, **asdict(self)}, ensure_ascii=False, allow_nan=False) + "\n"
