"""`dualsight quantize`: a checkpoint whose image tower computes in int8, or a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dualsight.interface.cli.exits import FAILURE
from dualsight.interface.cli.options import Subject, find_images
from dualsight.interface.cli.stderr import show_error, show_line, waiting
from dualsight.interface.whole_file import check_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dualsight.image.prepare import Preprocessing

FEWEST = 8


def quantize(
    model: Subject,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="a new folder for the checkpoint")],
    calibrate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGES", help="a folder of pictures of the kinds that will be embedded; without it, phantoms"
        ),
    ] = None,
    pictures: Annotated[int, typer.Option(min=FEWEST, metavar="N", help="how many of them at most")] = 400,
    min_cosine: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="C", help="to float32, of every picture that is compared")
    ] = 0.995,
) -> None:
    """A checkpoint with its image tower in int8, with a report of what that cost; refused where it costs too much.

    Every fourth picture is compared with float32, and not calibrated on.

    \b
    Example:
      dualsight quantize demo --calibrate scans/ -o demo-int8
    """
    check_folder(output)
    with waiting(f"loading {model}") as say:
        from dualsight.checkpoint.load import load_checkpoint
        from dualsight.engine.quantize import nncf_library
        from dualsight.engine.quantize import quantize as write

        nncf_library()  # before the pictures are read for nothing
        checkpoint = load_checkpoint(model)
        say("reading pictures")
        preprocessing = checkpoint.config.preprocessing
        chosen = _pictures(calibrate, preprocessing, pictures) if calibrate else _phantoms(preprocessing, pictures)
        pixels = list(islice(chosen, pictures))
        report = write(checkpoint, output, pixels, min_cosine=min_cosine, progress=say)
    show_line(
        f"{output}: cosine to float32 {report.cosine_least:.4f} at least, {report.cosine_median:.4f} in the median "
        f"of {report.compared_on} pictures; {report.seconds_int8:.3f} s a picture beside "
        f"{report.seconds_float32:.3f} s; {report.bytes_int8 / 1e6:.0f} MB beside {report.bytes_float32 / 1e6:.0f} MB; "
        f"{len(report.kept_in_float)} inputs kept in float"
    )


def _pictures(sources: list[str], preprocessing: Preprocessing, most: int) -> Iterator[NDArray[np.float32]]:
    """Pixels of the first `most` frames; a picture that cannot be read is said, and passed over."""
    from dualsight.errors import ImageError
    from dualsight.image.open import read
    from dualsight.image.prepare import prepare
    from dualsight.image.reading import Reading

    found = 0
    for item in find_images(sources):
        try:
            for frame in read(item.load(), Reading(), source=item.name):
                yield prepare(frame, preprocessing)
                found += 1
                if found == most:
                    return
        except ImageError as error:
            show_error(str(error), error.hint)
    if found < FEWEST:
        show_error(f"{found} pictures are too few to calibrate on", f"give at least {FEWEST}")
        raise typer.Exit(FAILURE)


def _phantoms(preprocessing: Preprocessing, count: int) -> Iterator[NDArray[np.float32]]:
    """Pixels of procedural pictures, of patients that the demonstration model was neither trained nor measured on."""
    from dualsight.image.frame import Frame
    from dualsight.image.prepare import prepare
    from dualsight.learn.phantom.catalogue import draw_many

    for phantom in draw_many(CALIBRATION_PATIENTS, count, size=256):
        yield prepare(Frame(pixels=phantom.pixels, source="phantom"), preprocessing)


CALIBRATION_PATIENTS = 5_000_000  # the first of them: training takes those from 0 on
