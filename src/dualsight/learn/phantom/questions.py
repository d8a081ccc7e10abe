"""What all pictures of a batch are asked together: one question, whose answers are prompts.

    which finding?             the prompt of each class of each modality
    which finding, and where?  those with a side once for each side
    is it there?               of each modality one finding by chance, "pneumonia" and "no pneumonia"

Every picture has exactly one right answer, whatever its own caption says or leaves out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.phantom.base import SIDES, Modality
from dualsight.learn.phantom.catalogue import MODALITIES

CLASSES: tuple[tuple[Modality, str | None], ...] = tuple(
    (modality, finding) for modality in MODALITIES for finding in (None, *modality.findings)
)
CLASS_OF = {(modality.name, finding): number for number, (modality, finding) in enumerate(CLASSES)}
_MODALITY_OF = np.array([MODALITIES.index(modality) for modality, _ in CLASSES])

WHICH, WHERE = 0.5, 0.3  # shares of the first two questions


class Questions:
    """Asks about a set of pictures.

    classes: int64 [n], into CLASSES. sides: [n], "left", "right" or "" for none.
    """

    def __init__(self, classes: NDArray[np.int64], sides: NDArray[np.str_]) -> None:
        self.classes = classes
        self.sides = sides
        self.lateral = frozenset(classes[sides != ""].tolist())  # classes whose pictures have a side

    def ask(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> tuple[list[str], NDArray[np.int64]]:
        """A question by chance about the chosen pictures [m]: prompts, and which of them each picture is, int64 [m]."""
        chance = rng.random()
        if chance < WHICH:
            return [_prompt(number, "", rng) for number in range(len(CLASSES))], self.classes[chosen]
        return self.where(chosen, rng) if chance < WHICH + WHERE else self.present(chosen, rng)

    def where(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> tuple[list[str], NDArray[np.int64]]:
        """Which finding, and on which side."""
        rows = [
            (number, side) for number in range(len(CLASSES)) for side in (SIDES if number in self.lateral else ("",))
        ]
        row_of = {row: i for i, row in enumerate(rows)}
        truths = zip(self.classes[chosen].tolist(), self.sides[chosen].tolist(), strict=True)
        return [_prompt(number, side, rng) for number, side in rows], np.array([row_of[truth] for truth in truths])

    def present(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> tuple[list[str], NDArray[np.int64]]:
        """Of each modality one finding, and its absence."""
        asked = [CLASS_OF[modality.name, str(rng.choice(modality.findings))] for modality in MODALITIES]
        prompts = [_prompt(number, word, rng) for number in asked for word in ("", "no")]
        classes = self.classes[chosen]
        modalities = _MODALITY_OF[classes]
        return prompts, 2 * modalities + (classes != np.array(asked)[modalities])


def _prompt(number: int, word: str, rng: np.random.Generator) -> str:
    """Of a class, with a word before its finding; of a view by chance that does not say the other side."""
    modality, finding = CLASSES[number]
    views = [
        view for view in modality.views if not any(side in view for side in SIDES if word in SIDES and side != word)
    ]
    return modality.prompt(str(rng.choice(views)), f"{word} {finding}" if word else finding)
