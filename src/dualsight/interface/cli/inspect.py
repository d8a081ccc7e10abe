"""`dualsight inspect`: what a model is made of and what it costs, and one picture and its texts walked through it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dualsight.interface.cli.options import AsJson
from dualsight.interface.whole_file import check_place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dualsight.model.config import DaViTConfig, DualConfig
    from dualsight.task.inspect.report import Report


def inspect(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="a checkpoint's folder or file, a hub id, demo, a config.yaml, or a published model's name: "
            "medimageinsight, davit-tiny, …",
        ),
    ] = "demo",
    image: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="walk this picture through the image encoder")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="walk this text through the text encoder; may be repeated")
    ] = None,
    weights: Annotated[bool, typer.Option("--weights", help="list every tensor of the checkpoint")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="beside DaViT Tiny, Small and Base")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write the walk of --image as one page here")
    ] = None,
    attention: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write the attention of each stage for --image as a .png here")
    ] = None,
    at: Annotated[
        str, typer.Option(metavar="X,Y", help="the token whose attention is shown, as parts of the picture, 0 to 1")
    ] = "0.5,0.5",
    as_json: AsJson = False,
) -> None:
    """Look inside a model: stages, sizes and costs; a picture and texts on their way to a probability.

    A config.yaml or a published name needs no weights, and so has tables alone.

    \b
    Example:
      dualsight inspect medimageinsight --compare
    """
    if html is not None and image is None:
        raise typer.BadParameter("the page shows a picture's walk: give one with --image", param_hint="--html")
    if attention is not None and image is None:
        raise typer.BadParameter("attention is that of a picture: give one with --image", param_hint="--attention")
    if attention is not None and attention.suffix.lower() != ".png":
        raise typer.BadParameter(f"{attention} does not end in .png", param_hint="--attention")
    place = _place(at)
    for output in (html, attention):
        if output is not None:
            check_place(output)
    from rich.console import Console

    report = _report(model, image, text or [], weights=weights, peers=compare)
    if as_json:
        from dualsight.interface.cli.inspect_json import as_document

        typer.echo(json.dumps(as_document(report), indent=2, ensure_ascii=False))
    else:
        from dualsight.interface.cli.inspect_tables import show

        show(report, Console(highlight=False))
    if html is not None:
        from dualsight.interface.page_walk.write import write_html

        write_html(report, html)
        Console(stderr=True, highlight=False).print(f"the walk is in {html}", markup=False)
    if attention is not None and report.image is not None:
        _write_attention(model, report.image.resized, place, attention)
        Console(stderr=True, highlight=False).print(f"the attention is in {attention}", markup=False)


def _place(text: str) -> tuple[float, float]:
    """Raises BadParameter for no two numbers."""
    try:
        x, y = (float(number) for number in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not X,Y, for example 0.5,0.5", param_hint="--at") from None
    return x, y


def _write_attention(where: str, resized: NDArray[np.uint8], at: tuple[float, float], output: Path) -> None:
    from PIL import Image

    from dualsight.image.prepare import normalise
    from dualsight.interface.attention_sheet import draw_attention
    from dualsight.interface.whole_file import whole_file
    from dualsight.task.explain.attention import attention
    from dualsight.task.model import load

    model = load(where)
    stages = attention(model, normalise(resized, model.config.preprocessing), at)
    with whole_file(output) as file:
        Image.fromarray(draw_attention(resized, stages)).save(file, "PNG")


def _report(where: str, image: Path | None, texts: list[str], *, weights: bool, peers: bool) -> Report:
    """The report on a configuration where that is all there is, else on the loaded model."""
    from dualsight.errors import ConfigError
    from dualsight.task.inspect.report import report_config, report_model
    from dualsight.task.model import load

    found = _configuration(where)
    if found is None:
        return report_model(load(where), image=image, texts=texts, weights=weights, peers=peers)
    if image is not None or texts:
        raise ConfigError(
            f"{where} is a configuration without weights: nothing can be walked through it",
            hint="name a checkpoint (its folder, a hub id, or demo) to walk a picture or a text",
        )
    config, size = found
    return report_config(where, config, size, weights=weights, peers=peers)


def _configuration(where: str) -> tuple[DualConfig | DaViTConfig, tuple[int, int]] | None:
    """What a config.yaml or a published name describes, and its picture size; None where `where` is a checkpoint."""
    from dualsight.checkpoint.config import read_config
    from dualsight.model.config import DaViTConfig, preset
    from dualsight.task.inspect.table import IMAGENET_SIZE

    path = Path(where)
    if path.suffix in (".yaml", ".yml"):
        config = read_config(path).dual
        return config, config.image_size
    if where == "demo" or "/" in where or path.exists():
        return None
    named = preset(where)
    return named, IMAGENET_SIZE if isinstance(named, DaViTConfig) else named.image_size
