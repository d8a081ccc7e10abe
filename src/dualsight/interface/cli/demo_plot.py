"""The demonstration's answers as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualsight.image.frame import Frame
from dualsight.interface.cli.demo_cases import Answer
from dualsight.interface.whole_file import whole_file
from dualsight.task.classify import Classification

COLUMNS = 6
SHOWN = 3  # most probable labels under a picture
CELL_INCHES = (2.6, 3.6)
RIGHT, WRONG, UNKNOWN = "#2a7f3f", "#b3402e", "#5a6472"


def plot(answers: Sequence[Answer], heading: str, path: Path) -> None:
    """Each picture above its most probable labels: of a phantom the findings, of a real picture the modalities.

    Raises OutputError.
    """
    rows = -(-len(answers) // COLUMNS)
    figure = Figure(figsize=(COLUMNS * CELL_INCHES[0], rows * CELL_INCHES[1] + 0.6), dpi=80, layout="constrained")
    figure.suptitle(heading, fontsize=11)
    axes = figure.subplots(2 * rows, COLUMNS, height_ratios=[3, 1] * rows, squeeze=False)
    for cell in axes.flat:
        cell.set_axis_off()
    for number, answer in enumerate(answers):
        row, column = divmod(number, COLUMNS)
        _picture(axes[2 * row, column], answer)
        _bars(axes[2 * row + 1, column], answer)
    with whole_file(path) as file:
        figure.savefig(file, format="png")


def _picture(axes: Axes, answer: Answer) -> None:
    picture = answer.case.picture
    frame = picture if isinstance(picture, Frame) else next(picture.frames())
    axes.imshow(frame.pixels)
    axes.set_title(_caption(answer), fontsize=7, color=_colour(answer.modality_right), wrap=True)


def _caption(answer: Answer) -> str:
    truth = answer.case.truth
    if truth is None:
        return f"{Path(answer.case.name).name}\nreal: outside the training"
    said = "" if answer.modality_right else f"\ntaken for {answer.modality.top}"
    return f"{truth.modality.name} {truth.modality.anatomy}\n{truth.finding}{said}"


def _bars(axes: Axes, answer: Answer) -> None:
    result: Classification = answer.finding or answer.modality
    for place, (label, probability) in enumerate(islice(result.as_dict().items(), SHOWN)):
        right = answer.finding_right if place == 0 else None
        verdict = "" if right is None else ", right" if right else ", wrong"
        axes.barh(-place, probability, height=0.8, color=_colour(right), alpha=0.5)
        axes.text(0.01, -place, f"{label} {probability:.2f}{verdict}", va="center", fontsize=7)
    axes.set_xlim(0, 1)


def _colour(right: bool | None) -> str:
    return UNKNOWN if right is None else RIGHT if right else WRONG
