"""What the encoders are made of, as tables: sizes, parameters, work."""

from __future__ import annotations

from collections.abc import Callable

from dualsight.interface.page_walk.parts import row, section, table
from dualsight.interface.words import billions, by, count
from dualsight.model.cost import PARTS
from dualsight.task.inspect.table import ImageTable, ModelTable, StageRow


def tables_section(model: ModelTable, name: str = "tables") -> str:
    """The article's table, where the work goes, and the whole model. name: of the section, once in a page."""
    image = model.image
    padding = 2 * (image.padded_macs - image.total.macs)
    saved = f" Padding the grids to whole windows would add {billions(padding)} GFLOP." if padding else ""
    return section(
        name,
        "both",
        "In numbers",
        "What the two encoders are made of",
        '<div class="card">',
        _stages(image),
        "</div>",
        '<div class="card"><h3>Where the work goes</h3>'
        f'<p class="soft">One picture takes {billions(image.total.flops)} GFLOP: a multiplication and an '
        f"addition are two. The DaViT paper counts them as one ({billions(image.total.macs)} G).{saved}</p>",
        _work(image),
        "</div>",
        '<div class="card">',
        _whole(model),
        "</div>",
    )


def _stages(image: ImageTable) -> str:
    lines: list[tuple[str, Callable[[StageRow], object]]] = [
        ("convolution", lambda s: f"{s.kernel}×{s.kernel}, stride {s.stride}, padding {s.padding}"),
        ("grid of tokens", lambda s: by(s.grid)),
        ("channels", lambda s: count(s.channels)),
        ("heads", lambda s: s.heads),
        ("groups", lambda s: "–" if s.groups is None else s.groups),
        ("window", lambda s: by((s.window, s.window))),
        ("pairs of blocks" if image.architecture == "DaViT" else "blocks", lambda s: s.blocks),
        ("parameters", lambda s: count(s.cost.parameters)),
        ("GFLOP", lambda s: billions(s.cost.flops)),
    ]
    return table(
        f"The image encoder, {image.architecture}, at {by(image.image_size)} pixels",
        ("", *(f"stage {stage.stage}" for stage in image.stages)),
        (row(name, map(value, image.stages)) for name, value in lines),
    )


def _work(image: ImageTable) -> str:
    """A bar for each stage, as long as its share of the work, cut into parts; and the same as numbers."""
    flops = [[_part(stage, name) for name in PARTS] for stage in image.stages]
    most = max(sum(parts) for parts in flops)
    used = [i for i in range(len(PARTS)) if any(parts[i] for parts in flops)]
    key = "".join(f'<li><i class="part{i}"></i>{PARTS[i]}</li>' for i in used)

    def pieces(parts: list[int]) -> str:
        cuts = "".join(f'<i class="part{i}" style="width:{100 * parts[i] / most:.2f}%"></i>' for i in used)
        return f'<div class="work" aria-hidden="true">{cuts}</div>'

    bars = "".join(
        f'<p class="soft" style="margin:8px 0 3px">Stage {stage.stage}</p>{pieces(parts)}'
        for stage, parts in zip(image.stages, flops, strict=True)
    )
    rows = [row(PARTS[i], [billions(parts[i]) for parts in flops] + [billions(sum(p[i] for p in flops))]) for i in used]
    heads = ("", *(f"stage {stage.stage}" for stage in image.stages), "all")
    return f'{bars}<ul class="key">{key}</ul>{table("GFLOP by stage and part", heads, rows)}'


def _part(stage: StageRow, name: str) -> int:
    return sum(part.cost.flops for part in stage.parts if part.name == name)


def _whole(model: ModelTable) -> str:
    rows = [row("image encoder", ("", count(model.image.total.parameters)))]
    if model.text is not None:
        text = model.text
        made = f"{text.layers} layers, width {count(text.width)}, {text.heads} heads"
        rows.append(row("text encoder", (made, count(text.parameters))))
    rows += [row(f"<code>{part.key}</code>", (by(part.shape), count(part.parameters))) for part in model.projections]
    rows.append(row("together", ("", count(model.parameters)), kind="best"))
    return table("The whole model", ("", "", "parameters"), rows)
