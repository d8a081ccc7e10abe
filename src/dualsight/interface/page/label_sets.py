"""Labels to begin with, and a visitor's own, which stay in the visitor's browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dualsight.errors import TextError
from dualsight.interface.mcp.catalogue import label_groups
from dualsight.task.model import Model
from dualsight.text.prompts import PLAIN, fill


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSet:
    """Labels to choose from, and the prompts that they are put into."""

    labels: tuple[str, ...]
    templates: tuple[str, ...] = PLAIN


def built_in(model: Model) -> dict[str, LabelSet]:
    """Sets that the model understands: the demonstration model knows the words of its phantoms' captions."""
    if not model.checkpoint.is_demo:
        return {name: LabelSet(labels=tuple(labels)) for name, labels in label_groups().items()}
    from dualsight.learn.phantom.catalogue import MODALITIES

    titles = [f"{modality.name} {modality.anatomy}" for modality in MODALITIES]
    sets = {
        title: LabelSet(
            labels=(modality.normal, *modality.findings),
            templates=tuple(modality.prompt(view, "{label}") for view in modality.views),
        )
        for title, modality in zip(titles, MODALITIES, strict=True)
    }
    return {"kind of picture": LabelSet(labels=tuple(titles)), **sets}


def read_saved(kept: Any) -> dict[str, LabelSet]:
    """The sets in what a browser has kept; whatever else may be in it is passed over."""
    sets: dict[str, LabelSet] = {}
    for name, entry in kept.items() if isinstance(kept, dict) else ():
        if isinstance(entry, dict) and all(isinstance(entry.get(field), list) for field in ("labels", "templates")):
            sets[str(name)] = LabelSet(
                labels=tuple(map(str, entry["labels"])), templates=tuple(map(str, entry["templates"]))
            )
    return sets


def with_set(saved: Mapping[str, LabelSet], name: str, new: LabelSet, taken: Mapping[str, LabelSet]) -> dict[str, Any]:
    """What the browser is to keep. Raises TextError for a name that is none or taken, and for labels that are none."""
    if not name or name in taken:
        raise TextError(f"{name!r} cannot be the name of a set of yours", hint="choose a name that is not in the list")
    fill(new.templates, new.labels)
    return as_kept({**saved, name: new})


def as_kept(saved: Mapping[str, LabelSet]) -> dict[str, Any]:
    """What `read_saved` reads."""
    return {name: {"labels": list(entry.labels), "templates": list(entry.templates)} for name, entry in saved.items()}


def lines(text: str) -> tuple[str, ...]:
    """One entry a line, without blanks around it."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())
