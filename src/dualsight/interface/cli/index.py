"""`dualsight index …`: an archive's vectors in a folder, kept up to date, checked and shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dualsight.interface.cli.index_add import add
from dualsight.interface.cli.options import AsCsv, AsJson, Cosine, Db, Where, check_one_of
from dualsight.interface.cli.stderr import show_line, show_progress, waiting
from dualsight.interface.whole_file import check_place, whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dualsight.store.check import Recall
    from dualsight.store.index import Index

commands = typer.Typer(
    help="An archive's vectors in a folder: add to it, look after it, see it as a map.",
    no_args_is_help=True,
)

commands.command()(add)


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
        counts = {"n_rows": found.n_rows, "kinds": found.kinds, "dimensions": found.about.dimensions}
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
def export(
    db: Db,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE|FOLDER", help="a .parquet file; for milvus and qdrant a folder"),
    ],
    form: Annotated[
        Literal["parquet", "milvus", "qdrant"],
        typer.Option("--format", help="one Parquet file, or what Milvus or Qdrant imports in bulk"),
    ] = "parquet",
) -> None:
    """Write all rows with their vectors, a batch at a time.

    \b
    Example:
      dualsight index export --db archive.db -o vectors.parquet
    """
    if form == "parquet" and output.suffix.lower() != ".parquet":
        raise typer.BadParameter(f"{output} does not end in .parquet", param_hint="--output")
    if form == "parquet":
        check_place(output)
    index = _open(db)
    batches = show_progress(index.batches(), "exporting")

    from pyarrow import parquet

    from dualsight.store.bulk_import import write_milvus, write_qdrant

    if form == "parquet":
        with whole_file(output) as file, parquet.ParquetWriter(file, index.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
    else:
        (write_milvus if form == "milvus" else write_qdrant)(index.schema, batches, output)
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
    db: Db,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="as `versions` numbers them", show_default=False)],
) -> None:
    """Make an earlier state the newest; nothing is lost by it.

    \b
    Example:
      dualsight index restore 12 --db archive.db
    """
    index = _open(db)
    index.restore(version)
    show_line(f"version {version} is the newest again: {len(index):,} rows")


@commands.command()
def duplicates(
    db: Db,
    cosine: Cosine = 0.99,
    where: Where = "",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Pairs of rows that are nearly the same: a picture that was saved anew, or taken twice. The most alike first.

    \b
    Example:
      dualsight index duplicates --db archive.db --cosine 0.995 --csv
    """
    check_one_of(as_json, as_csv)

    from dualsight.interface.cli.quality_rows import Value, show_table

    index = _open(db)
    with waiting("comparing"):
        pairs = sorted(index.duplicates(cosine=cosine, where=where), key=lambda pair: -pair.cosine)
    origin: dict[str, Value] = {"model": index.about.model, "fingerprint": index.about.fingerprint}
    head = {**origin, "n_rows": len(index), "n_pairs": len(pairs)}
    rows = [(pair.cosine, _place(pair.first), _place(pair.second)) for pair in pairs]
    show_table(head, ("cosine", "first", "second"), rows, as_json=as_json, as_csv=as_csv)


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
        page = map_page(found, title=f"Map of {Path(db).name}", colour=colour)
    with whole_file(output) as file:
        file.write(page.encode())
    show_line(f"{found.rows.num_rows:,} points are in {output}")


def _open(db: str) -> Index:
    from dualsight.store.index import Index

    return Index.open(db)


def _place(row: Mapping[str, Any]) -> str:
    """Which picture a row is of."""
    if row["tile_x"] is not None:
        return f"{row['source']} tile {row['tile_x']},{row['tile_y']}"
    return (
        row["source"]
        if row["n_frames"] == 1 or row["frame_index"] is None
        else f"{row['source']} frame {row['frame_index']}"
    )


def _recall_words(recall: Recall) -> str:
    return (
        f"recall@{recall.k} {recall.recall:.3f} over {recall.n_queries} queries of {recall.n_rows:,} rows; "
        f"exact {recall.exact_ms:.1f} ms, approximate {recall.approximate_ms:.1f} ms "
        f"({recall.how.n_lists} lists, {recall.how.refine} times as many compared exactly)"
    )
