"""`dualsight pull` and `verify`: a checkpoint comes here, and is what it says."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dualsight.interface.cli.exits import FAILURE
from dualsight.interface.cli.options import AsJson, Subject
from dualsight.interface.cli.stderr import console, waiting


def pull(
    hub_id: Annotated[
        str | None,
        typer.Argument(metavar="[HUB_ID]", help="owner/name; without it, the official weights", show_default=False),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="a branch, tag or commit")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="a folder in place of the hub's cache")
    ] = None,
) -> None:
    """Download a checkpoint from a Hugging Face hub; prints its folder. Starts again where it broke off.

    \b
    Example:
      dualsight pull lion-ai/MedImageInsights -o weights/
    """
    if not console().is_terminal:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read when huggingface_hub is imported
    from dualsight.checkpoint import hub

    typer.echo(hub.pull(hub_id or hub.OFFICIAL_REPO, revision=revision, folder=output))


def verify(
    model: Subject,
    image: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="the published chest X-ray, to compare its embedding too")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Is a checkpoint what it says, and does it compute here what it computed elsewhere? Exit code 1 says no.

    \b
    Example:
      dualsight verify weights/2024.09.27
    """
    with waiting(f"verifying {model}"):
        from dualsight.checkpoint import verify as checks

        report = checks.verify(model, image)
    if as_json:
        typer.echo(json.dumps({**asdict(report), "passed": report.passed}, indent=2, ensure_ascii=False))
    else:
        for check in report.checks:
            typer.echo(f"{'passed' if check.passed else 'FAILED'}  {check.name}: {check.detail}")
        kind = "the official weights" if report.official else "a checkpoint, not the official weights"
        typer.echo(f"{report.name}: {kind}; {'all checks passed' if report.passed else 'not as it should be'}")
    if not report.passed:
        raise typer.Exit(FAILURE)
