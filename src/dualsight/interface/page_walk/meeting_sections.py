"""The words' way, and where both meet."""

from __future__ import annotations

import math

from dualsight.interface.page_walk.parts import bar, section, statistics, table, vector, words
from dualsight.interface.words import count
from dualsight.task.inspect.report import Report
from dualsight.task.inspect.table import TextTable
from dualsight.task.inspect.walk import Match, TextWalk, spelling
from dualsight.text.tokenizer import END_OF_WORD


def text_section(report: Report) -> str:
    """Each text as tokens, mask, pooled position and vector."""
    encoder = report.table.text
    if encoder is None or not report.texts:
        return section("words", "text", "Words", "No text was given", "<p>Give one to see it walk.</p>")
    sight = (
        "each sees the ones before it"
        if encoder.autoregressive
        else "each sees all the others, and none sees the padding"
    )
    return section(
        "words",
        "text",
        "Text encoder",
        "Words become tokens, tokens become one vector",
        f"<p>The text is cleaned, put into lower case and cut into pieces that a vocabulary of "
        f"{count(encoder.vocabulary)} knows by number (<em>id</em>). A dot ends a word. "
        f"Each id becomes {count(encoder.width)} numbers; "
        f"in {encoder.layers} layers the tokens look at one another: {sight}. "
        "The last token is the one that is read out: it <em>stands for the text</em>.</p>",
        *(_text(walk, encoder) for walk in report.texts),
    )


def _text(walk: TextWalk, encoder: TextTable) -> str:
    padding = len(walk.ids) - walk.length
    chips = "".join(_chip(i, piece, walk) for i, piece in enumerate(walk.pieces))
    if padding:
        chips += f'<li class="chip padding"><span>+ {padding} × padding</span><span>mask 0</span></li>'
    return (
        f'<article class="card"><h3>“{words(walk.text)}”</h3>'
        f'<p class="soft">{walk.length} of {len(walk.ids)} positions are used (mask 1). '
        f"Position {walk.pooled} stands for the text. Padding is not computed: it would change nothing.</p>"
        f'<ol class="chips" start="0" aria-label="Tokens">{chips}</ol>'
        + '<div class="row">'
        + vector(
            walk.embedding,
            f"Embedding of the text {walk.text}",
            f"{count(encoder.width)} numbers of position {walk.pooled} × a matrix, scaled to length 1: "
            f"the text’s embedding, {count(len(walk.embedding))} numbers",
        )
        + statistics(
            f"States of the tokens of “{words(walk.text)}” after the last layer", [("hidden states", walk.hidden)]
        )
        + "</div></article>"
    )


def _chip(position: int, piece: str, walk: TextWalk) -> str:
    """One token: how it is spelt (· is the end of a word), its id and mask."""
    spelt = spelling(piece) + "·" * piece.endswith(END_OF_WORD)
    pooled = position == walk.pooled
    return (
        f'<li class="chip{" pooled" if pooled else ""}"><b>{words(spelt)}</b>'
        f"<span>id {walk.ids[position]}</span><span>mask {walk.mask[position]}</span>"
        f"{'<em>stands for the text</em>' if pooled else ''}</li>"
    )


def meeting_section(report: Report) -> str:
    """Cosines, logits, probabilities, and where the best one comes from."""
    if not report.matches or report.image is None or report.logit_scale is None:
        return section("meeting", "both", "Meeting", "Nothing to compare", "<p>Give a text to compare with.</p>")
    ranked = sorted(report.matches, key=lambda match: -match.softmax)
    best = ranked[0]
    text = next(walk for walk in report.texts if walk.text == best.text)
    scale = math.exp(report.logit_scale)
    products = report.image.embedding * text.embedding
    return section(
        "meeting",
        "both",
        "Similarity and probability",
        "Where picture and words meet",
        "<p>Both embeddings have length 1, so the sum of their products, number by number, is the cosine of the angle "
        "between them: 1 for the same direction, 0 for nothing in common. A learnt factor stretches it.</p>",
        f'<p class="formula num">logit = {scale:.2f} × cosine</p>',
        table(
            "The picture and each text",
            ("text", "cosine", "logit", "one of these texts", "on its own"),
            (_match(match, best) for match in ranked),
        ),
        "<p class='soft'><strong>One of these texts</strong> (softmax): if exactly one of them is true, how probable "
        "is each; they add up to 100 %, also when none is true. <strong>On its own</strong> (sigmoid): each text by "
        "itself, meaningful as a ranking rather than as a rate.</p>",
        '<article class="card"><h3>Number by number</h3><div class="row">',
        vector(report.image.embedding, "Embedding of the picture", "The picture"),
        vector(text.embedding, f"Embedding of the text {text.text}", f"“{words(text.text)}”"),
        vector(
            products, "Products of both embeddings", f"Their products: the sum is {best.similarity:.4f}, the cosine"
        ),
        "</div></article>",
    )


def _match(match: Match, best: Match) -> str:
    cells = (
        f"{match.similarity:.4f}",
        f"{match.logit:.2f}",
        f"{match.softmax:.1%}{bar(match.softmax)}",
        f"{match.sigmoid:.1%}{bar(match.sigmoid)}",
    )
    kind = "best" if match is best else ""
    return (
        f'<tr class="{kind}"><th scope="row" class="words">{words(match.text)}</th>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
    )
