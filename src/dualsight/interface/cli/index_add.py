"""`dualsight index add`: pictures and texts into an index, here or on a Ray cluster."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dualsight.interface.cli.deidentify import Deidentify, hide_errors, read_key_if
from dualsight.interface.cli.exits import FAILURE
from dualsight.interface.cli.options import (
    Db,
    Device,
    ModelName,
    Mpp,
    PlaneName,
    Pool,
    Precision,
    SquarePixels,
    StepMm,
    TilePx,
    WindowName,
    open_model,
    read_lines,
    read_reading,
)
from dualsight.interface.cli.stderr import show_error, show_line, show_progress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from dualsight.store.add import Event

IndexPer = Annotated[
    Literal["image", "frame", "series", "study", "volume"],
    typer.Option(
        help="what a row stands for: a file, each frame of it, the series or study of DICOM files, or each slice of a "
        "volume and all of them together"
    ),
]
IndexEngine = Annotated[
    Literal["auto", "torch", "openvino", "onnxruntime", "ray"],
    typer.Option("--engine", help="who computes: as for `embed`, or the machines of a Ray cluster"),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="of a running Ray cluster; without it that of RAY_ADDRESS, or else one on this machine for the time",
        show_default=False,
    ),
]


def add(
    db: Db,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGES…",
            help="as for `embed`; of a .csv with a column `path`, the other columns are kept",
            show_default=False,
        ),
    ] = None,
    texts: Annotated[Path | None, typer.Option("--texts", metavar="FILE", help="texts as well, one a line")] = None,
    per: IndexPer = "image",
    pool: Pool = "mean",
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="NAME", help="of a .csv keep this column only; may be repeated"),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="drop what none of IMAGES holds any more: name all of them")
    ] = False,
    window: WindowName = "auto",
    square_pixels: SquarePixels = False,
    plane: PlaneName = None,
    step_mm: StepMm = None,
    tile_px: TilePx = 480,
    mpp: Mpp = None,
    deidentify: Deidentify = False,
    model: ModelName = "demo",
    engine: IndexEngine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
    address: Address = None,
) -> None:
    """Embed what the index lacks, and add it. It may be stopped at any moment, and goes on when it is run again.

    \b
    Example:
      dualsight index add archive/ --db archive.db --per volume
    """
    if not sources and texts is None:
        raise typer.BadParameter("name pictures, or texts with --texts", param_hint="IMAGES…")
    if address is not None and engine != "ray":
        raise typer.BadParameter("only a Ray cluster has an address: --engine ray", param_hint="--address")
    if engine == "ray" and (precision is not None or device != "cpu"):
        raise typer.BadParameter("each machine of a Ray cluster computes as it can", param_hint="--precision, --device")
    reading = read_reading(window, square_pixels, plane, step_mm, tile_px, mpp)
    key = read_key_if(deidentify)
    lines = read_lines(texts, "--texts") if texts is not None else []

    from dualsight.store.index import Index
    from dualsight.store.ray.cluster import Cluster
    from dualsight.store.report import Tally
    from dualsight.store.settings import Settings

    settings = Settings(per=per, pool=pool, reading=reading)
    cluster = Cluster(address=address) if engine == "ray" else None
    index = Index.open(db, model=model if engine == "ray" else open_model(model, engine, precision, device))
    if cluster is not None and (notice := index.model.notice):
        show_line(notice)
    adding = index.iter_add(
        sources or (), texts=lines, settings=settings, columns=column, key=key, prune=prune, cluster=cluster
    )
    tally, pruned = Tally(), [0]
    with hide_errors(key), redirect_stdout(sys.stderr):  # Ray speaks on stdout, which is for data
        for event in show_progress(_returning(adding, pruned), "adding"):
            tally.count(event)
            _show(event)
    counts = f"{tally.n_added:,} added as {tally.n_rows:,} rows, {tally.n_present:,} there before"
    show_line(f"{counts}{f', {pruned[0]:,} rows dropped' if prune else ''}; {len(index):,} rows are in {db}")
    if tally.failed or not (tally.n_added or tally.n_present):
        if not tally.failed:
            show_error("nothing found to add")
        raise typer.Exit(FAILURE)


def _returning(adding: Generator[Event, None, int], pruned: list[int]) -> Iterator[Event]:
    """The events; what the generator returns is put into `pruned`."""
    pruned[0] = yield from adding


def _show(event: Event) -> None:
    from dualsight.image.source import Skipped
    from dualsight.task.embed import Failed

    match event:
        case Skipped():
            show_line(f"skipped {event.name}: {event.reason}")
        case Failed():
            show_error(str(event.error), event.error.hint)
        case _:  # what was added, or there before, is only counted
            pass
