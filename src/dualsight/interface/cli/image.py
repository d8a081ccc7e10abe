"""`dualsight image info` and `image show`: what a file holds, and the picture that a model sees of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dualsight import __version__
from dualsight.errors import ImageError
from dualsight.interface.cli.deidentify import Deidentify, hide_errors, hide_info, hide_name, read_key_if
from dualsight.interface.cli.exits import FAILURE
from dualsight.interface.cli.options import (
    AsJson,
    Images,
    ModelName,
    Mpp,
    PlaneName,
    SquarePixels,
    TilePx,
    WindowName,
    find_images,
    read_reading,
)
from dualsight.interface.cli.stderr import show_error
from dualsight.interface.whole_file import check_place, whole_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dualsight.image.file_info import FileInfo
    from dualsight.image.frame import Frame
    from dualsight.image.reading import Reading
    from dualsight.image.source import Item

LABEL_WIDTH = 18

commands = typer.Typer(no_args_is_help=True, help="What is in a file, and how it is shown.")


@commands.command()
def info(
    images: Images,
    window: WindowName = "auto",
    plane: PlaneName = None,
    deidentify: Deidentify = False,
    as_json: AsJson = False,
) -> None:
    """What files hold and how they would be shown. No names, numbers or dates of patients.

    \b
    Example:
      dualsight image info chest.dcm brain.nii.gz
    """
    reading = read_reading(window, plane=plane)
    key = read_key_if(deidentify)

    from dualsight.image.file_info import describe_file

    rows: list[dict[str, Any]] = []
    n_failed = 0
    for item in find_images(images, key):
        try:
            with hide_errors(key):
                row = _row(hide_info(describe_file(item, reading), key))
            if not as_json:
                typer.echo("\n".join(_lines(row)))
        except ImageError as error:
            n_failed += 1
            show_error(str(error), error.hint)
            row = {"source": error.source, "error": error.problem, "hint": error.hint}
        rows.append(row)
    if as_json:
        typer.echo(json.dumps({"results": rows}, indent=2, ensure_ascii=False))
    if not rows:
        show_error("no pictures found")
    if n_failed or not rows:
        raise typer.Exit(FAILURE)


@commands.command()
def show(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="one file", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="a .png")],
    frame: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="which frame, slice or tile, from 0; the middle one without it"),
    ] = None,
    full_size: Annotated[
        bool, typer.Option("--full-size", help="the frame as it is shown, before it is resized for the model")
    ] = False,
    window: WindowName = "auto",
    square_pixels: SquarePixels = False,
    plane: PlaneName = None,
    tile_px: TilePx = 480,
    mpp: Mpp = None,
    model: ModelName = "demo",
) -> None:
    """Write the picture that the model sees of a frame: windowed, and resized to the last byte as `embed` does it.

    \b
    Example:
      dualsight image show brain.nii.gz -o slice.png --plane coronal --frame 80
    """
    if output.suffix.lower() != ".png":
        raise typer.BadParameter(f"{output} does not end in .png", param_hint="--output")
    check_place(output)
    reading = read_reading(window, square_pixels, plane, None, tile_px, mpp)
    chosen = pick_frame(only_item(image), reading, frame)
    pixels = chosen.pixels if full_size else _as_seen(chosen, model)
    height, width, _ = pixels.shape
    said = {
        "Frame": f"{chosen.frame_index} of {chosen.n_frames}, counted from 0",
        "Window": chosen.meta.window or "none: values as they are stored",
        "Size": f"{width} × {height}" + (", as shown" if full_size else f", as the model {model} sees it"),
    }
    _write_png(pixels, said, output)
    typer.echo(_line("written", str(output)))
    for name, value in said.items():
        typer.echo(_line(name.lower(), value))
    if chosen.meta.note:
        typer.echo(_line("note", chosen.meta.note))


def _row(info: FileInfo) -> dict[str, Any]:
    """What is said of a file, in this order."""
    meta = info.meta
    return {
        "source": info.source,
        "format": meta.format,
        "n_frames": info.n_frames,
        "rows": meta.rows,
        "columns": meta.columns,
        "bits": meta.bits,
        "spacing_mm": meta.spacing_mm,
        "volume": info.volume and asdict(info.volume),
        "modality": meta.modality,
        "body_part": meta.body_part,
        "view": meta.view,
        "prompt": info.prompt,
        "window": meta.window,
        "photometric_interpretation": info.photometric_interpretation,
        "sop_class": info.sop_class,
        "transfer_syntax": info.transfer_syntax,
        "note": meta.note,
    }


def _lines(row: dict[str, Any]) -> Iterator[str]:
    """A file's block: its name, then what is known, a line each."""
    yield row["source"]
    yield "  " + _line("format", row["format"] or "unknown")
    if row["rows"] is not None:
        yield "  " + _line("frames", f"{row['n_frames']:,} of {row['rows']} rows × {row['columns']} columns")
    if row["volume"]:
        volume = row["volume"]
        shape = " × ".join(map(str, volume["shape"]))
        yield "  " + _line("volume", f"{shape} voxels to the right, front and head, {volume['n_times']} in time")
        yield "  " + _line("voxel spacing", " × ".join(f"{mm:g}" for mm in volume["spacing_mm"]) + " mm")
        yield "  " + _line("stored axes", f"{volume['stored_axes']} (where each grows to)")
    elif row["spacing_mm"]:
        yield "  " + _line("pixel spacing", "{:g} × {:g} mm".format(*row["spacing_mm"]))
    for name in ("bits", "modality", "body_part", "view", "prompt", "window", "photometric_interpretation"):
        if row[name]:
            yield "  " + _line(name.replace("_interpretation", "").replace("_", " "), str(row[name]))
    for name in ("sop_class", "transfer_syntax", "note"):
        if row[name]:
            yield "  " + _line(name.replace("_", " "), row[name])


def _line(label: str, value: str) -> str:
    return f"{label:<{LABEL_WIDTH}}{value}"


def only_item(image: str, key: bytes | None = None) -> Item:
    """The one file that a word names. Raises BadParameter for a folder or archive of several files."""
    items = find_images([image], key)
    item = next(items, None)
    if item is None:
        raise typer.BadParameter(f"no picture in {hide_name(image, key)}", param_hint="IMAGE")
    if next(items, None) is not None:
        raise typer.BadParameter(f"{hide_name(image, key)} holds several files: name one", param_hint="IMAGE")
    return item


def pick_frame(item: Item, reading: Reading, number: int | None, key: bytes | None = None) -> Frame:
    """The frame of that number, or the middle one. Raises BadParameter where there is none, ImageError.

    key: of `--deidentify`.
    """
    name = hide_name(item.name, key)
    last = None
    for last in item.frames(reading):
        wanted = last.n_frames // 2 if number is None else number
        if wanted >= last.n_frames:
            message = f"{name} has {last.n_frames:,} frames, from 0 to {last.n_frames - 1}"
            raise typer.BadParameter(message, param_hint="--frame")
        if last.frame_index >= wanted:
            return last
    raise typer.BadParameter(f"{name} has no such frame", param_hint="--frame")


def _as_seen(frame: Frame, model: str) -> NDArray[np.uint8]:
    from dualsight.checkpoint.load import load_config
    from dualsight.image.prepare import resize

    return resize(frame.pixels, load_config(model).preprocessing, source=frame.source)


def _write_png(pixels: NDArray[np.uint8], said: dict[str, str], output: Path) -> None:
    """The pixels as they are, and what is said of them in text chunks. Nothing else: a file name may be a patient's."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    for name, value in {"Software": f"dualsight {__version__}", **said}.items():
        chunks.add_itxt(name, value)
    with whole_file(output) as file:
        Image.fromarray(pixels).save(file, "PNG", pnginfo=chunks)
