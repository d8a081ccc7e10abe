"""What is released: wheel and sdist are built, installed in clean environments, and answer out of the box."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BRINGS = {  # extra → what it brings, and a module of ours that needs it
    "client": "httpx2, dualsight.interface.client.client",
    "cloud": "gcsfs, s3fs, dualsight.image.object_store",
    "dicomweb": "httpx2, python_multipart, dualsight.image.dicomweb.client",
    "learn": "sklearn, dualsight.learn.adapt",
    "mcp": "mcp, starlette, uvicorn, dualsight.interface.mcp.server",
    "onnx": "onnx, onnxruntime, onnxscript, dualsight.engine.onnx",
    "openvino": "openvino, dualsight.engine.openvino",
    "plot": "matplotlib, dualsight.interface.cli.demo_plot",
    "quantize": "nncf, openvino, dualsight.engine.quantize",
    "ray": "lancedb, ray, ray.serve, dualsight.store.ray.embed",
    "search": "lancedb, dualsight.store.index",
    "serve": "fastapi, prometheus_client, python_multipart, uvicorn, uvloop, dualsight.interface.http.app",
    "slide": "imagecodecs, tifffile, dualsight.image.slide.decode",
    "train": "peft, tensorboard, dualsight.learn.train.run",
    "ui": "gradio, prometheus_client, dualsight.interface.page.mount",
}
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheel and sdist, by suffix."""
    folder = tmp_path_factory.mktemp("built")
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True)
    return {path.suffix: path for path in folder.iterdir()}


def test_it_carries_the_demo_and_the_vocabulary_and_stays_small(built: dict[str, Path]) -> None:
    names = zipfile.ZipFile(built[".whl"]).namelist()
    for name in ("checkpoint/demo/model.safetensors", "checkpoint/demo/config.yaml", "checkpoint/published.json",
                 "text/clip_tokenizer/vocab.json", "py.typed"):  # fmt: skip
        assert f"dualsight/{name}" in names
    assert not [name for name in names if name.startswith(("tests/", "samples/"))]
    assert built[".whl"].stat().st_size <= 30_000_000


def test_the_sdist_says_what_it_is(built: dict[str, Path]) -> None:
    with tarfile.open(built[".gz"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "THIRD_PARTY_NOTICES.md", "CHANGELOG.md", "CITATION.cff", "SECURITY.md"} <= names
    assert "pyproject.toml" in names


class Environment:
    """A virtual environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.binaries = folder / "bin"

    def copy(self, folder: Path) -> Environment:
        """The same again, to be changed: its files are links, which pip replaces and does not write to."""
        shutil.copytree(self.folder, folder, symlinks=True, copy_function=os.link)
        return Environment(folder)

    def python(self, *arguments: object) -> str:
        """What python prints; fails where it does."""
        command = [self.binaries / "python", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.binaries)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, what: object, *options: str) -> None:
        """By pip, which then finds nothing to complain of."""
        pip = ("-m", "pip", "--disable-pip-version-check")
        self.python(*pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", *options, what)
        self.python(*pip, "check")

    def answer(self) -> str:
        """What the command, run from another folder, takes a phantom for."""
        picture = ROOT / "samples" / "phantoms" / "00001-ct-abdomen.png"
        labels = "ct abdomen,x-ray chest,mri brain"
        command = [self.binaries / "dualsight", "classify", picture, "--labels", labels, "--json"]
        result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.binaries)
        assert "never for diagnosis" in result.stderr
        (answer,) = json.loads(result.stdout)["results"]
        return str(next(iter(answer["probabilities"])))


@pytest.fixture(scope="module")
def clean(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and what it needs."""
    environment = Environment(tmp_path_factory.mktemp("clean") / "env")
    subprocess.run([sys.executable, "-m", "venv", environment.folder], check=True)
    environment.install(built[".whl"])
    return environment


def test_the_wheel_answers(clean: Environment) -> None:
    assert clean.answer() == "ct abdomen"


def test_the_sdist_answers(built: dict[str, Path], clean: Environment, tmp_path: Path) -> None:
    environment = clean.copy(tmp_path / "env")
    environment.install(built[".gz"], "--force-reinstall", "--no-deps")
    assert environment.answer() == "ct abdomen"


def test_each_extra_is_tried_below() -> None:
    assert set(BRINGS) == set(PROJECT["optional-dependencies"])


@pytest.mark.slow  # downloads and unpacks what some extras bring: hundreds of megabytes
@pytest.mark.parametrize("extra", sorted(BRINGS))
def test_an_extra_alone_brings_all_that_it_needs(
    built: dict[str, Path], clean: Environment, tmp_path: Path, extra: str
) -> None:
    environment = clean.copy(tmp_path / "env")
    environment.install(f"{built['.whl']}[{extra}]")
    environment.python("-c", f"import {BRINGS[extra]}")
    shutil.rmtree(tmp_path / "env")
