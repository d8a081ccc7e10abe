"""The sections of the page, each from what the evaluation found; an empty one is not there."""

from __future__ import annotations

from dualsight.interface.evaluation_page.plots import Line, square
from dualsight.interface.page_walk.parts import row, section, table, words
from dualsight.interface.words import count
from dualsight.learn.evaluate.calibration import Reliability
from dualsight.learn.evaluate.figures import Curve, Figure
from dualsight.learn.evaluate.report import Evaluation, MethodFigures
from dualsight.learn.evaluate.retrieval import Retrieval

MOST_CELLS = 30  # labels, up to which a confusion matrix can be read
RULES = {"youden": "Youden", "f1": "F1", "specificity": "specificity"}


def figure(value: Figure) -> str:
    """0.912 (0.880–0.941); a dash and the reason where there is none."""
    if value.value is None:
        return f"– <span class='soft'>{words(value.reason)}</span>"
    doubt = "" if value.low is None else f" <span class='soft'>({value.low:.3f}–{value.high:.3f})</span>"
    reason = f" <span class='soft'>{words(value.reason)}</span>" if value.reason else ""
    return f"{value.value:.3f}{doubt}{reason}"


def summary_section(found: Evaluation) -> str:
    """One line a method."""
    rows: list[str] = []
    for method in found.methods:
        top = (
            ("–", "–") if method.top is None else (f"{method.top.accuracy:.3f}", f"{method.top.balanced_accuracy:.3f}")
        )
        cells = (figure(method.mean_auc), figure(method.mean_average_precision), *top,
                 f"{method.calibration.plain.error:.3f}")  # fmt: skip
        rows.append(row(f"{words(method.method)} <span class='soft'>{words(method.detail)}</span>", cells))
    heads = ("", "mean AUC", "mean average precision", "accuracy", "balanced accuracy", "calibration error")
    return section(
        "summary", "both", "Summary", "Methods compared",
        table("Over all labels; in brackets 95 % intervals by bootstrap over patients", heads, rows),
    )  # fmt: skip


def labels_section(found: Evaluation) -> str:
    """One table a method, one line a label."""
    heads = ("", "with it", "without", "AUC", "average precision", f"sensitivity at specificity {found.specificity:g}")
    tables = [
        table(
            f"{words(method.method)}: each label against all else",
            heads,
            [
                row(
                    words(label.label),
                    (count(label.positives), count(label.negatives), figure(label.auc),
                     figure(label.average_precision), figure(label.sensitivity)),
                )
                for label in method.labels
            ],
        )
        for method in found.methods
    ]  # fmt: skip
    return section("labels", "image", "Labels", "Each label by itself", *tables)


def curves_section(found: Evaluation) -> str:
    """ROC and precision-recall curves, a line a method."""
    plots: list[str] = []
    for j, label in enumerate(found.labels):
        roc = [(i, method.labels[j].roc) for i, method in enumerate(found.methods)]
        pr = [(i, method.labels[j].pr) for i, method in enumerate(found.methods)]
        for what, curves, across, up in (
            ("ROC", roc, "1 - specificity", "sensitivity"),
            ("precision-recall", pr, "sensitivity (recall)", "precision"),
        ):
            lines = [_curve(curve, style) for style, curve in curves if curve is not None]
            if lines:
                drawn = square(lines, alt=f"{what} curve of {label}", across=across, up=up, diagonal=what == "ROC")
                plots.append(f"<figure>{drawn}<figcaption>{words(label)}, {what}</figcaption></figure>")
    if not plots:
        return ""
    key = _key([method.method for method in found.methods])
    return section("curves", "image", "Curves", "At every threshold", key, f'<div class="plots">{"".join(plots)}</div>')


def _curve(curve: Curve, style: int) -> Line:
    return Line(x=curve.x, y=curve.y, style=style)


def _key(names: list[str]) -> str:
    items = (f'<li><i class="line{i}"></i>{words(name)}</li>' for i, name in enumerate(names))
    return f'<ul class="key">{"".join(items)}</ul>'


def thresholds_section(found: Evaluation) -> str:
    """What the chosen thresholds do to the pictures measured."""
    heads = ("", "rule", "threshold", "sensitivity", "specificity", "accuracy", "balanced accuracy", "F1")
    tables: list[str] = []
    for method in found.methods:
        rows = [
            row(
                words(label.label),
                (RULES[point.rule], f"{point.threshold:.4g}", f"{point.sensitivity:.3f}", f"{point.specificity:.3f}",
                 f"{point.accuracy:.3f}", f"{point.balanced_accuracy:.3f}", f"{point.f1:.3f}"),
                kind="best" if point.rule == found.rule else "",
            )
            for label in method.labels
            for point in label.points
        ]  # fmt: skip
        if rows:
            caption = f"{words(method.method)}: thresholds chosen on {found.chosen_on}, measured on {found.split}"
            tables.append(table(caption, heads, rows))
    return section("thresholds", "image", "Thresholds", "Where yes begins", *tables) if tables else ""


def confusion_section(found: Evaluation) -> str:
    """Where a picture has one label: what is taken for what."""
    methods = [method for method in found.methods if method.top is not None]
    if not methods:
        return ""
    if len(found.labels) > MOST_CELLS:
        note = f"<p>{count(len(found.labels))} labels are too many to show; the matrix is in report.json.</p>"
        return section("confusion", "both", "Confusion", "What is taken for what", note)
    tables = [_confusion(method, found.labels) for method in methods]
    return section("confusion", "both", "Confusion", "What is taken for what", *tables)


def _confusion(method: MethodFigures, labels: tuple[str, ...]) -> str:
    matrix = method.top.confusion if method.top else ()
    rows: list[str] = []
    for label, counts in zip(labels, matrix, strict=True):
        whole = sum(counts) or 1
        cells = "".join(f'<td class="cell" style="--part:{n / whole:.3f}">{count(n)}</td>' for n in counts)
        rows.append(f'<tr><th scope="row">{words(label)}</th>{cells}</tr>')
    caption = f"{words(method.method)}: a row is the truth, a column the most probable label"
    return table(caption, ("", *map(words, labels)), rows)


def calibration_section(found: Evaluation) -> str:
    """Reliability diagrams and expected calibration errors."""
    plots: list[str] = []
    rows: list[str] = []
    for method in found.methods:
        one = method.calibration
        kinds = [("as it is", one.plain), ("temperature", one.by_temperature), ("Platt", one.by_platt)]
        lines = [_reliability(found, i) for i, (_, found) in enumerate(kinds) if found is not None]
        alt = f"reliability diagram of {method.method}"
        drawn = square(lines, alt=alt, across="mean probability", up="share that is true", diagonal=True)
        plots.append(f"<figure>{drawn}<figcaption>{words(method.method)}</figcaption></figure>")
        cells = ["–" if kind is None else f"{kind.error:.3f}" for _, kind in kinds]
        cells.append("–" if one.temperature is None else f"{one.temperature:.3g}")
        rows.append(row(words(method.method), cells))
    reason = found.methods[0].calibration.reason
    about = "each label of each picture" if found.is_multilabel else "the most probable label of each picture"
    heads = ("", "as it is", "temperature scaling", "Platt scaling", "temperature")
    return section(
        "calibration", "both", "Calibration", "What a probability is worth",
        f"<p>Of {about}, in ten bins. Scalings are fitted to the split val and measured here.</p>",
        f"<p>{words(reason[:1].upper() + reason[1:])}.</p>" if reason else "",
        table("Expected calibration error", heads, rows),
        _key(["as it is"] if reason else ["as it is", "temperature", "Platt"]),
        f'<div class="plots">{"".join(plots)}</div>',
    )  # fmt: skip


def _reliability(found: Reliability, style: int) -> Line:
    return Line(x=[b.confidence for b in found.bins], y=[b.frequency for b in found.bins], style=style, dots=True)


def retrieval_section(found: Evaluation) -> str:
    """Recall at k, both ways."""
    one: Retrieval | None = found.retrieval
    if one is None:
        return ""
    rows = [
        row("text → pictures", (f"{value:.3f}" for value in one.text_to_image)),
        row("picture → texts", (f"{value:.3f}" for value in one.image_to_text)),
    ]
    searched = f"{count(one.n_images)} pictures, {count(one.n_texts)} texts"
    caption = f"Share of queries with a right answer among the first k; {searched}"
    return section(
        "retrieval",
        "text",
        "Retrieval",
        "Finding one by the other",
        table(caption, ("", *(f"recall@{k}" for k in one.ks)), rows),
    )


def subgroups_section(found: Evaluation) -> str:
    """Figures by column of the table."""
    if not any(method.groups for method in found.methods):
        return ""
    heads = ("", "value", "pictures", "patients", "mean AUC", "accuracy", "")
    tables = [
        table(
            words(method.method),
            heads,
            [
                row(
                    words(group.column),
                    (words(group.value), count(group.n), count(group.patients), figure(group.mean_auc),
                     "–" if group.accuracy is None else f"{group.accuracy:.3f}",
                     "few patients: uncertain" if group.is_small else ""),
                    kind="small" if group.is_small else "",
                )
                for group in method.groups
            ],
        )
        for method in found.methods
    ]  # fmt: skip
    return section("subgroups", "text", "Subgroups", "For whom", *tables)
