"""`dualsight adapt train` and `adapt predict`: a small classifier on embeddings, learnt from labelled pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dualsight.interface.cli.deidentify import Deidentify, hide_results, read_key_if
from dualsight.interface.cli.exits import FAILURE
from dualsight.interface.cli.manifest_vectors import vectors_of
from dualsight.interface.cli.options import (
    AsCsv,
    AsJson,
    Device,
    Embeddings,
    Engine,
    Images,
    LabelColumn,
    Manifest,
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
    read_reading,
)
from dualsight.interface.cli.stderr import show_line, waiting
from dualsight.interface.whole_file import check_place

if TYPE_CHECKING:
    from dualsight.learn.adapt.train import Estimate, Trained

commands = typer.Typer(no_args_is_help=True, help="A small classifier on embeddings, learnt from labelled pictures.")


@commands.command("train")
def train(
    manifest: Manifest,
    kind: Annotated[
        Literal["linear", "knn", "mlp", "tip"],
        typer.Option(help="logistic regression, k nearest neighbours, one hidden layer, or Tip-Adapter"),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="a .safetensors")],
    label_column: LabelColumn = "label",
    embeddings: Embeddings = None,
    template: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="of tip: a prompt with {label} in it; several are averaged")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of whatever is left to chance")] = 0,
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
    """Learn labels from embeddings; print figures on held-out examples, and write the adapter with its thresholds.

    \b
    Example:
      dualsight adapt train chest.csv --kind linear -o chest.safetensors
    """
    if output.suffix.lower() != ".safetensors":
        raise typer.BadParameter(f"{output} does not end in .safetensors", param_hint="--output")
    if template and kind != "tip":
        raise typer.BadParameter("only tip reads words", param_hint="--template")
    check_place(output)
    reading = read_reading(window, square_pixels, plane, step_mm, tile_px, mpp)

    from dualsight.errors import ManifestError
    from dualsight.learn.adapt import save_adapter, train_adapter
    from dualsight.learn.manifest import read_manifest

    examples = read_manifest(manifest, label_column=label_column)
    encoder = open_model(model, engine, precision, device)
    embedded = vectors_of(encoder, embeddings, reading)(examples)
    if not len(embedded.vectors):
        raise ManifestError(f"{manifest}: none of its {len(embedded.failed)} pictures can be used")
    with waiting("learning"):
        trained = train_adapter(encoder, embedded, kind, seed=seed, templates=template or ("{label}",))
    save_adapter(trained.adapter, output)
    for line in _describe(trained):
        typer.echo(line)
    show_line(f"the adapter is in {output}")
    if embedded.failed:
        raise typer.Exit(FAILURE)


def _describe(trained: Trained) -> Iterator[str]:
    held, adapter = trained.held_out, trained.adapter
    yield (
        f"learnt from {trained.n_train:,} examples; measured on {held.n:,} held-out ones of {held.patients:,} patients "
        "(95 % intervals: bootstrap over patients)"
    )
    if held.accuracy is not None:
        yield f"  accuracy  {_interval(held.accuracy)}"
    if held.mean_auc is not None:
        yield f"  mean AUC  {_interval(held.mean_auc)}"
    yield f"  {'AUC':>8}  {'youden':>8}  {'sens90':>8}  label"
    for label, auc in held.auc.items():
        cuts = adapter.thresholds.get(label)
        figures = (auc, cuts and cuts.youden, cuts and cuts.sens90)
        yield "  " + "  ".join(f"{'–' if figure is None else f'{figure:.3f}':>8}" for figure in figures) + f"  {label}"
    if None in held.auc.values() or len(adapter.thresholds) < len(adapter.labels):
        yield "  –: all or none of the held-out examples have the label"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f} (no interval: too few patients)"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


@commands.command("predict")
def predict(
    images: Images,
    adapter: Annotated[Path, typer.Option(metavar="FILE", help="what `adapt train` wrote")],
    top: Annotated[int | None, typer.Option(min=1, help="only the N most probable labels")] = None,
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
    """Probabilities of an adapter's labels for pictures, and whether they reach its thresholds. Never a diagnosis.

    above_youden is the cut to rule in (greatest sensitivity + specificity), above_sens90 the one to rule out: below it
    lie a tenth of the positives at most, as far as the held-out examples told.

    \b
    Example:
      dualsight adapt predict new/ --adapter chest.safetensors --json
    """
    check_one_of(as_json, as_csv)
    reading = read_reading(window, square_pixels, plane, step_mm, tile_px, mpp)
    key = read_key_if(deidentify)
    images = narrow_sources(images, study, series)

    from dualsight.interface.cli.adapt_rows import CsvRows, JsonRows, TextRows
    from dualsight.interface.cli.classify_rows import show_rows
    from dualsight.learn.adapt import load_adapter

    learnt = load_adapter(adapter)
    encoder = open_model(model, engine, precision, device)
    stream = learnt.iter_predict(encoder, find_images(images, key), per=per, pool=pool, reading=reading)
    multilabel = learnt.is_multilabel
    rows = JsonRows(encoder, multilabel, top) if as_json else CsvRows(top) if as_csv else TextRows(top, per)
    show_rows(hide_results(stream, key), rows, "predicting", total=count_results(images, per))
