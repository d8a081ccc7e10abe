"""What several commands ask in the same words, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dualsight.interface.cli.stderr import show_line, waiting

if TYPE_CHECKING:
    from dualsight.image.reading import Reading, Window
    from dualsight.image.source import Item
    from dualsight.task.model import Model

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGES…",
        help="pictures, folders, globs, .zip archives, or a .csv with a column `path`",
        show_default=False,
    ),
]
ModelName = Annotated[
    str, typer.Option("--model", metavar="demo|PATH|HUB_ID", help="a checkpoint's folder or file, a hub id, or demo")
]
WindowName = Annotated[
    str,
    typer.Option(
        "--window",
        metavar="auto|dicom|NAME|CENTRE,WIDTH",
        help="how DICOM grey values are shown: by the header or else the full range, by the header only, a CT "
        "window such as lung, or two numbers such as 40,400",
    ),
]
Per = Annotated[
    Literal["image", "frame"],
    typer.Option(help="of a file of several frames: one result of their mean, or one each"),
]
SquarePixels = Annotated[
    bool, typer.Option("--square-pixels", help="resample DICOM frames whose pixels are not square")
]
PlaneName = Annotated[Literal["axial", "coronal", "sagittal"], typer.Option("--plane", help="which slices of a volume")]
StepMm = Annotated[
    float | None,
    typer.Option("--step-mm", metavar="MM", help="from one slice of a volume to the next; all slices without it"),
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
AsCsv = Annotated[bool, typer.Option("--csv", help="a table with a header on stdout")]


def open_model(where: str) -> Model:
    """The model, after saying on stderr what its users must know."""
    with waiting(f"loading {where}"):
        from dualsight.task.model import load

        model = load(where)
    if model.notice:
        show_line(model.notice)
    return model


def find_images(sources: Sequence[str]) -> Iterator[Item]:
    """The files to open. What is none in a folder or archive is said on stderr, and passed over."""
    from dualsight.image.source import Skipped, scan

    for found in scan(sources):
        if isinstance(found, Skipped):
            show_line(f"skipped {found.name}: {found.reason}")
        else:
            yield found


def count_sources(sources: Sequence[str]) -> int | None:
    """How many sources there are, where each is one file; None where only walking them tells."""
    from dualsight.image.sniff import HEAD_BYTES, kind_of

    for source in sources:
        path = Path(source)
        if not path.is_file() or path.suffix.lower() == ".csv":
            return None
        with path.open("rb") as file:
            if kind_of(file.read(HEAD_BYTES)) == "zip":
                return None
    return len(sources)


def read_reading(
    window: str,
    square_pixels: bool = False,
    plane: Literal["axial", "coronal", "sagittal"] = "axial",
    step_mm: float | None = None,
) -> Reading:
    """The options that say how files are shown. Raises BadParameter for what cannot be meant."""
    from dualsight.image.reading import Reading

    if step_mm is not None and not 0 < step_mm < float("inf"):
        raise typer.BadParameter(f"{step_mm:g} mm is no step", param_hint="--step-mm")
    return Reading(window=_window(window), square_pixels=square_pixels, plane=plane, step_mm=step_mm)


def _window(text: str) -> Window:
    """Raises BadParameter for an unknown name or no two numbers."""
    from dualsight.image.voi import CT_WINDOWS

    if text in ("auto", "dicom", *CT_WINDOWS):
        return text
    try:
        centre, width = (float(number) for number in text.split(","))
    except ValueError:
        names = ", ".join(("auto", "dicom", *CT_WINDOWS))
        message = f"{text!r} is neither a window's name nor CENTRE,WIDTH; names are {names}"
        raise typer.BadParameter(message, param_hint="--window") from None
    if not width > 0:
        raise typer.BadParameter(f"a width of {width:g} shows nothing", param_hint="--window")
    return centre, width


def check_one_of(as_json: bool, as_csv: bool) -> None:
    """Raises BadParameter where both forms of output are asked for."""
    if as_json and as_csv:
        raise typer.BadParameter("either --json or --csv, not both", param_hint="--csv")
