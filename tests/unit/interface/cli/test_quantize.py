from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def test_too_few_pictures_are_refused(run, tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run("quantize", "demo", "--calibrate", str(tmp_path), "-o", str(tmp_path / "int8"))
    assert result.exit_code == 1
    assert "3 pictures are too few" in result.stderr
    assert "bad.png" in result.stderr
    assert not (tmp_path / "int8").exists()


def test_an_engine_that_is_not_offered(run) -> None:
    result = run("embed", "samples/real", "-o", "x.npz", "--engine", "torch", "--precision", "int8")
    assert result.exit_code == 1
    assert "no engine 'torch' computes this checkpoint in precision 'int8'" in result.stderr
