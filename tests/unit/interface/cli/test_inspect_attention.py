from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image


def test_attention_of_a_picture(run, weights: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "attention.png"
    result = run("inspect", weights, "--image", picture, "--attention", out, "--at", "0.2,0.8", "--json")
    assert result.exit_code == 0, result.stderr
    assert str(out) in result.stderr
    with Image.open(out) as sheet:
        assert sheet.height > 400


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--attention", "a.png"), "give one with --image"),
        (("--image", "x.png", "--attention", "a.jpg"), "does not end in .png"),
        (("--image", "x.png", "--at", "middle"), "is not X,Y"),
    ],
)
def test_what_cannot_be_meant(run, weights: Path, words: tuple[str, ...], said: str) -> None:
    result = run("inspect", weights, *words)
    assert result.exit_code == 2 and said in " ".join(result.stderr.replace("│", " ").split())


def test_no_place_outside(run, weights: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "attention.png"
    result = run("inspect", weights, "--image", picture, "--attention", out, "--at", "2,0")
    assert result.exit_code == 1 and "no place at" in result.stderr and not out.exists()
