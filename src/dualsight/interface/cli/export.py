"""`dualsight export`: both encoders as files that run without this package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dualsight.interface.cli.options import Subject
from dualsight.interface.cli.stderr import show_line, waiting


def export(
    model: Subject,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="a new folder for the files")],
    format: Annotated[Literal["onnx", "openvino"], typer.Option(help="whose files")] = "onnx",
) -> None:
    """Both encoders as ONNX or OpenVINO files, which run without this package.

    In float32, for any number of pictures or texts at a time; compared with torch before they are kept.

    \b
    Example:
      dualsight export demo -o demo-onnx
    """
    with waiting(f"loading {model}") as say:
        from dualsight.checkpoint.load import load_checkpoint
        from dualsight.engine.export import export as write

        found = write(load_checkpoint(model), output, format, progress=say)
    show_line(f"{output}: within {found.images:.0e} (images) and {found.texts:.0e} (texts) of torch")
