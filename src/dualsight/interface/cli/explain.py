"""`dualsight explain`: heat maps that show where in a picture a label's similarity comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dualsight.interface.cli.classify import read_labels
from dualsight.interface.cli.deidentify import Deidentify, hide_errors, hide_name, read_key_if
from dualsight.interface.cli.image import only_item, pick_frame
from dualsight.interface.cli.options import (
    AsJson,
    Device,
    Engine,
    ModelName,
    Mpp,
    PlaneName,
    Precision,
    SquarePixels,
    TilePx,
    WindowName,
    open_model,
    read_reading,
)
from dualsight.interface.cli.result_row import model_origin
from dualsight.interface.cli.stderr import show_line, waiting
from dualsight.interface.explained import MethodName, hottest, map_row
from dualsight.interface.whole_file import check_place

if TYPE_CHECKING:
    from dualsight.task.explain.explain import Explanation, Target
    from dualsight.task.model import Model


def explain(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="one file", show_default=False)],
    labels: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="a map for each; of several, each against the others")
    ] = None,
    text: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="a map for this text, as it stands")] = None,
    like: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="a map of what makes the picture like this other one")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="LABEL", help="each of --labels against this one: why A, and not B")
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="a prompt with {label} in it; several are averaged"),
    ] = None,
    method: Annotated[
        MethodName, typer.Option(help="how it is found out; docs/explain.md compares them")
    ] = "multi-scale",
    stage: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="whose tokens grad-cam explains, from 1; 3 without it")
    ] = None,
    frame: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="which frame, slice or tile, from 0; the middle one without it"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="a .png (drawn over the picture), .npy or .npz (the maps), .nii or .nii.gz (on a volume's voxels) or "
            ".dcm (a Secondary Capture)",
        ),
    ] = None,
    window: WindowName = "auto",
    square_pixels: SquarePixels = False,
    plane: PlaneName = None,
    tile_px: TilePx = 480,
    mpp: Mpp = None,
    deidentify: Deidentify = False,
    model: ModelName = "demo",
    engine: Engine = "auto",
    precision: Precision = None,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Where in a picture a label's similarity comes from, as a heat map. Never a diagnosis.

    \b
    Example:
      dualsight explain chest.dcm --labels "pneumonia,no finding" -o overlay.png
    """
    if output is not None:
        check_place(output)
    names = read_labels(labels, None) if labels is not None else []
    if not names and not text and like is None:
        raise typer.BadParameter("give what to explain: --labels, --text or --like", param_hint="--labels")
    if against is not None and not names:
        raise typer.BadParameter("only --labels are explained against another label", param_hint="--against")
    if stage is not None and method != "grad-cam":
        raise typer.BadParameter("only --method grad-cam explains one stage", param_hint="--stage")
    reading = read_reading(window, square_pixels, plane, None, tile_px, mpp)
    key = read_key_if(deidentify)

    from dualsight.interface.cli.explain_files import check_frame, check_output, write_explanations
    from dualsight.task.explain.explain import METHODS, explain_frame, picture_target
    from dualsight.task.explain.grad_cam import GradCam

    if output is not None:
        check_output(output)
    with hide_errors(key):
        item = only_item(image, key)
        chosen = pick_frame(item, reading, frame, key)
        if output is not None:
            check_frame(output, chosen)
        encoder = open_model(model, engine, precision, device)
        targets = _targets(encoder, names, against, template, text or [])
        if like is not None:
            targets.append(picture_target(encoder, like, label=f"like {hide_name(str(like), key)}", reading=reading))
        with waiting(f"explaining by {method}"):
            by = METHODS[method] if stage is None else GradCam(stage=stage)
            explanations = [explain_frame(encoder, chosen, target, method=by) for target in targets]
        if output is not None:
            write_explanations(explanations, output, item, reading, key)
    name = hide_name(chosen.source, key)
    if as_json:
        typer.echo(json.dumps(_document(explanations, encoder, name), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(_lines(explanations, name)))
    if output is not None:
        show_line(f"the heat map is in {output}")


def _targets(
    model: Model,
    labels: list[str],
    against: str | None,
    templates: list[str] | None,
    texts: list[str],
) -> list[Target]:
    """What the maps are about: labels, each against `against` or else against the others, then texts."""
    from dualsight.task.explain.explain import label_target
    from dualsight.text.prompts import PLAIN, check_labels

    if labels:
        check_labels(labels)
    targets = [
        label_target(
            model,
            label,
            against=[other for other in labels if other != label] if against is None else against,
            templates=templates or PLAIN,
        )
        for label in labels
    ]
    return targets + [label_target(model, text) for text in texts]


def _document(explanations: list[Explanation], model: Model, source: str) -> dict[str, Any]:
    """What `json.dumps` takes: how the maps came about, and of each its statistics."""
    frame = explanations[0].frame
    return {
        **model_origin(model),
        "engine": model.engine.name,
        "source": source,
        "frame_index": frame.frame_index,
        "n_frames": frame.n_frames,
        "height": frame.pixels.shape[0],
        "width": frame.pixels.shape[1],
        "seen": explanations[0].seen._asdict(),
        "maps": [map_row(explanation) for explanation in explanations],
    }


def _lines(explanations: list[Explanation], source: str) -> list[str]:
    """A block: the picture, then a line for each map."""
    lines = [source]
    for explanation in explanations:
        against = f" against {', '.join(explanation.against)}" if explanation.against else ""
        place = hottest(explanation)
        lines.append(
            f"  {explanation.similarity:+.4f}  {explanation.label}{against}: "
            f"hottest at x {place['x']}, y {place['y']} by {explanation.method}"
        )
    return lines
