"""`dualsight search` and `search-evaluate`: what in an index is like a text, a picture or a volume, and how well."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dualsight.interface.cli.options import (
    AsCsv,
    AsJson,
    Device,
    Engine,
    LabelColumn,
    ModelName,
    PlaneName,
    Precision,
    SearchedDb,
    StepMm,
    Where,
    WindowName,
    check_one_of,
    open_model,
    read_reading,
)
from dualsight.interface.cli.stderr import show_line, waiting
from dualsight.interface.whole_file import check_place, whole_file

if TYPE_CHECKING:
    from PIL.Image import Image

    from dualsight.image.reading import Reading
    from dualsight.store.evaluate import Features
    from dualsight.store.hits import Hits
    from dualsight.store.index import Index


def search(
    db: SearchedDb,
    text: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="what to look for, in words; may be repeated")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(metavar="IMAGE", help="a picture to look for the like of; may be repeated")
    ] = None,
    volume: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="a volume, compared with volumes; may be repeated")
    ] = None,
    unlike: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="what hits should not be")] = None,
    text_weight: Annotated[float, typer.Option(min=0, help="of the texts beside pictures")] = 1.0,
    image_weight: Annotated[float, typer.Option(min=0, help="of the pictures beside texts")] = 1.0,
    unlike_weight: Annotated[float, typer.Option(min=0, help="of what hits should not be")] = 0.5,
    where: Where = "",
    k: Annotated[int, typer.Option("-k", min=1, max=10_000, help="how many hits")] = 10,
    per: Annotated[
        str | None,
        typer.Option(metavar="volume|series|study|COLUMN", help="one hit of each: the best", show_default=False),
    ] = None,
    rerank: Annotated[bool, typer.Option("--rerank", help="of an approximate index, look further")] = False,
    exact: Annotated[bool, typer.Option("--exact", help="compare every row, however many")] = False,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="the hits' pictures, scores and fields as a picture")
    ] = None,
    window: WindowName = "auto",
    plane: PlaneName = None,
    step_mm: StepMm = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    model: ModelName = "demo",
    engine: Engine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
) -> None:
    """The rows of an index that are nearest to texts, pictures or volumes, or to a sum of them.

    \b
    Example:
      dualsight search archive.db --text "ct chest pleural effusion" --where "modality = 'CT'" --per study
    """
    if not (text or image or volume):
        raise typer.BadParameter("give --text, --image or --volume", param_hint="--text")
    check_one_of(as_json, as_csv)
    if sheet is not None:
        check_place(sheet)
    reading = read_reading(window, False, plane, step_mm)

    from dualsight.store.index import Index
    from dualsight.store.query import Query

    query = Query(
        texts=tuple(text or ()),
        images=tuple(image or ()),
        volumes=tuple(volume or ()),
        unlike=tuple(unlike or ()),
        text_weight=text_weight,
        image_weight=image_weight,
        unlike_weight=unlike_weight,
        reading=reading,
    )
    index = Index.open(db)
    about = index.about  # before a model is loaded for nothing
    encoder = open_model(model, engine, precision, device)
    index = Index.open(db, model=encoder)
    hits = index.search(query=query, where=where, k=k, per=per, rerank=rerank, exact=exact)
    if as_json:
        origin = {"model": about.model, "fingerprint": about.fingerprint, "notice": encoder.notice}
        state = {"n_rows": hits.n_rows, "exact": hits.is_exact}
        typer.echo(json.dumps({**origin, **state, "results": hits.to_arrow().to_pylist()}, ensure_ascii=False))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(hits.to_arrow().column_names)
        writer.writerows(row.values() for row in hits.to_arrow().to_pylist())
    else:
        _print(hits)
    if sheet is not None:
        words = _words(query.texts, [*(image or ()), *(volume or ())], query.unlike, where)
        _write_sheet(sheet, hits, words, _query_pictures([*(image or ()), *(volume or ())], reading), encoder.notice)


def search_evaluate(
    db: SearchedDb,
    label_column: LabelColumn = "label",
    apart: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="hits are of another value than the query, such as its patient"),
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="rows that are looked for, drawn at random")] = 1000,
    adapter: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="of kind mlp: measured on the features that it makes as well, exactly"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Precision of the 1, 3 and 5 nearest pictures against a column of labels, mean over labels.

    \b
    Example:
      dualsight search-evaluate archive.db --label-column finding --apart patient
    """
    from dualsight.store.index import Index

    index = Index.open(db)
    features = None if adapter is None else _features(adapter, index)
    with waiting("searching"):
        found = index.evaluate(label_column, n_queries=queries, apart=apart)
        adapted = index.evaluate(label_column, n_queries=queries, apart=apart, features=features) if features else None
    if as_json:
        precisions = {f"precision@{k}": value for k, value in zip(found.ks, found.precisions, strict=True)}
        counts = {"queries": found.n_queries, "labels": found.n_labels, "chance": found.chance}
        after: dict[str, float] = {}
        if adapted is not None:
            after = {f"adapter_precision@{k}": value for k, value in zip(adapted.ks, adapted.precisions, strict=True)}
        typer.echo(json.dumps({"label": found.label, **precisions, **after, **counts}))
        return
    for place, k in enumerate(found.ks):
        after_words = "" if adapted is None else f"; with the adapter {adapted.precisions[place]:.3f}"
        typer.echo(f"precision@{k}  {found.precisions[place]:.3f}{after_words}")
    typer.echo(f"{found.n_queries:,} queries, {found.n_labels} labels of {found.label}; by chance {found.chance:.3f}")


def _features(path: Path, index: Index) -> Features:
    """What an adapter makes of vectors. Raises AdapterError for another model's, or one that makes no features."""
    from dualsight.errors import AdapterError
    from dualsight.learn.adapt.file import load_adapter
    from dualsight.learn.adapt.mlp import MlpAdapter

    adapter = load_adapter(path)
    if not isinstance(adapter.head, MlpAdapter):
        raise AdapterError(f"{path}: an adapter of kind {adapter.kind}, which makes no features", hint="--kind mlp")
    if adapter.fingerprint != index.about.fingerprint:
        problem = f"{path}: made for the model {adapter.model}, and the index has vectors of {index.about.model}"
        raise AdapterError(problem, hint="train it on embeddings of the index's model")
    return adapter.head.features


def _print(hits: Hits) -> None:
    for row in hits.to_arrow().to_pylist():
        frame = "" if row["frame_index"] is None or row["n_frames"] == 1 else f" frame {row['frame_index']}"
        words = " ".join(row[name] for name in ("modality", "body_part", "view") if row[name])
        typer.echo(f"{row['score']:7.3f}  {row['text'] or row['source']}{frame}{f'  ({words})' if words else ''}")
    if not len(hits):
        show_line("no row fits")


def _words(texts: tuple[str, ...], files: list[Path], unlike: tuple[str, ...], where: str) -> str:
    """What was looked for, as a line."""
    wanted = " + ".join([*(f"“{text}”" for text in texts), *(file.name for file in files)])
    return "".join((wanted, *(f", not “{text}”" for text in unlike), f", where {where}" if where else ""))


def _query_pictures(files: list[Path], reading: Reading) -> list[Image]:
    """The first frames of the files that were looked for."""
    from PIL import Image

    from dualsight.image.open import read

    return [Image.fromarray(next(iter(read(file, reading, source=str(file)))).pixels) for file in files]


def _write_sheet(path: Path, hits: Hits, words: str, pictures: list[Any], notice: str) -> None:
    from dualsight.store.contact_sheet import contact_sheet

    picture = contact_sheet(hits, words, pictures=pictures, notice=notice)
    with whole_file(path) as file:
        picture.save(file, "PNG")
    show_line(f"the sheet is {path}")
