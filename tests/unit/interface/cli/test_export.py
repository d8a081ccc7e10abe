from __future__ import annotations

from pathlib import Path

import pytest

from dualsight.engine.export import Differences
from dualsight.errors import EngineError


def test_it_says_how_close_the_files_are(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def export(checkpoint, folder: Path, format: str, *, progress) -> Differences:
        asked.append((checkpoint.name, folder, format))
        return Differences(images=2e-7, texts=3e-7)

    monkeypatch.setattr("dualsight.engine.export.export", export)
    result = run("export", "demo", "-o", str(tmp_path / "files"), "--format", "openvino")
    assert result.exit_code == 0, result.stderr
    assert "within 2e-07 (images) and 3e-07 (texts) of torch" in result.stderr
    assert asked == [("demo", tmp_path / "files", "openvino")]


def test_a_refusal_is_told(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def export(*arguments: object, **options: object) -> Differences:
        raise EngineError("embeddings differ from torch's; nothing is written")

    monkeypatch.setattr("dualsight.engine.export.export", export)
    result = run("export", "demo", "-o", str(tmp_path / "files"))
    assert result.exit_code == 1
    assert "nothing is written" in result.stderr
