"""The wheel, built and installed in an environment of its own, answers out of the box."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_it_carries_the_demo_and_the_vocabulary_and_stays_small(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("checkpoint/demo/model.safetensors", "checkpoint/demo/config.yaml", "checkpoint/published.json",
                 "text/clip_tokenizer/vocab.json", "py.typed"):  # fmt: skip
        assert f"dualsight/{name}" in names
    assert not [name for name in names if name.startswith(("tests/", "samples/"))]
    assert wheel.stat().st_size <= 30_000_000


def test_it_works_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    binaries = tmp_path / "env" / "bin"
    install = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run([binaries / "python", *install], check=True)
    picture = ROOT / "samples" / "phantoms" / "00001-ct-abdomen.png"
    command = [binaries / "dualsight", "classify", picture, "--labels", "ct abdomen,x-ray chest,mri brain", "--json"]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "never for diagnosis" in result.stderr
    assert "ct abdomen" in json.dumps(json.loads(result.stdout))
    subprocess.run([binaries / "python", "-m", "pip", "check"], check=True)
