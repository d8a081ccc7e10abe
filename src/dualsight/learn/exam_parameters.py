"""How a picture was made, by the pictures most like it: modality, body part, view, plane, sequence.

references with what their manifest or header says ──k nearest by cosine, weighted──▶ value, and the share that agrees
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import ConfigError, ManifestError
from dualsight.image.dicom.meta import prompt_words
from dualsight.image.frame import FrameMeta
from dualsight.learn.neighbours import nearest_votes

PARAMETERS = ("modality", "body_part", "view", "plane", "sequence")
IN_HEADER = PARAMETERS[:3]
_COLUMNS = f"a .csv with the columns path, {', '.join(PARAMETERS)}"
NEIGHBOURS = 5
SHARE = 0.6
ROUNDING = 1e-9  # weights that are divided by their sum rarely sum to one: a share of 1 asks for all neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A picture whose parameters are known, but for those that are missing in `parameters`."""

    path: Path
    parameters: Mapping[str, str]

    def with_header(self, meta: FrameMeta) -> Reference:
        """What its table leaves open, from its own header: modality, body part and view, in a caption's words."""
        header = {name: prompt_words(FrameMeta(**{name: getattr(meta, name)})) for name in IN_HEADER}
        known = {name: words for name, words in header.items() if words}
        return Reference(path=self.path, parameters={**known, **self.parameters})


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """One parameter of one picture. value: None where less than the wanted share of the neighbours agrees."""

    value: str | None
    share: float


def read_references(path: Path) -> list[Reference]:
    """The rows of a .csv with a column path, relative to it, and any of PARAMETERS; an empty value is unknown.

    Raises ManifestError with every problem found.
    """
    problems: list[str] = []
    references: list[Reference] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if "path" not in (rows.fieldnames or ()):
                raise ManifestError(f"{path}: no column `path`", hint=_COLUMNS)
            for number, row in enumerate(rows, start=2):
                known = {name: value.strip().lower() for name in PARAMETERS if (value := row.get(name) or "").strip()}
                file_path = path.parent / (row["path"] or "")
                if not file_path.is_file():
                    problems.append(f"row {number}: no file {row['path'] or 'named'}")
                references.append(Reference(path=file_path, parameters=known))
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror})", hint=_COLUMNS) from error
    except (UnicodeDecodeError, csv.Error):
        raise ManifestError(f"{path}: no table in UTF-8", hint=_COLUMNS) from None
    if problems or not references:
        hint = "rows count from the header, which is row 1"
        raise ManifestError(f"{path}: {len(problems) or 'no'} rows", problems=tuple(problems), hint=hint)
    return references


def predict_parameters(
    references: NDArray[np.float32],
    known: Sequence[Mapping[str, str]],
    vectors: NDArray[np.float32],
    *,
    neighbours: int = NEIGHBOURS,
    share: float = SHARE,
) -> list[dict[str, Guess]]:
    """For each of vectors [m, D] a guess of every parameter that a reference [n, D] knows; all of unit length.

    A parameter's neighbours are the nearest references that know it. Raises ConfigError where none knows anything, for
    a share outside 0…1, and for no neighbours.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"a share of {share:g}", hint="above 0, up to 1, such as 0.6")
    if neighbours < 1:
        raise ConfigError(f"{neighbours} neighbours", hint="1 or more")
    names = [name for name in PARAMETERS if any(name in parameters for parameters in known)]
    if not names:
        hint = f"give columns such as {', '.join(PARAMETERS)}, or DICOM files whose headers have them"
        raise ConfigError("no reference says how it was made", hint=hint)
    guesses: list[dict[str, Guess]] = [{} for _ in vectors]
    for name in names:
        rows = [row for row, parameters in enumerate(known) if name in parameters]
        values = [known[row][name] for row in rows]
        for guess, answer in zip(guesses, _vote(references[rows], values, vectors, neighbours, share), strict=True):
            guess[name] = answer
    return guesses


def _vote(
    references: NDArray[np.float32], values: list[str], vectors: NDArray[np.float32], neighbours: int, share: float
) -> list[Guess]:
    names, codes = np.unique(values, return_inverse=True)
    votes = nearest_votes(vectors, references, np.eye(len(names))[codes], neighbours=neighbours)
    best = votes.argmax(axis=1)
    return [
        Guess(value=str(names[i]) if row[i] >= share - ROUNDING else None, share=float(row[i]))
        for i, row in zip(best, votes, strict=True)
    ]
