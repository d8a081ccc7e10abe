from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from html_page import Page

LABELS = ["cyst", "mass <b>"]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Eight pictures a split, of four patients each."""
    rows = []
    for split in ("train", "val", "test"):
        for i in range(8):
            name = f"{split}{i}.png"
            pixels = np.random.default_rng(len(rows)).integers(0, 256, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name)
            rows.append([name, LABELS[i % 2], f"secret-{split}{i // 2}", split, "FM"[i % 2], f"a {LABELS[i % 2]}"])
    with (tmp_path / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "patient", "split", "sex", "words"], *rows])
    return tmp_path / "table.csv"


@pytest.fixture
def ask(run, weights: Path, tmp_path: Path):
    return lambda *arguments: run("evaluate", *arguments, "--model", weights, "-o", tmp_path / "out")


def test_three_files_and_a_summary(ask, manifest: Path, tmp_path: Path) -> None:
    arguments = ("--method", "zero-shot", "--method", "knn", "--subgroup", "sex", "--caption-column", "words")
    result = ask(manifest, *arguments)
    assert result.exit_code == 0, result.stderr
    assert "8 pictures of 4 patients, split test" in result.stdout
    assert re.search(r"zero-shot.*\n.*knn", result.stdout)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert [method["method"] for method in report["methods"]] == ["zero-shot", "knn"]
    assert (report["n"], report["split"], report["chosen_on"]) == (8, "test", "val")
    html = (tmp_path / "out/report.html").read_text()
    page = Page(html)
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in page.tags}
    assert ("body", {"class": "walk"}) in page.tags  # what all of its style is for
    assert "http" not in html.replace("http-equiv", "")
    assert "<b>" not in html.split("</style>")[1]
    assert "secret" not in html + json.dumps(report)
    for words in ("Confusion", "Calibration", "Retrieval", "Subgroups", report["fingerprint"], report["date"]):
        assert words in html
    assert "Research software" in html
    assert sum(tag == "svg" for tag, _ in page.tags) == 2 * len(LABELS) + 2  # ROC and PR a label, reliability a method


def test_thresholds_are_applied_by_classify(ask, run, weights: Path, manifest: Path, tmp_path: Path) -> None:
    assert ask(manifest, "--template", "ct {label}").exit_code == 0
    picture, file = manifest.parent / "test0.png", tmp_path / "out/thresholds.json"
    words = ("classify", picture, "--model", weights, "--labels", ",".join(LABELS), "--thresholds", file)
    right = (*words, "--template", "ct {label}")
    document = json.loads(run(*right, "--json").stdout)["results"][0]
    chosen = json.loads(file.read_text())["by_label"]
    expected = {
        label: "above" if probability >= chosen[label]["youden"] else "below"
        for label, probability in document["probabilities"].items()
    }
    assert document["thresholds"] == expected
    rows = list(csv.DictReader(io.StringIO(run(*right, "--csv").stdout)))
    assert {row["label"]: row["threshold"] for row in rows} == expected
    for line, (label, side) in zip(run(*right).stdout.splitlines()[1:], expected.items(), strict=True):
        assert line.endswith(f"  {side}  {label}")
    refused = run(*words)
    assert refused.exit_code == 1
    assert "other templates" in refused.stderr
    assert refused.stdout == ""


def test_a_bad_table_is_told_whole_and_nothing_is_written(ask, manifest: Path, tmp_path: Path) -> None:
    with manifest.open("a") as file:
        file.write("gone.png,cyst,x,test,F,a\ntest0.png,cyst,secret-train0,test,F,a\n")
    result = ask(manifest)
    assert result.exit_code == 1
    assert "no file gone.png" in result.stderr
    assert "one patient in the splits train (row 2) and test (row 27)" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_broken_picture_is_left_out_told_and_counted(ask, manifest: Path, tmp_path: Path) -> None:
    (manifest.parent / "test3.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    result = ask(manifest)
    assert result.exit_code == 1
    assert "test3.png" in result.stderr
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert (report["n"], report["failed"]) == (7, 1)
    assert "could not be used: 1." in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "svm"), "none of zero-shot"),
        (("--method", "adapter"), "go together"),
        (("--adapter", "x"), "go together"),
        (("--specificity", "1.5"), "between 0 and 1"),
        (("--subgroup", "device"), "no column `device`"),
        (("--method", "adapter", "--adapter", "none.safetensors"), "none.safetensors"),
        (("--template", "ct"), "{label}"),
        (("--embeddings", "none.npz"), "none.npz"),
    ],
)
def test_what_cannot_be_meant(ask, manifest: Path, arguments: tuple[str, ...], message: str) -> None:
    result = ask(manifest, *arguments)
    assert result.exit_code in (1, 2)
    assert message in result.stderr


def test_vectors_that_embed_wrote_are_not_made_again(ask, run, weights: Path, manifest: Path, tmp_path: Path) -> None:
    vectors = tmp_path / "v.npz"
    assert run("embed", manifest, "--model", weights, "-o", vectors).exit_code == 0
    assert ask(manifest).exit_code == 0
    first = json.loads((tmp_path / "out/report.json").read_text())["methods"]
    assert ask(manifest, "--embeddings", vectors).exit_code == 0
    second = json.loads((tmp_path / "out/report.json").read_text())["methods"]
    assert [label["auc"] for label in first[0]["labels"]] == [label["auc"] for label in second[0]["labels"]]
