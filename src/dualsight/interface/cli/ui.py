"""`dualsight ui`: the page, on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from dualsight.interface.cli.cores import share_cores
from dualsight.interface.cli.need import need_page
from dualsight.interface.cli.options import Device, Engine, ModelName, Precision
from dualsight.interface.cli.stderr import show_line


def ui(
    model: ModelName = "demo",
    db: Annotated[
        str | None,
        typer.Option("--db", metavar="DIR", help="what the page searches; who sees the page sees its pictures"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 8000,
    max_file_mb: Annotated[int, typer.Option("--max-file-mb", min=1, max=2048, help="of a file that is dropped")] = 64,
    engine: Engine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
) -> None:
    """Open a page on this machine: classify, compare, search and look inside, without code. Never a diagnosis.

    Others cannot reach it, and it asks nothing of other machines. `dualsight serve --ui` has it beside the server's
    routes.

    \b
    Example:
      dualsight ui --db archive.db
    """
    share_cores()
    need_page()
    from dualsight.interface.http.app import Settings
    from dualsight.interface.http.limits import ServerLimits, room_for
    from dualsight.interface.http.run import Place, check, serve

    limits = ServerLimits(body_bytes=max_file_mb << 20, bodies_bytes=room_for(max_file_mb << 20))
    settings = Settings(
        model=model, engine=engine, precision=precision, device=device, page=True, index=db, limits=limits
    )
    place = Place(port=port)
    check(place, settings, insecure=False)
    if port:
        show_line(f"the page: http://{place.host}:{port}/ui (Ctrl-C ends it)")
    serve(place, settings)
