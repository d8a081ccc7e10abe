"""The command line: one command a name, each in its group's file."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dualsight import __version__
from dualsight.interface.cli.adapt import commands as adapt_commands
from dualsight.interface.cli.checkpoints import pull, verify
from dualsight.interface.cli.classify import classify
from dualsight.interface.cli.demo import demo
from dualsight.interface.cli.doctor import doctor
from dualsight.interface.cli.embed import embed, embed_text
from dualsight.interface.cli.evaluate import evaluate
from dualsight.interface.cli.exits import Commands
from dualsight.interface.cli.explain import explain
from dualsight.interface.cli.export import export
from dualsight.interface.cli.image import commands as image_commands
from dualsight.interface.cli.index import commands as index_commands
from dualsight.interface.cli.inspect import inspect
from dualsight.interface.cli.mcp import mcp
from dualsight.interface.cli.phantom import phantom
from dualsight.interface.cli.quality import commands as quality_commands
from dualsight.interface.cli.quantize import quantize
from dualsight.interface.cli.search import search, search_evaluate
from dualsight.interface.cli.serve import commands as key_commands
from dualsight.interface.cli.serve import serve
from dualsight.interface.cli.similarity import similarity
from dualsight.interface.cli.train import train
from dualsight.interface.cli.ui import ui


class Words(Commands):
    """The commands by their names; `search evaluate` is one as well, beside `search` with its own words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Joins the two; an index that is called evaluate is searched as ./evaluate."""
        if args[:2] == ["search", "evaluate"]:
            args = ["search-evaluate", *args[2:]]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=Words,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain text: readable everywhere, and quick
    pretty_exceptions_enable=False,  # they print the values of variables
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dualsight {__version__}")
        raise typer.Exit


@app.callback()
def describe(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print it")
    ] = False,
) -> None:
    """MedImageInsight, a dual encoder of medical images and text, on your own machine.

    Research software: no output is a diagnosis.
    """


app.command()(demo)
app.command()(classify)
app.command()(embed)
app.command("embed-text")(embed_text)
app.command()(similarity)
app.add_typer(image_commands, name="image")
app.add_typer(index_commands, name="index")
app.command()(search)
app.command("search-evaluate")(search_evaluate)
app.command()(inspect)
app.command()(explain)
app.command()(phantom)
app.command()(train)
app.command()(evaluate)
app.add_typer(adapt_commands, name="adapt")
app.add_typer(quality_commands, name="qc")
app.command()(mcp)
app.command()(serve)
app.add_typer(key_commands, name="keys")
app.command()(ui)
app.command()(pull)
app.command()(verify)
app.command()(quantize)
app.command()(export)
app.command()(doctor)
