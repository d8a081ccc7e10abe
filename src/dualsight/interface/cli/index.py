"""`dualsight index …`: an archive's vectors in a folder, kept up to date, checked and shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dualsight.interface.cli.deidentify import Deidentify, hide_errors, read_key_if
from dualsight.interface.cli.exits import FAILURE
from dualsight.interface.cli.options import (
    AsJson,
    ModelName,
    Mpp,
    PlaneName,
    Pool,
    SquarePixels,
    StepMm,
    TilePx,
    WindowName,
    open_model,
    read_reading,
)
from dualsight.interface.cli.stderr import show_error, show_line, show_progress, waiting
from dualsight.interface.cli.whole_file import check_place, whole_file

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from dualsight.store.add import Event
    from dualsight.store.check import Recall
    from dualsight.store.index import Index

commands = typer.Typer(
    help="An archive's vectors in a folder: add to it, look after it, see it as a map.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Db = Annotated[Path, typer.Option("--db", metavar="DIR", help="the folder that the index is in")]
IndexPer = Annotated[
    Literal["image", "frame", "series", "study", "volume"],
    typer.Option(
        help="what a row stands for: a file, each frame of it, the series or study of DICOM files, or each slice of a "
        "volume and all of them together"
    ),
]

Where = Annotated[str, typer.Option(metavar="FILTER", help="only rows such as \"modality = 'CT' and age > 60\"")]


@commands.command()
def add(
    db: Db,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCES…",
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
        bool, typer.Option("--prune", help="drop what none of SOURCES holds any more: name all of them")
    ] = False,
    window: WindowName = "auto",
    square_pixels: SquarePixels = False,
    plane: PlaneName = None,
    step_mm: StepMm = None,
    tile_px: TilePx = 480,
    mpp: Mpp = None,
    deidentify: Deidentify = False,
    model: ModelName = "demo",
) -> None:
    """Embed what the index lacks, and add it. It may be stopped at any moment, and goes on when it is run again.

    \b
    Example:
      dualsight index add archive/ --db archive.db --per volume
    """
    if not sources and texts is None:
        raise typer.BadParameter("name pictures, or texts with --texts", param_hint="SOURCES…")
    reading = read_reading(window, square_pixels, plane, step_mm, tile_px, mpp)
    key = read_key_if(deidentify)
    lines = _lines(texts) if texts is not None else []

    from dualsight.store.index import Index
    from dualsight.store.report import Tally
    from dualsight.store.settings import Settings

    settings = Settings(per=per, pool=pool, reading=reading)
    index = Index.open(db, model=open_model(model))
    adding = index.iter_add(sources or (), texts=lines, settings=settings, columns=column, key=key, prune=prune)
    tally, pruned = Tally(), [0]
    with hide_errors(key):
        for event in show_progress(_returning(adding, pruned), "adding"):
            tally.count(event)
            _show(event)
    counts = f"{tally.n_added:,} added as {tally.n_rows:,} rows, {tally.n_present:,} there before"
    show_line(f"{counts}{f', {pruned[0]:,} rows dropped' if prune else ''}; {len(index):,} rows are in {db}")
    if tally.failed or not (tally.n_added or tally.n_present):
        if not tally.failed:
            show_error("nothing found to add")
        raise typer.Exit(FAILURE)


@commands.command()
def info(db: Db, as_json: AsJson = False) -> None:
    """What the index holds, and whose vectors they are.

    \b
    Example:
      dualsight index info --db archive.db
    """
    import json

    found = _open(db).info()
    if as_json:
        origin = {"model": found.about.model, "fingerprint": found.about.fingerprint}
        counts = {"rows": found.n_rows, "kinds": found.kinds, "dimensions": found.about.dimensions}
        state = {"version": found.version, "bytes": found.n_bytes, "approximate": found.is_approximate}
        names = {"user_columns": found.user_columns, "deidentified": found.about.key_check is not None}
        typer.echo(json.dumps({**origin, **counts, **state, **names}, ensure_ascii=False))
        return
    kinds = ", ".join(f"{n:,} of kind {kind}" for kind, n in found.kinds.items())
    typer.echo(f"{found.n_rows:,} rows{f': {kinds}' if kinds else ''}")
    about = found.about
    typer.echo(f"model {about.model}, fingerprint {about.fingerprint[:16]}…, vectors of {about.dimensions} numbers")
    typer.echo(f"own columns: {', '.join(found.user_columns) or 'none'}")
    typer.echo(f"names and UIDs: {'keyed hashes' if about.key_check else 'plain'}")
    typer.echo(f"version {found.version}, {found.n_bytes / 2**20:,.1f} MiB on disk")
    how = f"approximate, {found.n_unindexed:,} rows not covered yet" if found.is_approximate else "exact"
    typer.echo(f"search: {how}")


@commands.command()
def export(db: Db, output: Annotated[Path, typer.Argument(metavar="FILE.parquet", show_default=False)]) -> None:
    """Write all rows with their vectors as Parquet, a batch at a time.

    \b
    Example:
      dualsight index export vectors.parquet --db archive.db
    """
    if output.suffix.lower() != ".parquet":
        raise typer.BadParameter(f"{output} does not end in .parquet", param_hint="FILE.parquet")
    check_place(output)
    index = _open(db)

    from pyarrow import parquet

    with whole_file(output) as file, parquet.ParquetWriter(file, index.schema) as writer:
        for batch in show_progress(index.batches(), "exporting"):
            writer.write_batch(batch)
    show_line(f"{len(index):,} rows are in {output}")


@commands.command()
def optimize(db: Db) -> None:
    """Join small files; from 100,000 rows on build the approximate index, and set it so that recall@10 is 0.98.

    \b
    Example:
      dualsight index optimize --db archive.db
    """
    index = _open(db)
    with waiting("optimising; minutes for a million rows"):
        recall = index.optimize()
    show_line(_recall_words(recall) if recall else f"{len(index):,} rows: search stays exact")


@commands.command()
def check(
    db: Db, queries: Annotated[int, typer.Option(min=1, help="rows of the index that are looked for")] = 100
) -> None:
    """Measure what approximate search finds of what exact search finds.

    \b
    Example:
      dualsight index check --db archive.db
    """
    with waiting("measuring"):
        recall = _open(db).check(n_queries=queries)
    typer.echo(_recall_words(recall))


@commands.command()
def versions(db: Db) -> None:
    """List the states that `restore` can bring back, oldest first; those older than a week go with `optimize`.

    \b
    Example:
      dualsight index versions --db archive.db
    """
    for one in _open(db).versions():
        typer.echo(f"{one.number:>6}  {one.time:%Y-%m-%d %H:%M:%S}  {one.n_rows:,} rows")


@commands.command()
def restore(
    db: Db, version: Annotated[int, typer.Argument(help="as `versions` numbers them", show_default=False)]
) -> None:
    """Make an earlier state the newest; nothing is lost by it.

    \b
    Example:
      dualsight index restore 12 --db archive.db
    """
    index = _open(db)
    index.restore(version)
    show_line(f"version {version} is the newest again: {len(index):,} rows")


@commands.command("map")
def draw_map(
    db: Db,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.html", help="one page, nothing beside it")],
    where: Where = "",
    n_clusters: Annotated[int | None, typer.Option("--clusters", min=1, help="how many groups")] = None,
    layout: Annotated[Literal["pca", "umap"], typer.Option(help="how places are found; umap needs umap-learn")] = "pca",
    colour: Annotated[str | None, typer.Option(metavar="COLUMN", help="points coloured by it, not by group")] = None,
    points: Annotated[int, typer.Option(min=3, max=20_000, help="rows at most, drawn at random")] = 2000,
) -> None:
    """Draw the index as a page: alike pictures are near each other, and show themselves under the pointer.

    \b
    Example:
      dualsight index map --db archive.db -o map.html --colour modality
    """
    check_place(output)
    index = _open(db)
    if colour is not None and colour not in index.schema.names:
        raise typer.BadParameter(f"no column {colour}", param_hint="--colour")
    with waiting("drawing the map"):
        from dualsight.store.map_page import map_page

        found = index.clusters(n_clusters=n_clusters, layout=layout, where=where, max_points=points)
        page = map_page(found, title=f"Map of {db.name}", colour=colour)
    with whole_file(output) as file:
        file.write(page.encode())
    show_line(f"{found.rows.num_rows:,} points are in {output}")


def _open(db: Path) -> Index:
    from dualsight.store.index import Index

    return Index.open(db)


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


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{path} is no text in UTF-8", param_hint="--texts") from None


def _recall_words(recall: Recall) -> str:
    return (
        f"recall@{recall.k} {recall.recall:.3f} over {recall.n_queries} queries of {recall.n_rows:,} rows; "
        f"exact {recall.exact_ms:.1f} ms, approximate {recall.approximate_ms:.1f} ms "
        f"({recall.how.n_lists} lists, {recall.how.refine} times as many compared exactly)"
    )
