"""A report as tables on a terminal. Stages are columns, so that 80 characters are enough; no meaning is in colour."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from dualsight.interface.words import billions, by, count, number
from dualsight.model.cost import PARTS
from dualsight.task.inspect.report import Report
from dualsight.task.inspect.table import IMAGENET_SIZE, ImageTable, ModelTable, PeerRow, StageRow, TextTable, WeightRow
from dualsight.task.inspect.walk import ImageWalk, Match, StageWalk, Statistics, TextWalk

SHADES = " ░▒▓█"
MAP_WIDTH = 36  # characters across a feature map


def show(report: Report, console: Console) -> None:
    """Prints all that a report holds, tables first, then the walks."""
    console.print(f"model {report.name}", markup=False, style="bold")
    if report.notice:
        console.print(report.notice, markup=False)
    for block in _blocks(report):
        console.print()
        console.print(block)


def _blocks(report: Report) -> Iterable[RenderableType]:
    yield _stages(report.table.image)
    yield from _costs(report.table.image)
    if report.table.text is not None:
        yield _text_encoder(report.table.text)
    yield _sum(report.table)
    if report.peers:
        yield _peers(report.peers, report.table.image.image_size)
    if report.weights:
        yield _weights(report.weights)
    if report.image is not None:
        yield from _image_walk(report.image)
    for text in report.texts:
        yield from _text_walk(text)
    if report.matches:
        yield _matches(report.matches)


def _table(title: str, *columns: str) -> Table:
    """A plain table whose first column is words and whose others are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.show_header = any(columns)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold")
    return table


def _stages(image: ImageTable) -> Table:
    title = f"Image encoder: {image.architecture}, {by(image.image_size)} pixels"
    table = _table(title, "", *(f"stage {stage.stage}" for stage in image.stages))

    def row(label: str, values: Iterable[object]) -> None:
        table.add_row(label, *map(str, values))

    stages = image.stages
    row("kernel", (stage.kernel for stage in stages))
    row("stride", (stage.stride for stage in stages))
    row("padding", (stage.padding for stage in stages))
    row("grid", (by(stage.grid) for stage in stages))
    row("tokens", (count(stage.grid[0] * stage.grid[1]) for stage in stages))
    row("channels", (count(stage.channels) for stage in stages))
    row("heads", (stage.heads for stage in stages))
    if image.architecture == "DaViT":
        row("groups", (stage.groups for stage in stages))
    row("window", (by((stage.window, stage.window)) for stage in stages))
    row("pairs of blocks" if image.architecture == "DaViT" else "blocks", (stage.blocks for stage in stages))
    row("parameters", (count(stage.cost.parameters) for stage in stages))
    row("GFLOP", (billions(stage.cost.flops) for stage in stages))
    return table


def _costs(image: ImageTable) -> Iterable[RenderableType]:
    table = _table("Where the work goes: GFLOP a picture", "", *(f"stage {s.stage}" for s in image.stages), "all")
    for name in PARTS:
        flops = [_part_flops(stage, name) for stage in image.stages]
        if any(flops):
            table.add_row(name, *map(billions, flops), billions(sum(flops)))
    sums = [stage.cost.flops for stage in image.stages]
    table.add_row("together", *map(billions, sums), billions(sum(sums)))
    yield table
    padding = 2 * (image.padded_macs - image.total.macs)
    summary = (
        f"{count(image.total.parameters)} parameters, {billions(image.total.flops)} GFLOP "
        f"({billions(image.total.macs)} G multiply-accumulates, which the DaViT paper calls FLOPs)."
    )
    if padding:
        summary += f" Padding the grids to whole windows would add {billions(padding)} GFLOP."
    yield Text(summary)


def _part_flops(stage: StageRow, name: str) -> int:
    return sum(part.cost.flops for part in stage.parts if part.name == name)


def _text_encoder(text: TextTable) -> Table:
    table = _table("Text encoder", "", "")
    table.add_row("layers", str(text.layers))
    table.add_row("width", count(text.width))
    table.add_row("heads", str(text.heads))
    table.add_row("vocabulary", count(text.vocabulary))
    table.add_row("context length", str(text.context_length))
    table.add_row("mask", "causal" if text.autoregressive else "padding")
    table.add_row("parameters", count(text.parameters))
    for length, macs in text.macs:
        table.add_row(f"GFLOP at {length} tokens", billions(2 * macs))
    return table


def _sum(model: ModelTable) -> Table:
    table = _table("The whole model", "", "shape", "parameters")
    table.add_row("image encoder", "", count(model.image.total.parameters))
    if model.text is not None:
        table.add_row("text encoder", "", count(model.text.parameters))
    for row in model.projections:
        table.add_row(row.key, by(row.shape) or "one number", count(row.parameters))
    table.add_row("together", "", count(model.parameters))
    return table


def _peers(peers: tuple[PeerRow, ...], size: tuple[int, int]) -> Table:
    sizes = [IMAGENET_SIZE] if size == IMAGENET_SIZE else [IMAGENET_SIZE, size]
    columns = ("model", "channels", "heads", "pairs", "M params", *(f"GMAC {by(side)}" for side in sizes))
    table = _table("Beside DaViT as published", *columns)
    for peer in peers:
        macs = (peer.macs_224, peer.macs_here)[: len(sizes)]
        shape = ("/".join(map(str, values)) for values in (peer.channels, peer.heads, peer.blocks))
        table.add_row(Text(peer.name), *shape, f"{peer.parameters / 1e6:,.1f}", *map(billions, macs))
    return table


def _weights(weights: tuple[WeightRow, ...]) -> Table:
    table = _table(f"Weights: {count(len(weights))} tensors", "key", "shape", "type", "parameters")
    for row in weights:
        table.add_row(Text(row.key), by(row.shape) or "–", row.dtype, count(row.parameters))
    table.add_row("together", "", "", count(sum(row.parameters for row in weights)))
    return table


def _image_walk(walk: ImageWalk) -> Iterable[RenderableType]:
    frame = f", frame {walk.frame_index} of {walk.n_frames}, counted from 0" if walk.n_frames > 1 else ""
    yield Text(f"Picture {walk.source}{frame}", style="bold")
    table = _statistics_table()
    table.add_row("as shown", by(walk.shown.shape))
    table.add_row("resized", by(walk.resized.shape))
    _add(table, "normalised pixels", walk.pixels)
    for stage in walk.stages:
        _add(table, f"stage {stage.stage}, after conv", stage.embedded)
        _add(table, f"stage {stage.stage}, after blocks", stage.tokens)
    yield table
    yield Columns([_map(stage) for stage in walk.stages], padding=(1, 3))
    yield Text(f"features [{len(walk.features)}]: {_first(walk.features)}")
    yield Text(f"embedding [{len(walk.embedding)}], unit length: {_first(walk.embedding)}")


def _statistics_table() -> Table:
    return _table("", "", "shape", "mean", "std", "min", "max", "norm")


def _add(table: Table, label: str, values: Statistics) -> None:
    numbers = (values.mean, values.std, values.minimum, values.maximum, values.norm)
    table.add_row(label, by(values.shape), *map(number, numbers))


def _map(stage: StageWalk) -> Text:
    """A stage's first principal component in shades; half as many lines as columns, since characters are tall."""
    values = stage.picture.components[..., 0]  # [H, W]
    width = min(MAP_WIDTH, 2 * values.shape[1])
    height = max(1, round(width / 2 * values.shape[0] / values.shape[1]))
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    shades = values[np.ix_(rows, columns)].astype(int) * len(SHADES) // 256  # [height, width]
    title = f"stage {stage.stage}, {by(stage.grid)}: first component"
    return Text("\n".join([title, *("".join(SHADES[i] for i in line) for line in shades)]), no_wrap=True)


def _text_walk(walk: TextWalk) -> Iterable[RenderableType]:
    yield Text(f"Text “{walk.text}”, read as “{walk.reading}”", style="bold")
    table = _table("", "position", "id", "mask", "piece")
    for i, piece in enumerate(walk.pieces):
        table.add_row(f"{i}{' (pooled)' if i == walk.pooled else ''}", str(walk.ids[i]), str(walk.mask[i]), Text(piece))
    yield table
    padding = len(walk.ids) - walk.length
    yield Text(f"{walk.length} tokens; {padding} positions of padding follow (mask 0) and are not computed")
    states = _statistics_table()
    _add(states, "hidden states", walk.hidden)
    yield states
    yield Text(f"embedding [{len(walk.embedding)}], unit length: {_first(walk.embedding)}")


def _matches(matches: tuple[Match, ...]) -> Table:
    table = _table("Picture and texts", "text", "cosine", "logit", "one of them", "on its own")
    for match in sorted(matches, key=lambda match: -match.softmax):
        table.add_row(
            Text(match.text),
            f"{match.similarity:.4f}",
            f"{match.logit:.2f}",
            f"{match.softmax:.2%}",
            f"{match.sigmoid:.2%}",
        )
    return table


def _first(vector: NDArray[np.float32]) -> str:
    return " ".join(f"{value:+.5f}" for value in vector[:6]) + " …"
