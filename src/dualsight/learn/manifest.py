"""A CSV table of labelled pictures → checked examples, or the list of everything that is wrong with it.

path,label,patient,split,sex          one line a picture; only the first two columns are needed
a/1.dcm,effusion|oedema,P7,train,F    several labels are joined by "|"; paths are relative to the table
"""

from __future__ import annotations

import csv
import difflib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from dualsight.errors import ManifestError

Split: TypeAlias = Literal["train", "val", "test"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
SEPARATOR = "|"  # between the labels of one picture
TYPO_RATIO = 0.85  # of difflib, from which two labels look alike
TYPO_FREQUENCY = 10  # times as frequent, from which one of two like labels is taken for the other's right spelling
FIELD_CHARACTERS = 1_000_000  # csv stops at 131,072: reports may be longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One labelled picture. row: of the table, whose header is row 1. columns: all of its values, by column name."""

    row: int
    path: Path
    labels: tuple[str, ...]
    patient: str | None
    split: str | None
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Examples in the table's order. labels: all of them, sorted, whatever split they are of.

    is_multilabel: a picture may have several labels, or none; otherwise each has exactly one.
    """

    path: Path
    examples: tuple[Example, ...]
    labels: tuple[str, ...]
    is_multilabel: bool

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that have examples, of train, val and test in this order; empty for a table without splits."""
        present = {example.split for example in self.examples}
        return tuple(split for split in SPLITS if split in present)

    def split(self, name: str) -> Manifest:
        """The examples of one split, with all labels. Raises ManifestError where there are none."""
        examples = tuple(example for example in self.examples if example.split == name)
        if not examples:
            present = ", ".join(self.splits) or "no column `split`"
            raise ManifestError(f"{self.path}: no row of the split {name!r}", hint=f"the table has {present}")
        return replace(self, examples=examples)

    def split_by_patient(self, fraction: float, seed: int) -> tuple[Manifest, Manifest]:
        """All but `fraction` of the patients, and those; a file without a patient is one by itself.

        At least one patient on either side. Raises ManifestError for fewer than two, or a fraction outside 0…1.
        """
        keys = patients_or_files(self.examples)
        patients = list(dict.fromkeys(keys))
        if len(patients) < 2 or not 0 < fraction < 1:
            raise ManifestError(f"{self.path}: {len(patients)} patients cannot be divided by {fraction:g}")
        n_held = min(max(round(fraction * len(patients)), 1), len(patients) - 1)
        held = {patients[i] for i in np.random.default_rng(seed).permutation(len(patients))[:n_held]}
        sides: tuple[list[Example], list[Example]] = ([], [])
        for key, example in zip(keys, self.examples, strict=True):
            sides[key in held].append(example)
        return replace(self, examples=tuple(sides[0])), replace(self, examples=tuple(sides[1]))


def patients_or_files(examples: Sequence[Example]) -> list[str | Path]:
    """Of each example its patient; without one its file, which is then one by itself."""
    files = iter(real_paths([example for example in examples if not example.patient]))
    return [example.patient or next(files) for example in examples]


def real_paths(examples: Sequence[Example]) -> list[Path]:
    """Of each example its file without links and `..`: equal for one file, however it is spelt."""
    real = cache(os.path.realpath)  # a folder once: a table may have a million rows

    def real_path(path: Path) -> Path:
        return Path(os.path.realpath(path)) if path.is_symlink() else Path(real(path.parent), path.name)

    return [real_path(example.path) for example in examples]


def read_manifest(path: Path, *, label_column: str | None = "label", path_column: str = "path") -> Manifest:
    """The table's examples. Columns `patient` and `split` (train, val, test) are read where they are there.

    label_column: None for a table whose pictures have no labels, such as one of captions.

    Raises ManifestError with every problem found: no such column, broken rows, missing files, unknown splits, a patient
    or a file in two splits, a label without an example in a split, a label that looks like a typo of a frequent one.
    """
    problems: list[str] = []
    examples = tuple(_examples(path, label_column, path_column, problems))
    is_multilabel = any(len(example.labels) > 1 for example in examples)
    if examples:
        if label_column and not is_multilabel:
            problems += [f"row {e.row}: no label in column `{label_column}`" for e in examples if not e.labels]
        problems += [*_split_problems(examples), *_leaks(examples), *_typos(examples)]
    elif not problems:
        problems.append("no rows")
    labels = tuple(sorted({label for example in examples for label in example.labels}))
    problems += _empty_classes(examples, labels)
    if problems:
        n = f"{len(problems):,} problem{'s' if len(problems) > 1 else ''}"
        raise ManifestError(
            f"{path}: {n}", problems=tuple(problems), hint="mend the table; rows count from its header, which is row 1"
        )
    return Manifest(path=path, examples=examples, labels=labels, is_multilabel=is_multilabel)


def _examples(path: Path, label_column: str | None, path_column: str, problems: list[str]) -> Iterator[Example]:
    """The rows that can be used; what is wrong with the others is added to `problems`."""
    csv.field_size_limit(FIELD_CHARACTERS)
    row = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, strict=True)
            header = [name.strip() for name in next(rows, [])]
            row = 1
            problems += _header_problems(header, [path_column] + ([label_column] if label_column else []))
            if problems:
                return
            for row, values in enumerate(rows, start=2):
                if not values:
                    continue  # a blank line
                if len(values) != len(header):
                    problems.append(f"row {row}: {len(values)} values for {len(header)} columns")
                    continue
                columns = {name: value.strip() for name, value in zip(header, values, strict=True)}
                example = _example(row, path.parent, columns, label_column, path_column)
                if not columns[path_column]:
                    problems.append(f"row {row}: no path")
                elif not os.path.isfile(example.path):  # noqa: PTH113 - quicker for a million rows
                    problems.append(f"row {row}: no file {columns[path_column]}")
                yield example
    except UnicodeDecodeError:
        problems.append(f"not UTF-8 text, after row {row}")
    except csv.Error as error:
        problems.append(f"row {row + 1}: {error}")
    except OSError as error:
        problems.append(f"cannot be read ({error.strerror or error})")


def _example(row: int, folder: Path, columns: dict[str, str], label_column: str | None, path_column: str) -> Example:
    words = columns[label_column].split(SEPARATOR) if label_column else []
    labels = (label.strip() for label in words)
    return Example(
        row=row,
        path=folder / columns[path_column],
        labels=tuple(dict.fromkeys(label for label in labels if label)),
        patient=columns.get("patient") or None,
        split=columns.get("split") or None,
        columns=columns,
    )


def _header_problems(header: list[str], needed: list[str]) -> Iterator[str]:
    if not header:
        yield "empty"
        return
    for name in needed:
        if name not in header:
            yield f"no column `{name}`; there are {', '.join(header)}"
    for name, count in Counter(header).items():
        if count > 1:
            yield f"{count} columns are called `{name}`"


def _split_problems(examples: tuple[Example, ...]) -> Iterator[str]:
    """Unknown splits, and rows without one where others have one."""
    if all(example.split is None for example in examples):
        return
    for example in examples:
        if example.split is None:
            yield f"row {example.row}: no split, where other rows have one"
        elif example.split not in SPLITS:
            yield f"row {example.row}: split {example.split!r} is none of {', '.join(SPLITS)}"


def _leaks(examples: tuple[Example, ...]) -> Iterator[str]:
    """Patients and files in two splits, told by rows: a patient's number is not for messages."""
    for what, keys in (
        ("one patient", [example.patient for example in examples]),
        ("one file", real_paths(examples)),
    ):
        first: dict[tuple[str | Path, str], int] = {}  # (patient or file, split) → its first row
        homes: dict[str | Path, list[str]] = {}  # patient or file → its splits
        for key, example in zip(keys, examples, strict=True):
            if key is not None and example.split in SPLITS and (key, example.split) not in first:
                first[key, example.split] = example.row
                homes.setdefault(key, []).append(example.split)
        for key, splits in homes.items():
            if len(splits) > 1:
                where = " and ".join(f"{split} (row {first[key, split]})" for split in splits)
                yield f"{what} in the splits {where}"


def _empty_classes(examples: tuple[Example, ...], labels: tuple[str, ...]) -> Iterator[str]:
    present = {(label, example.split) for example in examples for label in example.labels}
    for split in SPLITS:
        if any(example.split == split for example in examples):
            yield from (f"no {label!r} in the split {split}" for label in labels if (label, split) not in present)


def _typos(examples: tuple[Example, ...]) -> Iterator[str]:
    """Rare labels that look like frequent ones. Labels whose numbers differ (grade 1, grade 2) are none."""
    counts = Counter(label for example in examples for label in example.labels)
    rows = {label: example.row for example in reversed(examples) for label in example.labels}
    for label, count in counts.items():
        frequent = {
            other.casefold(): other
            for other, n in counts.items()
            if n >= TYPO_FREQUENCY * count and other != label and _digits(other) == _digits(label)
        }
        for near in difflib.get_close_matches(label.casefold(), frequent, n=1, cutoff=TYPO_RATIO):
            other = frequent[near]
            yield f"row {rows[label]}: label {label!r} ({count}) looks like {other!r} ({counts[other]})"


def _digits(label: str) -> str:
    return "".join(character for character in label if character.isdigit())
