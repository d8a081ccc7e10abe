"""`dualsight phantom`: procedural pictures whose truth is known, as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dualsight.interface.cli.stderr import show_line, show_progress
from dualsight.interface.whole_file import make_folder, whole_file

if TYPE_CHECKING:
    from dualsight.learn.phantom.base import Modality
    from dualsight.learn.phantom.catalogue import Phantom

COLUMNS = ("path", "caption", "modality", "anatomy", "view", "finding", "side", "box", "patient")
PATIENTS_A_SEED = 1_000_000


def phantom(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="made if it is not there")],
    n: Annotated[int, typer.Option("-n", min=1, max=PATIENTS_A_SEED, help="how many, each of another patient")] = 10,
    modality: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="only such as 'x-ray' or 'mri brain'; may be repeated")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=8_000, help="other patients for other seeds")] = 0,
    size: Annotated[int, typer.Option(min=64, max=1024, help="height and width in pixels")] = 256,
) -> None:
    """Draw phantoms as PNG, with captions.csv beside them. None of these patients is ever trained on.

    \b
    Example:
      dualsight phantom -o phantoms/ -n 20 --modality "x-ray chest"
    """
    from dualsight.learn.phantom.catalogue import HELD_OUT, MODALITIES, draw_many

    chosen = choose(MODALITIES, modality or ())
    drawn = draw_many(HELD_OUT + seed * PATIENTS_A_SEED, n, size=size, modalities=chosen)
    make_folder(output)
    write_phantoms(show_progress(drawn, "drawing", total=n), output)
    show_line(f"{n:,} phantoms and captions.csv are in {output}")


def choose(modalities: Sequence[Modality], names: Sequence[str]) -> tuple[Modality, ...]:
    """Those whose name, or name and anatomy, is in `names`; all for none. Raises BadParameter for an unknown one."""
    chosen: list[Modality] = []
    for name in names:
        found = [m for m in modalities if name.lower() in (m.name, f"{m.name} {m.anatomy}")]
        if not found:
            known = ", ".join(f"{m.name} {m.anatomy}" for m in modalities)
            raise typer.BadParameter(f"no modality {name!r}; there are {known}", param_hint="--modality")
        chosen += found
    return tuple(chosen) or tuple(modalities)


def write_phantoms(phantoms: Iterator[Phantom], folder: Path) -> None:
    """A PNG each, and captions.csv, which `classify` and `embed` take as a list of pictures. Raises OutputError."""
    from PIL import Image

    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, one in enumerate(phantoms):
        name = f"{number:05}-{one.modality.name}-{one.modality.anatomy}.png"
        with whole_file(folder / name) as file:
            Image.fromarray(one.pixels).save(file, "PNG")
        writer.writerow(_row(name, one))
    with whole_file(folder / "captions.csv") as file:
        file.write(table.getvalue().encode())


def _row(name: str, one: Phantom) -> list[str | int]:
    kind = one.modality
    box = " ".join(map(str, one.box or ()))  # left top right bottom, in pixels
    return [name, one.prompt, kind.name, kind.anatomy, one.view, one.finding or "", one.side or "", box, one.patient]
