"""`dualsight serve` and `dualsight keys`: the server that existing clients know, and who may ask it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dualsight.interface.cli.cores import share_cores
from dualsight.interface.cli.need import need_page, need_server
from dualsight.interface.cli.options import Device, Engine, ModelName, Precision

commands = typer.Typer(no_args_is_help=True, help="Keys of `dualsight serve`: names and hashes in a file.")

KeyFileOption = Annotated[Path, typer.Option("--keys", metavar="FILE", help="the key file")]


def serve(
    model: ModelName = "demo",
    engine: Engine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
    host: Annotated[str, typer.Option(help="beyond this machine a key file is needed")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 8000,
    adapter: Annotated[Path | None, typer.Option(metavar="FILE", help="/score classifies with it")] = None,
    keys: Annotated[Path | None, typer.Option(metavar="FILE", help="see `dualsight keys add`")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="let others in without a key")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="processes on one socket; one dies, one is started")] = 1,
    deadline_s: Annotated[float, typer.Option("--deadline-s", min=0.1, help="for each request")] = 60.0,
    max_body_mb: Annotated[int, typer.Option("--max-body-mb", min=1, max=2048, help="of one request")] = 64,
    max_images: Annotated[int, typer.Option("--max-images", min=1, help="of one request")] = 64,
    max_queue: Annotated[int, typer.Option("--max-queue", min=1, help="images in hand, of all requests")] = 256,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="PEM, with its chain")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="PEM")] = None,
    ui: Annotated[bool, typer.Option("--ui", help="with the page of `dualsight ui`, at /ui")] = False,
    db: Annotated[
        str | None,
        typer.Option("--db", metavar="DIR", help="what /v1/search and the page search; the page shows its pictures"),
    ] = None,
) -> None:
    """Serve a model by HTTP: our own routes, and those of lion-ai, Azure and OpenAI. Logs on stderr.

    \b
    Example:
      dualsight keys add ward7 --keys keys.txt
      dualsight serve --host 0.0.0.0 --keys keys.txt
    """
    need_server()
    share_cores()
    if ui:
        need_page()
    from dualsight.engine.processor import n_cores
    from dualsight.interface.http.app import Settings
    from dualsight.interface.http.keys import is_loopback
    from dualsight.interface.http.limits import ServerLimits, room_for
    from dualsight.interface.http.run import Place, check
    from dualsight.interface.http.run import serve as serve_until_ended

    limits = ServerLimits(
        body_bytes=max_body_mb << 20,
        bodies_bytes=room_for(max_body_mb << 20),
        images=max_images,
        queued_images=max_queue,
        deadline_s=deadline_s,
    )
    settings = Settings(
        model=model,
        engine=engine,
        precision=precision,
        device=device,
        adapter=adapter,
        keys=keys,
        local_only=is_loopback(host) and keys is None,
        cores=max(1, n_cores() // workers) if workers > 1 else None,
        page=ui,
        index=db,
        limits=limits,
    )
    place = Place(host=host, port=port, workers=workers, tls_cert=tls_cert, tls_key=tls_key)
    check(place, settings, insecure=insecure)
    serve_until_ended(place, settings)


@commands.command()
def add(name: Annotated[str, typer.Argument(metavar="NAME", help="whose key it will be")], file: KeyFileOption) -> None:
    """Make a key and print it, once: the file keeps only its hash. A running server takes it at once.

    \b
    Example:
      dualsight keys add ward7 --keys keys.txt
    """
    from dualsight.interface.http.key_file import add_key, new_key
    from dualsight.interface.whole_file import check_place

    check_place(file)
    key = new_key()
    _write(file, add_key(file, name, key))
    typer.echo(key)


@commands.command()
def remove(name: Annotated[str, typer.Argument(metavar="NAME", help="whose key ends")], file: KeyFileOption) -> None:
    """Take a key back. A running server refuses it from then on.

    \b
    Example:
      dualsight keys remove ward7 --keys keys.txt
    """
    from dualsight.interface.http.key_file import remove_key

    _write(file, remove_key(file, name))


@commands.command("list")
def show(file: KeyFileOption) -> None:
    """Print the names of the keys.

    \b
    Example:
      dualsight keys list --keys keys.txt
    """
    from dualsight.interface.http.key_file import read_hashes

    for name in read_hashes(file):
        typer.echo(name)


def _write(file: Path, text: str) -> None:
    from dualsight.interface.whole_file import whole_file

    with whole_file(file) as out:
        out.write(text.encode())
