"""`dualsight evaluate`: how far a model can be trusted on your own labelled pictures."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dualsight.interface.cli.exits import FAILURE
from dualsight.interface.cli.manifest_vectors import vectors_of
from dualsight.interface.cli.options import (
    Device,
    Embeddings,
    Engine,
    LabelColumn,
    Manifest,
    ModelName,
    Mpp,
    PlaneName,
    Precision,
    SquarePixels,
    StepMm,
    TilePx,
    WindowName,
    open_model,
    read_reading,
)
from dualsight.interface.cli.stderr import show_line, waiting
from dualsight.interface.whole_file import check_folder, make_folder, whole_file

if TYPE_CHECKING:
    from dualsight.learn.evaluate.report import Evaluation, MethodName


def evaluate(
    manifest: Manifest,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="for report.html, report.json, thresholds.json")
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="zero-shot|knn|adapter",
            help="what to compare; may be repeated; zero-shot without it",
            show_default=False,
        ),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(metavar="FILE", help="of the method adapter: what `adapt train` wrote")
    ] = None,
    template: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="a prompt with {label} in it; several are averaged")
    ] = None,
    specificity: Annotated[float, typer.Option(metavar="SHARE", help="at which sensitivity is told")] = 0.9,
    threshold: Annotated[
        Literal["youden", "f1", "specificity"], typer.Option(help="which one `classify --thresholds` applies")
    ] = "youden",
    subgroup: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="figures for each value of it, such as sex or device")
    ] = None,
    caption_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="texts that retrieval asks with", show_default=False)
    ] = None,
    label_column: LabelColumn = "label",
    embeddings: Embeddings = None,
    window: WindowName = "auto",
    square_pixels: SquarePixels = False,
    plane: PlaneName = None,
    step_mm: StepMm = None,
    tile_px: TilePx = 480,
    mpp: Mpp = None,
    model: ModelName = "demo",
    engine: Engine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
) -> None:
    """Measure a model on labelled pictures: AUC, thresholds, calibration, subgroups, in one report. Never a diagnosis.

    With a column `split`, test is measured, val gives thresholds and calibration, and train is what k-NN knows.

    \b
    Example:
      dualsight evaluate chest.csv --template "x-ray chest anteroposterior {label}" --subgroup sex -o report
    """
    methods = _read_methods(method)
    if ("adapter" in methods) != (adapter is not None):
        raise typer.BadParameter("--method adapter and --adapter FILE go together", param_hint="--adapter")
    reading = read_reading(window, square_pixels, plane, step_mm, tile_px, mpp)
    check_folder(output)
    with waiting("reading the table"):
        from dualsight.learn.adapt import load_adapter
        from dualsight.learn.evaluate.evaluation import evaluate as measure
        from dualsight.learn.evaluate.report import Plan
        from dualsight.learn.manifest import read_manifest

        plan = Plan(
            methods=methods,
            templates=tuple(template or ("{label}",)),
            specificity=specificity,
            rule=threshold,
            subgroups=tuple(subgroup or ()),
            caption_column=caption_column,
        )
        examples = read_manifest(manifest, label_column=label_column)
        learnt = None if adapter is None else (adapter.name, load_adapter(adapter))
    encoder = open_model(model, engine, precision, device)
    embed = vectors_of(encoder, embeddings, reading)
    date = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    found = measure(encoder, examples, plan, embed=embed, date=date, adapter=learnt)
    _write(found, output)
    _print(found)
    show_line(f"the report is {output / 'report.html'}")
    if found.failed:
        raise typer.Exit(FAILURE)


def _read_methods(names: list[str] | None) -> tuple[MethodName, ...]:
    """Raises BadParameter for an unknown one."""
    known: dict[str, MethodName] = {"zero-shot": "zero-shot", "knn": "knn", "adapter": "adapter"}
    for name in names or ():
        if name not in known:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="--method")
    return tuple(known[name] for name in names or ("zero-shot",))


def _write(found: Evaluation, folder: Path) -> None:
    """Raises OutputError."""
    from dualsight.interface.evaluation_page.write import html_page

    make_folder(folder)
    files = {"report.html": html_page(found), "report.json": found.to_json()}
    if found.thresholds is not None:
        files["thresholds.json"] = found.thresholds.to_json()
    for name, text in files.items():
        with whole_file(folder / name) as file:
            file.write(text.encode())


def _print(found: Evaluation) -> None:
    """The summary, on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{found.n:,} pictures of {found.patients:,} patients, split {found.split}", title_justify="left"
    )
    for head in ("method", "mean AUC", "95 % interval", "mean AP", "accuracy", "calibration error"):
        table.add_column(head, justify="left" if head == "method" else "right")
    for one in found.methods:
        auc = one.mean_auc
        table.add_row(
            one.method,
            _three(auc.value),
            "–" if auc.low is None else f"{auc.low:.3f} to {auc.high:.3f}",
            _three(one.mean_average_precision.value),
            _three(one.top.accuracy if one.top else None),
            _three(one.calibration.plain.error),
        )
    Console(highlight=False, markup=False, emoji=False).print(table)
    for one in found.methods:
        for label in one.labels:
            if label.auc.reason:
                typer.echo(f"{one.method}: no figures for {label.label}: {label.auc.reason}")
    if found.caution:
        show_line(f"note: {found.caution}")


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
