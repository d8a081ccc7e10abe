"""`dualsight doctor`: what is installed here, and what will run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dualsight.interface.cli.options import AsJson
from dualsight.interface.cli.stderr import waiting

if TYPE_CHECKING:
    from dualsight.interface.cli.machine import Machine

LABEL_WIDTH = 18


def doctor(
    as_json: AsJson = False,
    explain_engine: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="which engine computes this checkpoint here, and why", show_default=False),
    ] = None,
) -> None:
    """What is installed, which device and engine will run, how much memory and disk is free.

    \b
    Example:
      dualsight doctor
    """
    if explain_engine is not None:
        _explain_engine(explain_engine, as_json)
        return
    with waiting("looking"):
        from dualsight.interface.cli.machine import look

        machine = look()
    if as_json:
        typer.echo(json.dumps(_document(machine), indent=2, ensure_ascii=False))
    else:
        for line in _lines(machine):
            typer.echo(line)


def _explain_engine(where: str, as_json: bool) -> None:
    """For exact and for fast results: the engine, why it is the one, and what each offer lacks here."""
    with waiting(f"measuring the engines on {where}, once"):
        from dualsight.checkpoint.load import load_checkpoint
        from dualsight.engine.select import choose, offers

        checkpoint = load_checkpoint(where)
        choices = {"exact": choose(checkpoint, precision="exact"), "fast": choose(checkpoint, precision="fast")}
        missing = {offer.title: offer.missing for offer in offers(checkpoint) if offer.missing}
    if as_json:
        chosen = {name: {"engine": one.engine.name, "reasons": one.reasons} for name, one in choices.items()}
        typer.echo(json.dumps({"model": checkpoint.name, **chosen, "missing": missing}, indent=2, ensure_ascii=False))
        return
    for precision, choice in choices.items():
        typer.echo(_line(precision, choice.engine.name))
        for reason in choice.reasons:
            typer.echo(_line("", reason))
    for title, problem in missing.items():
        typer.echo(_line("not offered", f"{title}: {problem}"))


def _document(machine: Machine) -> dict[str, object]:
    extras = [{**asdict(extra), "command": extra.command} for extra in machine.extras]
    return {**asdict(machine), "extras": extras}


def _lines(machine: Machine) -> Iterator[str]:
    yield _line("dualsight", machine.dualsight)
    yield _line("python", machine.python)
    yield _line("system", machine.system)
    yield _line("torch", f"{machine.torch}, {machine.threads} threads on {machine.cpus} processors")
    yield _line("devices", ", ".join(machine.devices))
    yield _line("engine", f"{machine.engine} computes the demonstration model; --explain-engine MODEL tells others'")
    yield _line("memory", f"{_gigabytes(machine.memory_available)} free of {_gigabytes(machine.memory_total)}")
    for folder, free in machine.disk_free.items():
        yield _line("disk", f"{_gigabytes(free)} free at {folder}")
    yield from _demo_lines(machine)
    yield _line("hub cache", machine.cache)
    for name, value in machine.variables.items():
        yield _line(name, value)
    for extra in machine.extras:
        state = "installed" if extra.installed else f"not installed: {extra.command}"
        yield _line(f"extra {extra.name}", f"{state} ({', '.join(extra.packages)})")
    yield ""
    yield "What decodes compressed pictures:"
    width = max(map(len, machine.codecs))
    for name, libraries in machine.codecs.items():
        yield f"  {name:<{width}}  {_listed(libraries)}"


def _demo_lines(machine: Machine) -> Iterator[str]:
    if machine.demo.problem is None:
        yield _line("demo checkpoint", f"{machine.demo.folder}, fingerprint {machine.demo.fingerprint}")
    else:
        yield _line("demo checkpoint", f"cannot be used: {machine.demo.problem}")


def _line(label: str, value: str) -> str:
    return f"{label:<{LABEL_WIDTH}}{value}"


def _listed(libraries: Iterable[str]) -> str:
    return ", ".join(libraries) or "nothing: such files cannot be read"


def _gigabytes(size: int | None) -> str:
    return "an unknown amount" if size is None else f"{size / 1e9:.1f} GB"
