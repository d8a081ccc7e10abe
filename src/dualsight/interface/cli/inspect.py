"""`dualsight inspect`: what a model is made of and what it costs, and one picture and its texts walked through it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dualsight.interface.cli.whole_file import check_place

if TYPE_CHECKING:
    from dualsight.model.config import DaViTConfig, DualConfig
    from dualsight.task.inspect.report import Report


def inspect(
    model: Annotated[
        str,
        typer.Argument(
            help="a checkpoint folder or file, a hub id, `demo`, a config.yaml, or a published model's name: "
            "medimageinsight, davit-tiny, …",
        ),
    ] = "demo",
    image: Annotated[Path | None, typer.Option(help="walk this picture through the image encoder")] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="walk this text through the text encoder; may be repeated")
    ] = None,
    weights: Annotated[bool, typer.Option("--weights", help="list every tensor of the checkpoint")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="beside DaViT Tiny, Small and Base")] = False,
    html: Annotated[Path | None, typer.Option(help="write the walk of --image as one page here")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Look inside a model: stages, sizes and costs; a picture and texts on their way to a probability.

    A config.yaml or a published name needs no weights, and so has tables alone.

    \b
    Example:
      dualsight inspect medimageinsight --compare
    """
    if html is not None and image is None:
        raise typer.BadParameter("the page shows a picture's walk: give one with --image", param_hint="--html")
    if html is not None:
        check_place(html)
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
