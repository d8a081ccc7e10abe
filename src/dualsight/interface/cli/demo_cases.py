"""What the demonstration is asked about: phantoms whose truth is known, and real pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dualsight.image.frame import Frame
from dualsight.image.source import Item
from dualsight.learn.phantom.base import Modality
from dualsight.learn.phantom.catalogue import HELD_OUT, MODALITIES, draw
from dualsight.task.classify import Classification
from dualsight.task.embed import Failed
from dualsight.task.model import Model

PATIENT = HELD_OUT + 900_000_000  # of the first phantom drawn here


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a phantom shows."""

    modality: Modality
    finding: str  # or the modality's word for none


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A picture, and its truth where it is known."""

    name: str
    picture: Frame | Item
    truth: Truth | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model makes of a case: of which modality it is, and, of a phantom of known modality, which finding."""

    case: Case
    modality: Classification
    finding: Classification | None = None

    @property
    def modality_right(self) -> bool | None:
        """None where the truth is not known."""
        truth = self.case.truth
        return None if truth is None else self.modality.top == title(truth.modality)

    @property
    def finding_right(self) -> bool | None:
        """None where the truth is not known."""
        truth = self.case.truth
        return None if truth is None or self.finding is None else self.finding.top == truth.finding


def title(modality: Modality) -> str:
    """The label that a modality is asked for by."""
    return f"{modality.name} {modality.anatomy}"


def drawn_cases() -> Iterator[Case]:
    """A normal picture and one with a finding of every modality, drawn now from patients that are never trained on."""
    for number, modality in enumerate(MODALITIES):
        for finding in (None, modality.findings[0]):
            phantom = draw(modality, modality.views[0], finding, patient=PATIENT + number)
            yield Case(
                name=f"drawn now: {phantom.prompt}",
                picture=Frame(pixels=phantom.pixels, source=phantom.prompt),
                truth=Truth(modality=modality, finding=finding or modality.normal),
            )


def phantom_files(samples: Path) -> Iterator[Case]:
    """The phantoms in phantoms/, by their labels.csv."""
    table = samples / "phantoms" / "labels.csv"
    if not table.is_file():
        return
    kinds = {title(modality): modality for modality in MODALITIES}
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path = table.parent / row["path"]
            modality = kinds[f"{row['modality']} {row['anatomy']}"]
            yield Case(
                name=str(path),
                picture=Item(name=str(path), content=path),
                truth=Truth(modality=modality, finding=row["finding"] or modality.normal),
            )


def real_files(samples: Path) -> Iterator[Case]:
    """The real pictures in real/."""
    folder = samples / "real"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        yield Case(name=str(path), picture=Item(name=str(path), content=path))


def ask(model: Model, cases: Sequence[Case]) -> Iterator[Answer | Failed]:
    """Modality first, among all; then a phantom's finding, among those of its modality, averaged over the views."""
    labels = [title(modality) for modality in MODALITIES]
    kinds = model.iter_classify([case.picture for case in cases], labels)
    for case, kind in zip(cases, kinds, strict=True):
        if isinstance(kind, Failed):
            yield kind
            continue
        finding = None if case.truth is None else _finding(model, case, case.truth.modality)
        yield Answer(case=case, modality=kind, finding=finding)


def _finding(model: Model, case: Case, modality: Modality) -> Classification | None:
    templates = [modality.prompt(view, "{label}") for view in modality.views]
    labels = (modality.normal, *modality.findings)
    (answer,) = model.iter_classify([case.picture], labels, templates=templates)
    return None if isinstance(answer, Failed) else answer
