"""`dualsight demo`: the main job out of the box, on pictures whose truth is known and on real ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dualsight.interface.cli.exits import FAILURE
from dualsight.interface.cli.options import ModelName, open_model
from dualsight.interface.cli.stderr import show_error, show_line, show_progress, waiting
from dualsight.interface.whole_file import make_folder, whole_file

if TYPE_CHECKING:
    from dualsight.interface.cli.demo_cases import Answer, Case
    from dualsight.task.model import Model

SAMPLES = Path("samples")
OUTSIDE = "real pictures: the demonstration model was trained on phantoms only, so these are outside what it knows"


def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="for the plot and the numbers")
    ] = Path("demo-output"),
    model: ModelName = "demo",
) -> None:
    """Ask the model about phantoms with known answers, and about the real pictures in samples/ if that is here.

    \b
    Example:
      dualsight demo
    """
    make_folder(output)
    encoder = open_model(model)
    with waiting("drawing phantoms"):
        from dualsight.interface.cli import demo_cases

        known = [*demo_cases.drawn_cases(), *demo_cases.phantom_files(SAMPLES)]
        real = list(demo_cases.real_files(SAMPLES))
    typer.echo(f"model {encoder.name} ({encoder.engine.name})\n")
    answers = _answers(encoder, [*known, *real])
    _tell(answers)
    _write_numbers(encoder, answers, output / "predictions.json")
    _plot(encoder, answers, output / "predictions.png")
    if len(answers) < len(known) + len(real):
        raise typer.Exit(FAILURE)


def _answers(model: Model, cases: Sequence[Case]) -> list[Answer]:
    from dualsight.interface.cli.demo_cases import Answer, ask

    answers: list[Answer] = []
    for answer in show_progress(ask(model, cases), "looking at pictures", total=len(cases)):
        if isinstance(answer, Answer):
            answers.append(answer)
        else:
            show_error(str(answer.error), answer.error.hint)
    return answers


def _tell(answers: Sequence[Answer]) -> None:
    known = [answer for answer in answers if answer.case.truth is not None]
    real = [answer for answer in answers if answer.case.truth is None]
    typer.echo("phantoms of patients never trained on: the right answers are known")
    for answer in known:
        typer.echo(f"  {answer.case.name}")
        typer.echo(f"    {_verdict(answer.modality_right)}  {_most_probable(answer.modality.as_dict(), 1)}")
        if answer.finding is not None:
            typer.echo(f"    {_verdict(answer.finding_right)}  {_most_probable(answer.finding.as_dict(), 2)}")
    typer.echo(f"{_count(known)}\n")
    if not real:
        typer.echo(f"no real pictures: there is no {SAMPLES / 'real'}/ in the working directory")
        return
    typer.echo(OUTSIDE)
    for answer in real:
        typer.echo(f"  {answer.case.name}\n    {_most_probable(answer.modality.as_dict(), 3)}")


def _verdict(right: bool | None) -> str:
    return "right" if right else "WRONG"


def _most_probable(probabilities: dict[str, float], n: int) -> str:
    return ", ".join(f"{label} {probability:.2f}" for label, probability in islice(probabilities.items(), n))


def _count(known: Sequence[Answer]) -> str:
    modalities = sum(answer.modality_right is True for answer in known)
    findings = sum(answer.finding_right is True for answer in known)
    return f"right: {modalities} of {len(known)} modalities, {findings} of {len(known)} findings (their modality given)"


def _write_numbers(model: Model, answers: Sequence[Answer], path: Path) -> None:
    with waiting("computing the model's fingerprint"):
        document = {
            "model": model.name,
            "fingerprint": model.fingerprint,
            "engine": model.engine.name,
            "notice": model.notice,
            "known": [_row(answer) for answer in answers if answer.case.truth is not None],
            "real": [_row(answer) for answer in answers if answer.case.truth is None],
            "about_real": OUTSIDE,
        }
    with whole_file(path) as file:
        file.write(json.dumps(document, indent=2, ensure_ascii=False).encode())
    show_line(f"the numbers are in {path}")


def _row(answer: Answer) -> dict[str, Any]:
    row: dict[str, Any] = {"picture": answer.case.name, "modality": answer.modality.as_dict()}
    truth = answer.case.truth
    if truth is not None:
        row["finding"] = None if answer.finding is None else answer.finding.as_dict()
        row["truth"] = {"modality": f"{truth.modality.name} {truth.modality.anatomy}", "finding": truth.finding}
        row["right"] = {"modality": answer.modality_right, "finding": answer.finding_right}
    return row


def _plot(model: Model, answers: Sequence[Answer], path: Path) -> None:
    try:
        import_module("matplotlib")
    except ModuleNotFoundError:
        show_line("no plot: matplotlib is not installed; pip install 'dualsight[plot]' installs it")
        return
    with waiting("plotting"):
        from dualsight.interface.cli.demo_plot import plot

        plot(answers, f"{model.name}: {model.notice}" if model.notice else model.name, path)
    show_line(f"the plot is in {path}")
