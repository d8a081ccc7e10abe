"""The picture's way: picture, four stages, features, embedding."""

from __future__ import annotations

from dualsight.interface.page_walk.figures import picture, rising
from dualsight.interface.page_walk.parts import bar, section, statistics, vector, words
from dualsight.interface.words import billions, by, count, number
from dualsight.task.inspect.table import ImageTable, StageRow
from dualsight.task.inspect.walk import ImageWalk, StageWalk

LONGEST = 720  # pixels of the picture as it is shown; beyond that a page grows and nobody sees more


def picture_section(walk: ImageWalk, table: ImageTable) -> str:
    """What the file shows, and what is left of it for the encoder."""
    height, width = walk.shown.shape[:2]
    frame = f" This is frame {walk.frame_index} of {walk.n_frames}, counted from 0." if walk.n_frames > 1 else ""
    name = words(walk.source)
    shown = (
        f"<figure>{picture(walk.shown, f'The picture {walk.source} as it is shown', kind='photo', longest=LONGEST)}"
        f"<figcaption><strong>{name}</strong>, {width}×{height} pixels, as it is shown.{frame}</figcaption></figure>"
    )
    sides = by(walk.resized.shape[:2])
    seen = (
        f"<figure>{picture(walk.resized, 'The same picture, resized for the encoder', kind='photo')}"
        f"<figcaption>All that the encoder sees of it: {sides} pixels, three channels of 0…255.</figcaption></figure>"
    )
    cut = f"Whatever its size, the picture is resized to {sides}"
    if walk.center_crop:
        cut = f"The picture is resized, and its centre of {sides} is cut out"
    return section(
        "picture",
        "image",
        "Picture",
        "A picture becomes pixels",
        f"<p>{cut}. Then each colour channel is shifted and scaled so "
        "that its values lie around zero: the encoder was trained on numbers like these.</p>",
        f'<div class="row">{shown}{seen}</div>',
        statistics("The numbers that enter the encoder", [("normalised pixels", walk.pixels)]),
    )


def stages_section(walk: ImageWalk, table: ImageTable) -> str:
    """Each stage as a card: what happens, what came out, what it looks like."""
    cards = (_stage(made, row, table) for made, row in zip(walk.stages, table.stages, strict=True))
    return section(
        "stages",
        "image",
        "Image encoder",
        f"{len(walk.stages)} stages: fewer tokens, each of more numbers",
        "<p>A <em>token</em> is a list of numbers that stands for one square of the picture. Each stage first merges "
        "neighbouring tokens by a convolution, then lets them exchange what they know.</p>",
        "<p class='soft'>How to read the pictures: left, tokens of like colour hold like numbers (red, green and blue "
        "are the three directions in which the tokens differ most). Right, the length of each token’s list "
        "of numbers, short in dark blue and long in yellow. Neither shows what the model finds important.</p>",
        *cards,
    )


def _stage(made: StageWalk, row: StageRow, table: ImageTable) -> str:
    explained = sum(made.picture.explained)
    low, high = map(number, made.picture.norm_range)
    grid = by(made.grid)
    colours = (
        f"<figure>{picture(made.picture.components, _alt(made, 'coloured by likeness'), kind='tokens')}"
        f"<figcaption>Likeness of tokens; the colours hold {explained:.0%} of their variance.</figcaption></figure>"
    )
    lengths = (
        f"<figure>{picture(rising(made.picture.norms), _alt(made, 'coloured by their length'), kind='tokens')}"
        f"<figcaption>Length of tokens, {low} to {high}.</figcaption></figure>"
    )
    parameters = row.cost.parameters / table.total.parameters
    work = row.cost.macs / table.total.macs
    shares = (
        f"<p class='soft'>{count(row.cost.parameters)} parameters, {parameters:.0%} of all{bar(parameters)}</p>",
        f"<p class='soft'>{billions(row.cost.flops)} GFLOP, {work:.0%} of the work{bar(work)}</p>",
    )
    numbers = statistics(
        f"The tokens of stage {made.stage}",
        [("after the convolution", made.embedded), ("after the blocks", made.tokens)],
    )
    return (
        f'<article class="card"><h3>Stage {made.stage}: {grid} tokens of {count(row.channels)} numbers</h3>'
        f'<div class="stage"><div><div class="pictures">{colours}{lengths}</div>{"".join(shares)}</div>'
        f"<div><p>{_happens(row, table)}</p>{numbers}</div></div></article>"
    )


def _alt(made: StageWalk, how: str) -> str:
    return f"The {by(made.grid)} tokens of stage {made.stage} as squares on their grid, {how}"


def _happens(row: StageRow, table: ImageTable) -> str:
    """What this stage does, in a sentence or two."""
    covers = by(round(side / tokens) for side, tokens in zip(table.image_size, row.grid, strict=True))
    merge = (
        f"A {row.kernel}×{row.kernel} convolution in steps of {row.stride} pixels makes the first tokens"
        if row.stage == 1
        else f"A {row.kernel}×{row.kernel} convolution in steps of {row.stride} halves the grid"
    )
    window = f"window of {row.window}×{row.window}"
    if row.groups is None:
        blocks = f"{row.blocks} block{'s' if row.blocks > 1 else ''} let"
        return (
            f"{merge}: each stands for {covers} pixels. Then {blocks} each token look at the others in its {window}, "
            f"{row.heads} heads at once."
        )
    pairs = "one pair of blocks follows" if row.blocks == 1 else f"{row.blocks} pairs of blocks follow"
    return (
        f"{merge}: each stands for {covers} pixels. Then {pairs}: in a <em>spatial</em> block each token looks at "
        f"the others in its {window} ({row.heads} heads); in a <em>channel</em> block each channel looks at the "
        f"others of its group, over the whole picture at once ({row.groups} groups)."
    )


def pooling_section(walk: ImageWalk) -> str:
    """Tokens to features to embedding."""
    last = walk.stages[-1]
    tokens = last.grid[0] * last.grid[1]
    features, embedding = count(len(walk.features)), count(len(walk.embedding))
    return section(
        "pooling",
        "image",
        "Embedding",
        f"{count(tokens)} tokens become {features} numbers, then {embedding}",
        f"<p>The last stage’s {count(tokens)} tokens are averaged and normalised: the picture’s <em>features</em>. One "
        f"matrix, {features}×{embedding}, turns them into the space that pictures share with texts, and the result is "
        "scaled to length 1: its <em>embedding</em>.</p>",
        '<div class="row">',
        vector(
            walk.features, "Features of the picture", f"Features: {features} numbers, {_spread(walk.features.std())}"
        ),
        vector(walk.embedding, "Embedding of the picture", f"Embedding: {embedding} numbers, length 1"),
        "</div>",
    )


def _spread(std: float) -> str:
    return f"standard deviation {number(float(std))}"
