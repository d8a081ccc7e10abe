"""From a hub to an answer: pull, again after it broke off, verify, then the hub id without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from folder_contents import contents
from hub_stand_in import StandIn, serving

pytestmark = pytest.mark.e2e

REPO = "someone/small-model"


@pytest.fixture
def hub(recipe_folder: Callable[[str], Path]) -> Iterator[StandIn]:
    files = {f"2024.09.27/{name}": data for name, data in contents(recipe_folder("davit")).items()}
    with serving(StandIn(REPO, files)) as stand_in:
        yield stand_in


def run(tmp_path: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {"HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "dualsight", *map(str, arguments)],
        env={**os.environ, **own, **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_pulled_after_the_hub_was_away_then_verified_and_used_offline(hub: StandIn, tmp_path: Path) -> None:
    away = run(tmp_path, "pull", REPO, HF_ENDPOINT="http://127.0.0.1:9")  # the discard port: nobody listens
    assert (away.returncode, away.stdout) == (1, "")
    assert away.stderr.startswith("error: ")

    pulled = run(tmp_path, "pull", REPO, HF_ENDPOINT=hub.url)
    assert pulled.returncode == 0, pulled.stderr
    folder = Path(pulled.stdout.strip())
    verified = run(tmp_path, "verify", folder)
    assert verified.returncode == 0, verified.stdout + verified.stderr

    picture = tmp_path / "one.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)).save(picture)
    n_asked = len(hub.requests)
    answer = run(tmp_path, "classify", picture, "--labels", "a,b", "--model", REPO, "--json", HF_HUB_OFFLINE="1")
    assert answer.returncode == 0, answer.stderr
    assert len(hub.requests) == n_asked


def test_served_with_other_bytes_than_listed(hub: StandIn, tmp_path: Path) -> None:
    (weights,) = (name for name in hub.files if name.endswith(".pt"))
    hub.corrupt.add(weights)
    pulled = run(tmp_path, "pull", REPO, "-o", "here", HF_ENDPOINT=hub.url)
    assert (pulled.returncode, pulled.stdout) == (1, "")
    assert f"{weights}: downloaded, but its hash is not the one" in pulled.stderr
    assert not list((tmp_path / "here").rglob("*.pt"))
