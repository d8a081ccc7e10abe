"""`dualsight embed` and `embed-text`: vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dualsight.interface.cli.deidentify import Deidentify, hide_results, read_key_if
from dualsight.interface.cli.exits import FAILURE
from dualsight.interface.cli.options import (
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
    count_results,
    find_images,
    narrow_sources,
    open_model,
    read_reading,
)
from dualsight.interface.cli.result_row import INTEGERS, TEXTS, describe_origin, model_origin
from dualsight.interface.cli.stderr import show_error, show_line, show_progress
from dualsight.interface.whole_file import check_place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dualsight.task.model import BatchSize

SUFFIXES = (".npz", ".parquet", ".safetensors")


def embed(
    images: Images,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="a .npz, .parquet or .safetensors")],
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
    batch_size: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="pictures encoded at a time; auto: the quickest that fits into half of the free memory, measured once",
        ),
    ] = "8",
) -> None:
    """Embeddings of pictures, written to a file with their sources, UIDs and the model's fingerprint.

    \b
    Example:
      dualsight embed DICOMDIR -o series.parquet --per series
    """
    _check_output(output)
    if batch_size != "auto" and not (batch_size.isdecimal() and int(batch_size)):
        raise typer.BadParameter(f"{batch_size!r} is neither a number from 1 on nor auto", param_hint="--batch-size")
    reading = read_reading(window, square_pixels, plane, step_mm, tile_px, mpp)
    key = read_key_if(deidentify)
    images = narrow_sources(images, study, series)
    encoder = open_model(model, engine, precision, device)

    import numpy as np

    from dualsight.interface.cli.vector_file import VectorTable, write_vectors
    from dualsight.task.embed import Failed

    vectors: list[NDArray[np.float32]] = []
    rows: list[dict[str, Any]] = []
    failed = 0
    pictures = find_images(images, key)
    size: BatchSize = "auto" if batch_size == "auto" else int(batch_size)
    stream = encoder.embed(pictures, per=per, pool=pool, reading=reading, batch_size=size)
    for item in show_progress(hide_results(stream, key), "embedding", total=count_results(images, per)):
        if isinstance(item, Failed):
            failed += 1
            show_error(str(item.error), item.error.hint)
        else:
            vectors.append(item.vector)
            rows.append(describe_origin(item))
    if vectors:
        table = VectorTable(
            vectors=np.stack(vectors),
            texts={name: [row[name] for row in rows] for name in TEXTS},
            integers={name: [row[name] for row in rows] for name in INTEGERS},
            metadata=model_origin(encoder),
        )
        write_vectors(table, output)
        show_line(f"{len(vectors):,} vectors of {vectors[0].size:,} numbers are in {output}")
    else:
        show_error("no pictures found" if not failed else "no picture could be embedded: nothing is written")
    if failed or not vectors:
        raise typer.Exit(FAILURE)


def embed_text(
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXTS…", help="each is embedded by itself", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="a .npz, .parquet or .safetensors")
    ] = None,
    as_json: AsJson = False,
    model: ModelName = "demo",
    engine: Engine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
) -> None:
    """Embeddings of texts: to a file, as JSON, or in short to look at.

    \b
    Example:
      dualsight embed-text "mri brain axial t2 brain tumor" "ct abdomen axial ascites" --json
    """
    if output is not None:
        _check_output(output)
    encoder = open_model(model, engine, precision, device)
    vectors = encoder.encode_text(texts)
    if output is not None:
        from dualsight.interface.cli.vector_file import VectorTable, write_vectors

        write_vectors(VectorTable(vectors=vectors, texts={"text": texts}, metadata=model_origin(encoder)), output)
        show_line(f"{len(vectors):,} vectors of {vectors.shape[1]:,} numbers are in {output}")
    if as_json:
        rows = [{"text": text, "vector": vector.tolist()} for text, vector in zip(texts, vectors, strict=True)]
        typer.echo(json.dumps({**model_origin(encoder), "results": rows}, ensure_ascii=False))
    elif output is None:
        for text, vector in zip(texts, vectors, strict=True):
            first = " ".join(f"{number:.4f}" for number in vector[:4])
            typer.echo(f"{text}\n  {first} … ({vector.size:,} numbers, of length 1; all with --json or -o)")


def _check_output(output: Path) -> None:
    """Raises BadParameter for a format that is not written, OutputError for a place that cannot be."""
    if output.suffix.lower() not in SUFFIXES:
        raise typer.BadParameter(f"{output} ends in none of {', '.join(SUFFIXES)}", param_hint="--output")
    check_place(output)
