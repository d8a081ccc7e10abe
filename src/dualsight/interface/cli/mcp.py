"""`dualsight mcp`: the model as tools for agents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dualsight.interface.cli.cores import share_cores
from dualsight.interface.cli.options import Device, Engine, ModelName, Precision, open_model
from dualsight.interface.cli.stderr import show_line

if TYPE_CHECKING:
    from dualsight.learn.adapt import Adapter

PORT = 8001
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")  # as a Host header has them
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound to


def mcp(
    root: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="files below it may be opened; may be repeated. Without it none"),
    ] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="an adapter for the tool adapter_classify; may be repeated"),
    ] = None,
    db: Annotated[
        str | None,
        typer.Option(
            "--db", metavar="DIR", help="an index for the tool search_images; of its pictures those below a root open"
        ),
    ] = None,
    http: Annotated[bool, typer.Option("--http", help="streamable HTTP at /mcp, instead of stdin and stdout")] = False,
    host: Annotated[
        str | None, typer.Option(help="with --http: the address to listen on", show_default=LOOPBACK[0])
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="with --http; 0 for any that is free", show_default=str(PORT)),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="with --http: who may ask; needed beyond this machine"),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="with --http: a name by which clients reach this machine"),
    ] = None,
    model: ModelName = "demo",
    engine: Engine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
) -> None:
    """Tools for agents, by the Model Context Protocol: classify, embed, explain and find files below the folders given.

    \b
    Example, as an agent's host starts it:
      dualsight mcp --root ~/pictures
    """
    share_cores()
    if not http:
        _check_stdio({"--host": host, "--port": port, "--keys": keys, "--allowed-host": allowed_host or None})
    host = LOOPBACK[0] if host is None else host
    names = _names_of(host, keys, allowed_host or []) if http else []
    files = _name_files(adapter or [])
    try:
        from dualsight.interface.mcp.server import build_server, serve_http
    except ImportError as error:
        from dualsight.errors import MissingExtra

        raise MissingExtra(f"`dualsight mcp` needs {error.name}", hint="pip install 'dualsight[mcp]'") from None
    from dualsight.interface.mcp.catalogue import zeroshot_label_examples
    from dualsight.interface.mcp.pictures import PictureTools
    from dualsight.interface.mcp.roots import Roots
    from dualsight.interface.mcp.search import IndexTools
    from dualsight.store.index import Index

    roots = Roots(root or [])
    heads = _load_heads(files)
    encoder = open_model(model, engine, precision, device)
    opened = None if db is None else Index.open(db, model=encoder)
    searching = () if opened is None else IndexTools(opened, roots).tools
    pictures = PictureTools(encoder, roots, heads, opened)
    server = build_server((zeroshot_label_examples, *pictures.tools, *searching), encoder.notice)
    if not roots.folders:
        show_line("no folder may be read: give --root FOLDER")
    if http:
        serve_http(server, host=host, port=PORT if port is None else port, keys=keys, names=names)
    else:
        server.run("stdio")


def _name_files(adapters: list[str]) -> dict[str, Path]:
    """Raises BadParameter for what is not NAME=FILE, or a name that comes twice."""
    files: dict[str, Path] = {}
    for text in adapters:
        name, _, file = text.partition("=")
        if not name or not file or name in files:
            raise typer.BadParameter(f"{text!r} is not NAME=FILE with a name of its own", param_hint="--adapter")
        files[name] = Path(file)
    return files


def _load_heads(files: dict[str, Path]) -> dict[str, Adapter]:
    if not files:
        return {}
    from dualsight.learn.adapt import load_adapter

    return {name: load_adapter(file) for name, file in files.items()}


def _check_stdio(of_http: Mapping[str, object]) -> None:
    """Raises BadParameter for an option that only HTTP has."""
    for name, value in of_http.items():
        if value is not None:
            raise typer.BadParameter("only with --http", param_hint=name)


def _names_of(host: str, keys: Path | None, allowed: list[str]) -> list[str]:
    """The names under which requests may come by HTTP. Raises BadParameter for what would let strangers in."""
    if host in LOOPBACK:
        return [*LOOPBACK_NAMES, *allowed]
    if keys is None:
        raise typer.BadParameter(f"{host} can be reached from other machines: say who may ask", param_hint="--keys")
    if host in ANY_ADDRESS and not allowed:
        raise typer.BadParameter(f"{host} is no name that clients use: say under which", param_hint="--allowed-host")
    return [*LOOPBACK_NAMES, f"[{host}]" if ":" in host else host, *allowed]
