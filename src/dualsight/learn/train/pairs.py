"""What is trained on: pairs of a picture and its labels or text, from any source, with every problem they have.

manifest | two TSV tables | folder of folders ──read──▶ pairs ──check──▶ TrainingData, or all problems at once
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dualsight.errors import ManifestError, TextError, TrainingError
from dualsight.image.frame import Frame
from dualsight.image.open import open as open_image
from dualsight.learn.manifest import read_manifest
from dualsight.learn.train.config import FolderSource, ManifestSource, Source, TrainConfig, TsvSource
from dualsight.learn.train.tsv import TsvPicture, read_tables
from dualsight.text.prompts import fill


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A picture and what is said of it: labels, or a text of its own."""

    place: str  # file and row, for messages
    picture: Path | TsvPicture
    labels: tuple[str, ...] = ()
    text: str | None = None
    patient: str | None = None

    def frames(self, window: str) -> Iterator[Frame]:
        """The picture's frames, one at a time. Raises ImageError, naming the pair's place."""
        source = self.picture.read(self.place) if isinstance(self.picture, TsvPicture) else self.picture
        return open_image(source, source=self.place, window=window)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """All pairs of a run, without a problem."""

    pairs: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    labels: tuple[str, ...]  # empty where every pair has a text of its own
    templates: tuple[str, ...]

    @property
    def is_multilabel(self) -> bool:
        """Whether some pair that is not one with a text of its own has several labels, or none."""
        return any(len(pair.labels) != 1 for pair in (*self.pairs, *self.validation) if pair.text is None)

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of what the pairs are, but for the pictures' bytes: whether a run goes on with them."""
        rows = (repr((pair.place, pair.labels, pair.text)) for pair in (*self.pairs, *self.validation))
        return hashlib.sha256("\n".join((*rows, *self.labels, *self.templates)).encode()).hexdigest()


def read_data(config: TrainConfig) -> TrainingData:
    """The pairs that a run names. Raises TrainingError with every problem found, but does not open the pictures."""
    data, problems = find_data(config)
    refuse(problems)
    return data


def find_data(config: TrainConfig) -> tuple[TrainingData, list[str]]:
    """The pairs that could be read, and every problem with them or the rest."""
    pairs, problems = read_source(config.train)
    validation: list[Pair] = []
    if config.validation is not None:
        validation, more = read_source(config.validation)
        problems += [problem for problem in more if problem not in problems]
    labels = config.labels or tuple(sorted({label for pair in pairs for label in pair.labels}))
    if pairs:
        problems += _label_problems(labels, pairs, validation, given=bool(config.labels))
    problems += _leaks(pairs, validation)
    if not pairs and not problems:
        problems.append(f"{_name(config.train)}: nothing to train on")
    if labels:
        problems += _template_problems(config.templates, labels)
    data = TrainingData(
        pairs=tuple(pairs), validation=tuple(validation), labels=labels, templates=tuple(config.templates)
    )
    if config.recipe.class_prompts and (not labels or data.is_multilabel):
        problems.append("recipe.class_prompts: every picture must have one label")
    return data, problems


def refuse(problems: Sequence[str]) -> None:
    """Raises TrainingError with all the problems, if there are any."""
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        raise TrainingError(
            f"{len(problems):,} {noun} with the training data:",
            problems=tuple(problems),
            hint="nothing was trained; mend them and try again",
        )


def read_source(source: Source) -> tuple[list[Pair], list[str]]:
    """The pairs of one source, and every problem with it."""
    match source:
        case ManifestSource():
            return _from_manifest(source)
        case TsvSource():
            pairs, problems = read_tables(source.images, source.texts)
            return [Pair(place=one.place, picture=one.picture, labels=(one.class_name,)) for one in pairs], problems
        case FolderSource():
            return _from_folder(source.folder)


def _from_manifest(source: ManifestSource) -> tuple[list[Pair], list[str]]:
    text = source.text_column
    try:
        manifest = read_manifest(
            source.manifest, label_column=None if text else source.label_column, path_column=source.path_column
        )
    except ManifestError as error:
        return [], [f"{source.manifest}: {problem}" for problem in error.problems]
    examples = [one for one in manifest.examples if source.split is None or one.split == source.split]
    if not examples:
        return [], [f"{source.manifest}: no row of the split {source.split!r}"]
    if text and text not in examples[0].columns:
        return [], [f"{source.manifest}: no column `{text}`; there are {', '.join(examples[0].columns)}"]
    pairs = [
        Pair(
            place=f"{source.manifest}, row {example.row}",
            picture=example.path,
            labels=example.labels,
            text=example.columns[text] if text else None,
            patient=example.patient,
        )
        for example in examples
    ]
    return pairs, [f"{pair.place}: no text in column `{text}`" for pair in pairs if pair.text == ""]


def _from_folder(folder: Path) -> tuple[list[Pair], list[str]]:
    """Files of `folder/LABEL/…`, at any depth; files and folders whose names begin with a dot are left out."""
    if not folder.is_dir():
        return [], [f"{folder}: no such folder"]
    pairs: list[Pair] = []
    problems: list[str] = []
    for home in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        files = sorted(path for path in home.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(home)))
        if not files:
            problems.append(f"{home}: no picture of this label")
        pairs += [Pair(place=str(file), picture=file, labels=(home.name,)) for file in files]
    if not pairs and not problems:
        problems.append(f"{folder}: no subfolder that could be a label")
    return pairs, problems


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _label_problems(labels: Sequence[str], pairs: list[Pair], validation: list[Pair], *, given: bool) -> list[str]:
    """Labels that are not among `labels`, with what may have been meant, and those without a picture."""
    problems: list[str] = []
    for pair in (*pairs, *validation):
        for label in pair.labels:
            if label not in labels:
                near = difflib.get_close_matches(label, labels, n=1)
                meant = f": {near[0]!r} may be meant" if near else ""
                whose = "the labels of the configuration" if given else "those trained on"
                problems.append(f"{pair.place}: the label {label!r} is not among {whose}{meant}")
    counts = Counter(label for pair in pairs for label in pair.labels)
    problems += [f"the label {label!r} has no picture to train on" for label in labels if not counts[label]]
    return problems


def _leaks(pairs: list[Pair], validation: list[Pair]) -> list[str]:
    """Patients, and pictures, that are both trained on and measured on; named by row, never by the patient."""
    first = {pair.patient: pair.place for pair in reversed(pairs) if pair.patient}
    problems = [
        f"{pair.place}: its patient is also trained on ({first[pair.patient]})"
        for pair in validation
        if pair.patient in first
    ]
    places = {_place(pair.picture): pair.place for pair in pairs} if validation else {}
    for pair in validation:
        trained = places.get(_place(pair.picture))
        if trained is not None and pair.patient not in first:
            problems.append(f"{pair.place}: the same picture is also trained on ({trained})")
    return problems


def _place(picture: Path | TsvPicture) -> tuple[Path, int]:
    """Where a picture lies, however it is spelt: its file without links and `..`, and how far into it."""
    if isinstance(picture, TsvPicture):
        return picture.file.resolve(), picture.offset
    return picture.resolve(), 0


def _template_problems(templates: Sequence[str], labels: Sequence[str]) -> list[str]:
    try:
        fill(templates, labels)
    except TextError as error:
        return [f"templates: {error}"]
    return []


def _name(source: Source) -> str:
    match source:
        case ManifestSource():
            return str(source.manifest)
        case TsvSource():
            return str(source.images)
        case FolderSource():
            return str(source.folder)
