"""Where a probability begins to mean yes: chosen from labelled pictures, kept as JSON, applied by `classify`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import ConfigError

Rule = Literal["youden", "f1", "specificity"]

RULES: tuple[Rule, ...] = get_args(Rule)
VERSION = 1
HINT = "make it with `dualsight evaluate MANIFEST.csv -o FOLDER`"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelThresholds:
    """Of one label: a probability from it on is above; of equally good ones the highest.

    youden: the most of sensitivity + specificity. f1: the most of their F1. specificity: the most of sensitivity at the
    specificity asked for.
    """

    youden: float
    f1: float
    specificity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Thresholds of zero-shot probabilities, and all that these depend on.

    labels: those asked for together, in any order. by_label: without those that no threshold could be chosen for.
    rule: which of a label's thresholds is applied. specificity: what was asked for. chosen_on: the split.
    """

    fingerprint: str
    labels: tuple[str, ...]
    templates: tuple[str, ...]
    multilabel: bool
    rule: Rule
    specificity: float
    chosen_on: str
    by_label: Mapping[str, LabelThresholds]

    def check(self, fingerprint: str, labels: Sequence[str], templates: Sequence[str], multilabel: bool) -> None:
        """Raises ConfigError for another model, labels, templates or kind of probability than they were chosen for."""
        if fingerprint != self.fingerprint:
            raise ConfigError(
                f"thresholds: chosen for the model {self.fingerprint[:12]}, and this is {fingerprint[:12]}", hint=HINT
            )
        if set(labels) != set(self.labels):
            other = ", ".join(sorted(set(labels) ^ set(self.labels)))
            raise ConfigError(f"thresholds: chosen for other labels; the difference is {other}", hint=HINT)
        if tuple(templates) != self.templates:
            raise ConfigError("thresholds: chosen for other templates", hint=f"theirs: {', '.join(self.templates)}")
        if multilabel != self.multilabel:
            hint = "add --multilabel" if self.multilabel else "leave --multilabel out"
            raise ConfigError(f"thresholds: chosen with{'' if self.multilabel else 'out'} --multilabel", hint=hint)

    def verdict(self, label: str, probability: float) -> Literal["above", "below"] | None:
        """On which side of the label's threshold it lies; None for a label without one."""
        found = self.by_label.get(label)
        if found is None:
            return None
        return "above" if probability >= getattr(found, self.rule) else "below"

    def to_json(self) -> str:
        """The document that `read_thresholds` reads."""
        return json.dumps({"dualsight_thresholds": VERSION, **asdict(self)}, ensure_ascii=False, indent=2) + "\n"


def read_thresholds(path: Path, *, name: str | None = None) -> Thresholds:
    """What `Thresholds.to_json` wrote. name: what to call the file. Raises ConfigError for anything else."""
    name = str(path) if name is None else name
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read ({error.strerror or error})", hint=HINT) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name}: no JSON text", hint=HINT) from error
    version = document.pop("dualsight_thresholds", None) if isinstance(document, dict) else None
    if version != VERSION:
        raise ConfigError(f"{name}: no thresholds of version {VERSION}", hint=HINT)
    try:
        return _thresholds(document)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{name}: damaged thresholds ({type(error).__name__}: {error})", hint=HINT) from error


def _thresholds(document: dict[str, Any]) -> Thresholds:
    """Raises KeyError, TypeError or ValueError for what is missing, too much or of another type."""
    entries = document.pop("by_label")
    if not isinstance(entries, dict):
        raise TypeError("by_label")
    by_label = {label: LabelThresholds(**values) for label, values in entries.items()}
    for name in ("labels", "templates"):
        document[name] = tuple(map(str, document[name]))
    found = Thresholds(**document, by_label=by_label)
    if found.rule not in RULES:
        raise ValueError(f"rule {found.rule!r}")
    if not isinstance(document["fingerprint"], str) or not isinstance(document["multilabel"], bool):
        raise TypeError("fingerprint or multilabel")
    for label, values in by_label.items():
        if not all(type(number) in (int, float) and math.isfinite(number) for number in asdict(values).values()):
            raise TypeError(f"a threshold of {label!r}")
    return found


def choose_thresholds(
    scores: NDArray[np.float64], positives: NDArray[np.bool_], specificity: float
) -> LabelThresholds | None:
    """Of one label's scores [n]; None where all or none of the pictures have the label.

    Youden's J: doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3. Of equally good ones the highest.
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    if positives.all() or not positives.any():
        return None
    false, true, at = roc_curve(positives, scores, drop_intermediate=False)
    at[0] = np.nextafter(scores.max(), np.inf)  # above all scores; scikit-learn says infinity, which JSON cannot
    precision, recall, f1_at = precision_recall_curve(positives, scores)
    together = precision + recall
    f1 = np.divide(2 * precision * recall, together, out=np.zeros_like(together), where=together > 0)[:-1]
    kept = np.flatnonzero(1 - false >= specificity - 1e-12)
    return LabelThresholds(
        youden=float(at[np.argmax(true - false)]),
        f1=float(f1_at[len(f1) - 1 - np.argmax(f1[::-1])]),
        specificity=float(at[kept[np.argmax(true[kept])]]),
    )
