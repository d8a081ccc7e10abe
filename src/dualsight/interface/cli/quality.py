"""`dualsight qc`: pictures that do not belong, that are there twice, or of which nobody says how they were made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dualsight.interface.cli.exits import FAILURE
from dualsight.interface.cli.options import (
    AsCsv,
    AsJson,
    Cosine,
    Device,
    Engine,
    Images,
    ModelName,
    PlaneName,
    Precision,
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

    from dualsight.image.reading import Reading
    from dualsight.image.source import Item
    from dualsight.interface.cli.quality_rows import Value
    from dualsight.task.embed import Embedded
    from dualsight.task.model import Model

commands = typer.Typer(
    no_args_is_help=True,
    help="Pictures that do not belong, that are there twice, or of unknown making.",
)

Share = Annotated[
    float, typer.Option(metavar="SHARE", min=0, max=1, help="how much of the neighbours' weight must agree")
]


@commands.command()
def outliers(
    images: Images,
    reference: Annotated[list[str], typer.Option(metavar="IMAGES", help="pictures as they should be; may be repeated")],
    per: Annotated[
        Literal["image", "study"],
        typer.Option(help="score each file, or each study by how its files spread; without UIDs a folder is a study"),
    ] = "image",
    method: Annotated[
        Literal["knn", "mahalanobis"], typer.Option(help="distance to the nearest references, or from their mean")
    ] = "knn",
    rate: Annotated[
        float,
        typer.Option(metavar="SHARE", min=0, max=1, help="how many of the references may be above the threshold"),
    ] = 0.05,
    window: WindowName = "auto",
    plane: PlaneName = None,
    model: ModelName = "demo",
    engine: Engine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Score how unlike the references pictures or studies are, against a threshold fitted to the references.

    \b
    Example:
      dualsight qc outliers incoming/ --reference archive/ --rate 0.05
    """
    check_one_of(as_json, as_csv)
    reading = read_reading(window, plane=plane)
    encoder = open_model(model, engine, precision, device)

    from dualsight.interface.cli.quality_rows import show_table
    from dualsight.learn.outlier import fit_outliers

    known, seen = (_embed(encoder, find_images(sources), reading) for sources in (reference, images))
    detector = fit_outliers(known.by(per)[1], method=method, rate=rate)
    names, vectors = seen.by(per)
    scores = detector.score(vectors).tolist()
    head: dict[str, Value] = {
        **model_origin(encoder),
        "method": method,
        "n_reference": detector.n_reference,
        "threshold": detector.threshold,
        "false_positive_rate": detector.false_positive_rate,
    }
    rows = [(score, score > detector.threshold, name) for score, name in zip(scores, names, strict=True)]
    show_table(head, ("score", "outlier", "source"), rows, as_json=as_json, as_csv=as_csv)
    _end(known, seen)


@commands.command()
def duplicates(
    images: Images,
    cosine: Cosine = 0.99,
    window: WindowName = "auto",
    plane: PlaneName = None,
    model: ModelName = "demo",
    engine: Engine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Pairs of pictures that are nearly the same, the most alike first. All pairs are compared.

    \b
    Example:
      dualsight qc duplicates archive/ --cosine 0.995 --csv
    """
    check_one_of(as_json, as_csv)
    reading = read_reading(window, plane=plane)
    encoder = open_model(model, engine, precision, device)

    from dualsight.interface.cli.quality_rows import show_table
    from dualsight.task.near_duplicates import near_duplicates

    seen = _embed(encoder, find_images(images), reading)
    names = [result.source for result in seen.results]
    pairs = sorted(near_duplicates(seen.vectors, cosine=cosine), key=lambda pair: -pair.cosine)
    head: dict[str, Value] = {
        **model_origin(encoder),
        "n_images": len(names),
        "n_pairs": len(pairs),
    }
    rows = [(pair.cosine, names[pair.first], names[pair.second]) for pair in pairs]
    show_table(head, ("cosine", "first", "second"), rows, as_json=as_json, as_csv=as_csv)
    _end(seen)


@commands.command()
def exam(
    images: Images,
    reference: Annotated[
        Path,
        typer.Option(
            metavar="MANIFEST.csv",
            help="pictures of known making: path, and any of modality, body_part, view, plane, sequence; what of the "
            "first three is empty is read from DICOM headers",
        ),
    ],
    neighbours: Annotated[int, typer.Option(min=1, help="how many references are asked")] = 5,
    share: Share = 0.6,
    window: WindowName = "auto",
    plane: PlaneName = None,
    model: ModelName = "demo",
    engine: Engine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """How pictures were made, by the references most like them; no answer where these do not agree.

    \b
    Example:
      dualsight qc exam incoming/ --reference known.csv
    """
    check_one_of(as_json, as_csv)
    reading = read_reading(window, plane=plane)

    from dualsight.image.source import Item
    from dualsight.interface.cli.quality_rows import show_table
    from dualsight.learn.exam_parameters import predict_parameters, read_references

    references = read_references(reference)
    encoder = open_model(model, engine, precision, device)
    known = _embed(encoder, (Item(name=str(one.path), content=one.path) for one in references), reading)
    parameters = [references[result.index].with_header(result.meta).parameters for result in known.results]
    seen = _embed(encoder, find_images(images), reading)
    answers = predict_parameters(known.vectors, parameters, seen.vectors, neighbours=neighbours, share=share)
    names = list(answers[0])
    head: dict[str, Value] = {
        **model_origin(encoder),
        "n_reference": len(known.results),
        "share": share,
    }
    rows = [
        (*(part for name in names for part in (answer[name].value, answer[name].share)), result.source)
        for answer, result in zip(answers, seen.results, strict=True)
    ]
    columns = (*(column for name in names for column in (name, f"{name}_share")), "source")
    show_table(head, columns, rows, as_json=as_json, as_csv=as_csv)
    _end(known, seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Pictures that could be embedded, one vector a file, and how many could not."""

    results: Sequence[Embedded]
    n_failed: int

    @property
    def vectors(self) -> NDArray[np.float32]:
        """float32 [n, D]."""
        import numpy as np

        return np.stack([result.vector for result in self.results])

    def by(self, per: Literal["image", "study"]) -> tuple[list[str], NDArray[np.floating]]:
        """Names and vectors of the files; of studies their features."""
        if per == "image":
            return [result.source for result in self.results], self.vectors

        import numpy as np

        from dualsight.learn.outlier import study_features

        studies: dict[str, list[NDArray[np.float32]]] = {}
        for result in self.results:
            name = result.meta.study_instance_uid or str(Path(result.source).parent)
            studies.setdefault(name, []).append(result.vector)
        return list(studies), np.stack([study_features(np.stack(vectors)) for vectors in studies.values()])


def _embed(model: Model, items: Iterable[Item], reading: Reading) -> _Seen:
    """All of `items`; those that fail are told by name. Raises typer.Exit where nothing is left."""
    from dualsight.task.embed import Failed

    results: list[Embedded] = []
    n_failed = 0
    for result in show_progress(model.embed(items, reading=reading), "embedding"):
        if isinstance(result, Failed):
            n_failed += 1
            show_error(str(result.error), result.error.hint)
        else:
            results.append(result)
    if not results:
        show_error("no picture could be embedded" if n_failed else "no pictures found")
        raise typer.Exit(FAILURE)
    return _Seen(results=results, n_failed=n_failed)


def _end(*seen: _Seen) -> None:
    """Raises typer.Exit where a picture has failed."""
    if any(one.n_failed for one in seen):
        raise typer.Exit(FAILURE)
