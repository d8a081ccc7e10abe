"""A report on one picture and its texts → one HTML page, which needs nothing from outside."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from dualsight.interface.page_walk.image_sections import picture_section, pooling_section, stages_section
from dualsight.interface.page_walk.meeting_sections import meeting_section, text_section
from dualsight.interface.page_walk.parts import words
from dualsight.interface.page_walk.table_section import tables_section
from dualsight.interface.whole_file import whole_file
from dualsight.interface.words import billions, by, count
from dualsight.task.inspect.report import Report
from dualsight.task.inspect.walk import ImageWalk

RESEARCH = "Research software: no number on this page is a diagnosis."


def write_html(report: Report, path: Path) -> None:
    """Writes the page of a report with a picture's walk; a file of that name is replaced whole or not at all.

    Raises OutputError where the file cannot be written, ValueError for a report without a picture.
    """
    page = html_page(report)
    with whole_file(path) as file:
        file.write(page.encode())


def html_page(report: Report) -> str:
    """The page itself. Raises ValueError for a report without a picture."""
    if report.image is None:
        raise ValueError("the page shows a picture's walk, and the report has none")
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>A walk through {words(report.name)} – dualsight</title><style>{style()}</style></head>"
        f'<body class="walk">{_header(report, report.image)}<main>{_sections(report, report.image)}</main>'
        f'<footer><p class="soft">Made by <code>dualsight inspect</code>. {RESEARCH} '
        "The page holds the picture it was made from: share it only where you may share the picture.</p></footer>"
        "</body></html>"
    )


def html_part(report: Report) -> str:
    """The walk for a page that has a head of its own: inside an element of class `walk`, beside `style()`.

    Raises ValueError for a report without a picture.
    """
    if report.image is None:
        raise ValueError("a walk is that of a picture, and the report has none")
    return _route(report, report.image) + _sections(report, report.image)


def style() -> str:
    """The style sheet of everything inside an element of class `walk`."""
    return (resources.files("dualsight.interface.page_walk") / "style.css").read_text(encoding="utf-8")


def _sections(report: Report, walk: ImageWalk) -> str:
    return "".join(
        (
            picture_section(walk, report.table.image),
            stages_section(walk, report.table.image),
            pooling_section(walk),
            text_section(report),
            meeting_section(report),
            tables_section(report.table),
        )
    )


def _header(report: Report, walk: ImageWalk) -> str:
    image = report.table.image
    notice = f"{report.notice[0].upper()}{report.notice[1:]}." if report.notice else RESEARCH
    return (
        "<header><h1>From a picture and words to one number</h1>"
        "<p>Two encoders put pictures and texts as points into one space. "
        "How near two points are says how well a text fits a picture. This page follows one picture all the way.</p>"
        f'<p class="ran">What ran: <strong>{words(report.name)}</strong>, {image.architecture} and a text transformer, '
        f"{count(report.table.parameters)} parameters, {billions(image.total.flops)} GFLOP a picture; "
        f"{words(report.engine)}.</p>"
        f'<p class="notice" role="note">{words(notice)}</p>{_route(report, walk)}</header>'
    )


def _route(report: Report, walk: ImageWalk) -> str:
    """The way in two lanes, as links to its sections."""
    grids = " · ".join(str(stage.grid[0]) if len(set(stage.grid)) == 1 else by(stage.grid) for stage in walk.stages)
    picture = (
        ("picture", "Picture", f"{by(walk.resized.shape[:2])} pixels"),
        ("stages", f"{len(walk.stages)} stages", f"{grids} tokens a side"),
        ("pooling", "Features", f"{count(len(walk.features))} numbers"),
        ("pooling", "Embedding", f"{count(len(walk.embedding))} numbers"),
    )
    n = len(report.texts)
    tokens = f"{min(t.length for t in report.texts)}–{max(t.length for t in report.texts)}" if n else "none given"
    text = (
        ("words", "Words", f"{n} text{'' if n == 1 else 's'}"),
        ("words", "Tokens", tokens),
        ("words", "Transformer", f"{report.table.text.layers} layers" if report.table.text else ""),
        ("words", "Embedding", f"{count(len(walk.embedding))} numbers"),
    )
    lanes = "".join(
        f'<ol class="{lane}" aria-label="{label}">'
        + "".join(f'<li><a href="#{name}"><b>{head}</b>{detail}</a></li>' for name, head, detail in stops)
        + "</ol>"
        for lane, label, stops in (("image", "The picture’s way", picture), ("text", "The words’ way", text))
    )
    meeting = (
        '<ol class="both" aria-label="Where they meet"><li><a href="#meeting"><b>Cosine</b>→ probability</a></li></ol>'
    )
    return f'<nav class="route" aria-label="The way"><div class="lanes">{lanes}</div>{meeting}</nav>'
