"""What several commands ask in the same words, and how it is read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dualsight.interface.cli.deidentify import hide_errors, hide_name
from dualsight.interface.cli.stderr import show_line, waiting

if TYPE_CHECKING:
    from dualsight.image.reading import Reading, Window
    from dualsight.image.source import Item
    from dualsight.task.model import Model

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGES…",
        help="pictures, folders, globs, .zip archives, a DICOMDIR, a .csv with a column `path`, or "
        "dicomweb+https://HOST/PATH",
        show_default=False,
    ),
]
Manifest = Annotated[
    Path,
    typer.Argument(
        metavar="MANIFEST.csv",
        help="a table with columns path and label (several labels joined by |); patient and split are used",
        show_default=False,
    ),
]
Embeddings = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="vectors that `dualsight embed MANIFEST.csv -o FILE` wrote: embed nothing"),
]
Subject = Annotated[str, typer.Argument(metavar="MODEL", help="a checkpoint's folder or file, a hub id, or demo")]
ModelName = Annotated[
    str, typer.Option("--model", metavar="demo|PATH|HUB_ID", help="a checkpoint's folder or file, a hub id, or demo")
]
Engine = Annotated[
    Literal["auto", "torch", "openvino", "onnxruntime"],
    typer.Option(help="who computes; auto: the quickest of those installed, measured once on this machine"),
]
Precision = Annotated[
    Literal["exact", "fast", "float32", "bfloat16", "float16", "int8"] | None,
    typer.Option(
        help="exact: float32, within 1e-5 everywhere; fast: whatever is quickest here; without it exact, and int8 for "
        "a quantised checkpoint",
        show_default=False,
    ),
]
Device = Annotated[
    str, typer.Option(metavar="cpu|cuda|cuda:N|mps", help="where pictures are computed; on others than cpu, by torch")
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
    Literal["image", "frame", "series", "study"],
    typer.Option(help="what a result stands for: a file, each frame of it, or the series or study of DICOM files"),
]
Pool = Annotated[
    Literal["mean", "median", "max"], typer.Option(help="how the vectors of several frames become one, of length 1")
]
SquarePixels = Annotated[
    bool, typer.Option("--square-pixels", help="resample DICOM frames whose pixels are not square")
]
PlaneName = Annotated[
    Literal["axial", "coronal", "sagittal"] | None,
    typer.Option(
        "--plane",
        help="which slices of a volume; without it those that a DICOM series was acquired in, axial ones of a file",
        show_default=False,
    ),
]
StepMm = Annotated[
    float | None,
    typer.Option("--step-mm", metavar="MM", help="from one slice of a volume to the next; all slices without it"),
]
TilePx = Annotated[int, typer.Option("--tile-px", min=1, metavar="N", help="side of the tiles of a slide, in pixels")]
Mpp = Annotated[
    float | None,
    typer.Option("--mpp", metavar="UM", help="micrometres to a pixel of a slide's tiles; without it as scanned"),
]
Study = Annotated[str | None, typer.Option("--study", metavar="UID", help="of a DICOMweb source: only this study")]
Series = Annotated[str | None, typer.Option("--series", metavar="UID", help="of a DICOMweb source: only this series")]
_INDEX = "the folder that the index is in, or s3://BUCKET/… or gs://BUCKET/…"
Db = Annotated[str, typer.Option("--db", metavar="DIR", help=_INDEX)]
SearchedDb = Annotated[str, typer.Argument(metavar="DB", help=_INDEX, show_default=False)]
Cosine = Annotated[float, typer.Option(min=-1, max=1, help="how alike two pictures must be, up to 1")]
LabelColumn = Annotated[str, typer.Option("--label-column", metavar="COLUMN", help="the column of labels")]
Where = Annotated[str, typer.Option(metavar="FILTER", help="only rows such as \"modality = 'CT' and age > 60\"")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
AsCsv = Annotated[bool, typer.Option("--csv", help="a table with a header on stdout")]


def open_model(
    where: str,
    engine: Literal["auto", "torch", "openvino", "onnxruntime"] = "auto",
    precision: Literal["exact", "fast", "float32", "bfloat16", "float16", "int8"] | None = None,
    device: str = "cpu",
) -> Model:
    """The model, after saying on stderr what its users must know."""
    with waiting(f"loading {where}"):
        from dualsight.task.model import load

        model = load(where, engine=engine, precision=precision, device=device)
    if model.notice:
        show_line(model.notice)
    return model


def find_images(sources: Sequence[str], key: bytes | None = None) -> Iterator[Item]:
    """The files to open. What is none in a folder or archive is said on stderr, and passed over.

    key: with one, names are said as hashes only.
    """
    from dualsight.image.source import Skipped, scan

    with hide_errors(key):
        for found in scan(sources):
            if isinstance(found, Skipped):
                show_line(f"skipped {hide_name(found.name, key)}: {found.reason}")
            else:
                yield found


def narrow_sources(sources: Sequence[str], study: str | None, series: str | None) -> list[str]:
    """The sources, those of a DICOMweb server narrowed to a study or series. Raises BadParameter if there is none."""
    option = "--study" if study is not None else "--series"
    if study is None and series is None:
        return list(sources)
    if not any(source.startswith("dicomweb+") for source in sources):
        raise typer.BadParameter("no DICOMweb source to choose from", param_hint=option)

    from dualsight.errors import UnsupportedImage
    from dualsight.image.dicomweb.instances import PREFIX, narrow

    try:
        return [
            narrow(source, study=study, series=series) if source.startswith(PREFIX) else source for source in sources
        ]
    except UnsupportedImage as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def count_results(sources: Sequence[str], per: str = "image") -> int | None:
    """How many results there will be, where each source is one; None where only walking or opening them tells."""
    from dualsight.image.source import container_of

    if per != "image":
        return None
    for source in sources:
        path = Path(source)
        if not path.is_file() or path.suffix.lower() == ".csv" or container_of(path):
            return None
    return len(sources)


def read_reading(
    window: str,
    square_pixels: bool = False,
    plane: Literal["axial", "coronal", "sagittal"] | None = None,
    step_mm: float | None = None,
    tile_px: int = 480,
    mpp: float | None = None,
) -> Reading:
    """The options that say how files are shown. Raises BadParameter for what cannot be meant."""
    from dualsight.image.reading import Reading

    if step_mm is not None and not 0 < step_mm < float("inf"):
        raise typer.BadParameter(f"{step_mm:g} mm is no step", param_hint="--step-mm")
    if mpp is not None and not 0 < mpp < float("inf"):
        raise typer.BadParameter(f"{mpp:g} micrometres are no size of a pixel", param_hint="--mpp")
    return Reading(
        window=_window(window), square_pixels=square_pixels, plane=plane, step_mm=step_mm, tile_px=tile_px, mpp=mpp
    )


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
    if not (math.isfinite(centre) and 1 <= width < math.inf):
        message = f"{text!r} shows nothing: a number, and a width of at least 1"
        raise typer.BadParameter(message, param_hint="--window")
    return centre, width


def read_lines(file: Path, option: str) -> list[str]:
    """The lines of a text file, without blank ones and blanks around them. Raises BadParameter for what is none."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read ({error.strerror})", param_hint=option) from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is no text in UTF-8", param_hint=option) from None
    return [line.strip() for line in lines if line.strip()]


def check_one_of(as_json: bool, as_csv: bool) -> None:
    """Raises BadParameter where both forms of output are asked for."""
    if as_json and as_csv:
        raise typer.BadParameter("either --json or --csv, not both", param_hint="--csv")
