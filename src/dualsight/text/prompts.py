"""Labels to prompts, in MedImageInsight's order: modality, anatomy, view, finding (arXiv 2410.06542)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dualsight.errors import TextError

PLACEHOLDER = "{label}"
FIELD = re.compile(r"\{[^{}]*\}")

PLAIN = (PLACEHOLDER,)  # the label as it is: MI2's own zero-shot prompts, when labels are whole captions
CHEST_XRAY = ("x-ray chest anteroposterior {label}", "x-ray chest posteroanterior {label}")


def fill(templates: Sequence[str], labels: Sequence[str]) -> list[list[str]]:
    """Prompts by label, then by template: `fill(["ct {label}"], ["mass"])` is `[["ct mass"]]`.

    Only `{label}` is special in a template, and nothing is in a label.
    Raises TextError if there are no templates or labels, a template has no `{label}` or another `{field}`,
    or a label is blank or comes twice.
    """
    _check_templates(templates)
    check_labels(labels)
    return [[template.replace(PLACEHOLDER, label) for template in templates] for label in labels]


def _check_templates(templates: Sequence[str]) -> None:
    _check_list(templates, "template")
    for template in templates:
        if PLACEHOLDER not in template:
            raise TextError(f"template {template!r} has no {PLACEHOLDER}", hint="for example 'x-ray chest {label}'")
        for field in FIELD.findall(template):
            if field != PLACEHOLDER:
                raise TextError(
                    f"template {template!r} has an unknown {field}", hint=f"only {PLACEHOLDER} is filled in"
                )


def check_labels(labels: Sequence[str]) -> None:
    """Raises TextError unless `labels` is a list of distinct strings that are not blank."""
    _check_list(labels, "label")
    seen: set[str] = set()
    for index, label in enumerate(labels):
        if not label.strip():
            raise TextError(f"label {index} is blank")
        if label in seen:
            raise TextError(f"label {label!r} comes twice: none may be given more than once")
        seen.add(label)


def _check_list(texts: Sequence[object], noun: str) -> None:
    if isinstance(texts, str):
        raise TextError(
            f"one {noun} where a list of them is needed: this is one string", hint=f"put it in brackets: [{noun}]"
        )
    if len(texts) == 0:
        raise TextError(f"no {noun}s")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TextError(f"{noun} {index} is a {type(text).__name__}, not a string")
