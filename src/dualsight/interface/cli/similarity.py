"""`dualsight similarity`: how close pictures and texts are to each other."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dualsight.interface.cli.deidentify import Deidentify, hide_results, read_key_if
from dualsight.interface.cli.exits import FAILURE
from dualsight.interface.cli.options import (
    AsCsv,
    AsJson,
    Device,
    Engine,
    ModelName,
    Mpp,
    PlaneName,
    Precision,
    SquarePixels,
    StepMm,
    TilePx,
    WindowName,
    check_one_of,
    find_images,
    open_model,
    read_reading,
)
from dualsight.interface.cli.result_row import model_origin
from dualsight.interface.cli.stderr import show_error, show_progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def similarity(
    image: Annotated[list[str] | None, typer.Option(metavar="IMAGE", help="a picture; may be repeated")] = None,
    text: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="a text; may be repeated")] = None,
    window: WindowName = "auto",
    square_pixels: SquarePixels = False,
    plane: PlaneName = None,
    step_mm: StepMm = None,
    tile_px: TilePx = 480,
    mpp: Mpp = None,
    deidentify: Deidentify = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    model: ModelName = "demo",
    engine: Engine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
) -> None:
    """Cosines of pictures (rows) with texts (columns), or of each with each other where only one kind is given.

    A picture that cannot be used is named on stderr, and has no row.

    \b
    Example:
      dualsight similarity --image chest.dcm --text "x-ray chest" --text "mri brain"
    """
    if not image and not text:
        raise typer.BadParameter("give --image, --text or both", param_hint="--image")
    check_one_of(as_json, as_csv)
    reading = read_reading(window, square_pixels, plane, step_mm, tile_px, mpp)
    key = read_key_if(deidentify)
    encoder = open_model(model, engine, precision, device)

    import numpy as np

    from dualsight.task.embed import Failed

    names: list[str] = []
    vectors: list[NDArray[np.float32]] = []
    failed = 0
    stream = encoder.embed(find_images(image or (), key), reading=reading)
    for item in show_progress(hide_results(stream, key), "embedding"):
        if isinstance(item, Failed):
            failed += 1
            show_error(str(item.error), item.error.hint)
        else:
            names.append(item.source)
            vectors.append(item.vector)
    if image and not vectors:
        show_error("no picture could be embedded" if failed else "no pictures found")
        raise typer.Exit(FAILURE)
    sides = [(names, np.stack(vectors))] if image else []
    if text:
        sides.append((text, encoder.encode_text(text)))
    (rows, row_vectors), (columns, column_vectors) = sides[0], sides[-1]
    cosines = row_vectors @ column_vectors.T
    if as_json:
        document = {**model_origin(encoder), "rows": rows, "columns": columns, "cosines": cosines.tolist()}
        typer.echo(json.dumps(document, ensure_ascii=False))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["", *columns])
        writer.writerows([row, *cosine] for row, cosine in zip(rows, cosines.tolist(), strict=True))
    else:
        _print_matrix(rows, columns, cosines)
    if failed:
        raise typer.Exit(FAILURE)


def _print_matrix(rows: Sequence[str], columns: Sequence[str], cosines: NDArray[np.float32]) -> None:
    """A column a text where they fit; the names of columns above, by number, so that long ones do no harm."""
    for number, column in enumerate(columns, start=1):
        typer.echo(f"[{number}] {column}")
    typer.echo("".join(f"{f'[{number}]':>8}" for number in range(1, len(columns) + 1)))
    for row, values in zip(rows, cosines, strict=True):
        typer.echo("".join(f"{value:8.3f}" for value in values) + f"  {row}")
