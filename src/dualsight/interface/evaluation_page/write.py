"""An evaluation → one HTML page."""

from __future__ import annotations

from importlib import resources

from dualsight.interface.evaluation_page.sections import (
    calibration_section,
    confusion_section,
    curves_section,
    labels_section,
    retrieval_section,
    subgroups_section,
    summary_section,
    thresholds_section,
)
from dualsight.interface.page_walk.parts import words
from dualsight.interface.words import count
from dualsight.learn.evaluate.report import Evaluation

RESEARCH = "Research software: no number on this page says how a model does on your patients, and none is a diagnosis."


def html_page(found: Evaluation) -> str:
    """The page. It names no patient and no picture."""
    styles = "".join(
        (resources.files(f"dualsight.interface.{folder}") / "style.css").read_text(encoding="utf-8")
        for folder in ("page_walk", "evaluation_page")
    )
    sections = (
        summary_section,
        labels_section,
        curves_section,
        thresholds_section,
        confusion_section,
        calibration_section,
        retrieval_section,
        subgroups_section,
    )
    main = "".join(section(found) for section in sections)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation of {words(found.model)} – dualsight</title><style>{styles}</style></head>"
        f'<body class="walk">{_header(found)}<main>{main}</main>'
        f'<footer><p class="soft">Made by <code>dualsight evaluate</code>. {RESEARCH}</p></footer></body></html>'
    )


def _header(found: Evaluation) -> str:
    pictures = f"{count(found.n)} pictures of {count(found.patients)} patients"
    failed = f" Left out, because they could not be used: {count(found.failed)}." if found.failed else ""
    split = "all of it: the table has no splits" if found.split == "all" else f"its split {found.split}"
    notices = [
        RESEARCH,
        f"The model: {found.notice}." if found.notice else "",
        f"{found.caution}." if found.caution else "",
    ]
    lines = "".join(f'<p class="notice" role="note">{words(notice)}</p>' for notice in notices if notice)
    return (
        f"<header><h1>Evaluation of {words(found.model)}</h1>"
        f'<p class="ran"><strong>{pictures}</strong> of {words(found.manifest)} ({split}).{failed} '
        f"Measured on {words(found.date)}.</p>"
        f'<p class="ran">Model fingerprint <code>{words(found.fingerprint)}</code></p>{lines}</header>'
    )
