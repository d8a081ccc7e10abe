"""`dualsight classify`: zero-shot probabilities of labels for pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dualsight.interface.cli.deidentify import Deidentify, hide_results, read_key_if
from dualsight.interface.cli.options import (
    AsCsv,
    AsJson,
    Device,
    Engine,
    Images,
    ModelName,
    Mpp,
    Per,
    PlaneName,
    Pool,
    Precision,
    Series,
    SquarePixels,
    StepMm,
    Study,
    TilePx,
    WindowName,
    check_one_of,
    count_results,
    find_images,
    narrow_sources,
    open_model,
    read_lines,
    read_reading,
)

if TYPE_CHECKING:
    from dualsight.learn.evaluate.thresholds import Thresholds


def classify(
    images: Images,
    labels: Annotated[str | None, typer.Option(metavar="A,B,C", help="what to choose from")] = None,
    labels_file: Annotated[Path | None, typer.Option(metavar="FILE", help="the same, one label a line")] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="a prompt with {label} in it; several are averaged"),
    ] = None,
    multilabel: Annotated[
        bool, typer.Option("--multilabel", help="each label on its own (sigmoid), not one of them (softmax)")
    ] = False,
    top: Annotated[int | None, typer.Option(min=1, help="only the N most probable labels")] = None,
    thresholds: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="what `evaluate` wrote: says which probabilities are above their threshold"),
    ] = None,
    per: Per = "image",
    pool: Pool = "mean",
    window: WindowName = "auto",
    square_pixels: SquarePixels = False,
    plane: PlaneName = None,
    step_mm: StepMm = None,
    tile_px: TilePx = 480,
    mpp: Mpp = None,
    study: Study = None,
    series: Series = None,
    deidentify: Deidentify = False,
    model: ModelName = "demo",
    engine: Engine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Probabilities of labels for pictures, by words alone (zero-shot). Never a diagnosis.

    \b
    Example:
      dualsight classify chest.dcm --labels "pneumonia,no finding" --template "x-ray chest anteroposterior {label}"
    """
    check_one_of(as_json, as_csv)
    names = read_labels(labels, labels_file)
    reading = read_reading(window, square_pixels, plane, step_mm, tile_px, mpp)
    key = read_key_if(deidentify)
    images = narrow_sources(images, study, series)
    templates = tuple(template or ("{label}",))
    chosen = read_chosen(thresholds)
    encoder = open_model(model, engine, precision, device)
    if chosen is not None:
        chosen.check(encoder.fingerprint, names, templates, multilabel)

    from dualsight.interface.cli.classify_rows import CsvRows, JsonRows, TextRows, show_rows

    stream = encoder.iter_classify(
        find_images(images, key),
        names,
        multilabel=multilabel,
        templates=templates,
        per=per,
        pool=pool,
        reading=reading,
    )
    rows = (
        JsonRows(encoder, multilabel, top, chosen)
        if as_json
        else CsvRows(top, chosen)
        if as_csv
        else TextRows(top, per, chosen)
    )
    show_rows(hide_results(stream, key), rows, "classifying", total=count_results(images, per))


def read_chosen(file: Path | None) -> Thresholds | None:
    """The thresholds of a file, if one is given. Raises ConfigError for a file that holds none."""
    if file is None:
        return None
    from dualsight.learn.evaluate.thresholds import read_thresholds

    return read_thresholds(file)


def read_labels(labels: str | None, file: Path | None) -> list[str]:
    """The labels of either option, without blanks around them. Raises BadParameter for none, or both options."""
    if labels is not None and file is None:
        names = [label.strip() for label in labels.split(",")]
        if not all(names):
            raise typer.BadParameter(f"a blank label in {labels!r}", param_hint="--labels")
        return names
    if file is not None and labels is None:
        return _labels_in(file)
    raise typer.BadParameter("give the labels with --labels or with --labels-file", param_hint="--labels")


def _labels_in(file: Path) -> list[str]:
    names = read_lines(file, "--labels-file")
    if not names:
        raise typer.BadParameter(f"{file} has no label in it", param_hint="--labels-file")
    return names
