from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dualsight.checkpoint import hub


def test_verify_a_sound_checkpoint(run, weights: Path) -> None:
    result = run("verify", weights)
    assert result.exit_code == 0, result.stdout + result.stderr
    assert "all checks passed" in result.stdout
    assert "FAILED" not in result.stdout


def test_verify_a_damaged_one(run, weights: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(weights, copy)
    (file,) = copy.glob("**/*.pt")
    file.write_bytes(file.read_bytes()[:-100])
    result = run("verify", copy, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["passed"] is False
    assert not all(check["passed"] for check in document["checks"])


def test_verify_nothing(run, tmp_path: Path) -> None:
    result = run("verify", tmp_path)
    assert result.exit_code == 1
    assert "error: " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), (hub.OFFICIAL_REPO, None, None)),
        (("a/b", "--revision", "v1", "-o", "here"), ("a/b", "v1", Path("here"))),
    ],
)
def test_pull_prints_the_folder(run, monkeypatch: pytest.MonkeyPatch, arguments, expected) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    asked = []

    def pull(repo_id: str, *, revision: str | None, folder: Path | None) -> Path:
        asked.append((repo_id, revision, folder))
        return Path("/the/folder")

    monkeypatch.setattr(hub, "pull", pull)
    assert run("pull", *arguments).stdout == "/the/folder\n"
    assert asked == [expected]


def test_pull_what_is_no_hub_id(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    result = run("pull", "nonsense")
    assert result.exit_code == 1
    assert "'nonsense' is not a hub id" in result.stderr
    assert "hint: " in result.stderr
