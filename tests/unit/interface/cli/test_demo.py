from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from dualsight.interface.cli import demo_cases
from dualsight.learn.phantom.catalogue import MODALITIES

SAMPLES = Path(__file__).parents[4] / "samples"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory with two samples of each kind, and two modalities in all."""
    for name in ("real/ct-head.dcm", "real/chest-x-ray.png", "phantoms/00000-x-ray-chest.png"):
        (tmp_path / "samples" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "samples" / name).write_bytes((SAMPLES / name).read_bytes())
    labels = (SAMPLES / "phantoms" / "labels.csv").read_text().splitlines()[:2]
    (tmp_path / "samples" / "phantoms" / "labels.csv").write_text("\n".join(labels))
    monkeypatch.setattr(demo_cases, "MODALITIES", (MODALITIES[0], MODALITIES[-1]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_tells_which_is_which_and_counts(run, weights: Path, few: Path) -> None:
    result = run("demo", "--model", weights)
    assert result.exit_code == 0, result.stderr
    numbers = json.loads((few / "demo-output" / "predictions.json").read_text())
    assert len(numbers["known"]) == 5  # normal and finding of two modalities, drawn; one from samples/
    assert [row["picture"] for row in numbers["real"]] == ["samples/real/chest-x-ray.png", "samples/real/ct-head.dcm"]
    modalities, findings = (sum(row["right"][what] for row in numbers["known"]) for what in ("modality", "finding"))
    assert f"right: {modalities} of 5 modalities, {findings} of 5 findings" in result.stdout
    for row in numbers["known"]:
        for what in ("modality", "finding"):
            assert row["right"][what] == (next(iter(row[what])) == row["truth"][what])
    known, real = result.stdout.split(numbers["about_real"])
    assert "samples/phantoms/00000-x-ray-chest.png" in known
    assert "samples/real/ct-head.dcm" in real
    assert "samples/real/ct-head.dcm" not in known


def test_the_plot_is_a_picture(run, weights: Path, few: Path) -> None:
    pytest.importorskip("matplotlib")
    assert run("demo", "--model", weights, "-o", "out").exit_code == 0
    with Image.open(few / "out" / "predictions.png") as picture:
        assert picture.width > 1000


def test_without_matplotlib_it_says_how_to_get_it(
    run, weights: Path, few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("demo", "--model", weights)
    assert result.exit_code == 0
    assert "pip install 'dualsight[plot]'" in result.stderr
    assert not (few / "demo-output" / "predictions.png").exists()


def test_without_samples_it_draws(run, weights: Path, few: Path, tmp_path_factory, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("demo", "--model", weights)
    assert result.exit_code == 0
    assert "of 4 modalities" in result.stdout
    assert "no real pictures" in result.stdout


def test_a_sample_that_cannot_be_read_fails_alone(run, weights: Path, few: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (few / "samples" / "real" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run("demo", "--model", weights)
    assert result.exit_code == 1
    assert "error: samples/real/broken.png" in result.stderr
    assert "samples/real/ct-head.dcm" in result.stdout


def test_every_sample_phantom_has_a_known_modality() -> None:
    assert len(list(demo_cases.phantom_files(SAMPLES))) == 10
    assert len(list(demo_cases.real_files(SAMPLES))) == 8
