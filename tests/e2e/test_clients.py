"""Clients against a running `dualsight serve`: ours as documented, and Microsoft's two by the shape of their calls."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

import dualsight
from dualsight.interface.http.key_file import add_key, new_key
from picture_files import saved
from server_process import Server, serving

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
CHEST = ROOT / "samples/real/chest-x-ray.png"
RETINA = ROOT / "samples/real/retina.jpg"
LABELS = ["x-ray chest anteroposterior Pneumonia", "x-ray chest anteroposterior No Finding", "retinal fundus"]


@pytest.fixture(scope="module")
def key() -> str:
    return new_key()


@pytest.fixture(scope="module")
def server(key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text(add_key(keys, "tests", key))
    with serving("--keys", keys) as running:
        yield running


def test_the_guide_s_examples_run(server: Server, key: str) -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs/client.md").read_text(), re.DOTALL)
    assert len(examples) == 4
    for example in examples:
        code = example.replace("http://127.0.0.1:8000", server.url)
        assert code != example
        command = [sys.executable, "-W", "error", "-c", code]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, env={"DUALSIGHT_KEY": key})
        assert done.returncode == 0, done.stderr
        assert done.stdout


def png(path: Path) -> bytes:
    return saved(Image.open(path).convert("RGB"), "PNG")


def test_the_re_host_s_clients_post_by_curl(server: Server, key: str, model: dualsight.Model) -> None:
    """Its routes, headers and fields as its users type them; here with a key."""

    def curl(path: str, body: dict[str, Any] | None = None) -> Any:
        head = ["-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {key}"]
        data = [] if body is None else ["-X", "POST", "-d", "@-"]
        command = ["curl", "-sf", f"{server.url}{path}", *head, *data]
        done = subprocess.run(command, input=json.dumps(body), capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout)

    image = base64.b64encode(CHEST.read_bytes()).decode()
    predicted = curl("/predict", {"images": [image], "labels": LABELS, "multilabel": False})["predictions"]
    (expected,) = model.classify(CHEST, LABELS)
    assert predicted == [pytest.approx(expected.as_dict(), abs=1e-5)] and list(predicted[0]) == list(expected.labels)
    encoded = curl("/encode", {"images": [f"data:image/png;base64,{image}"], "texts": LABELS})
    np.testing.assert_allclose(encoded["image_embeddings"], model.encode_image(CHEST), atol=1e-5)
    np.testing.assert_allclose(encoded["text_embeddings"], model.encode_text(LABELS), atol=1e-5)
    assert curl("/encode", {"texts": LABELS})["image_embeddings"] is None
    assert curl("/health") == {"status": "healthy"}


@dataclass(frozen=True)
class PluginClient:
    """As the agent plugin's client is made and calls: one row, a picture or a text, and a status read into words."""

    scoring_uri: str
    authorization: str

    def score(self, image: bytes | None, text: str | None, **params: object) -> dict[str, Any]:
        cell = None if image is None else base64.b64encode(image).decode()
        payload = {
            "input_data": {"columns": ["image", "text"], "index": [0], "data": [[cell, text]]},
            "params": {"get_scaling_factor": True, **params},
        }
        response = httpx2.post(
            self.scoring_uri, json=payload, headers={"Authorization": self.authorization}, timeout=30
        )
        if response.status_code in (401, 403):
            raise PermissionError
        response.raise_for_status()
        (row,) = response.json()
        return row


def test_the_plugin_s_client_classifies_as_the_model_does(server: Server, key: str, model: dualsight.Model) -> None:
    client = PluginClient(f"{server.url}/score", f"Bearer {key}")
    image = client.score(png(CHEST), None)
    texts = [client.score(None, label) for label in LABELS]
    assert set(image) == {"image_features", "scaling_factor"} and set(texts[0]) == {"text_features", "scaling_factor"}
    cosines = np.array([text["text_features"] for text in texts]) @ np.array(image["image_features"][0])
    logits = np.exp(image["scaling_factor"]) * cosines
    probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    (expected,) = model.classify(CHEST, LABELS)
    assert dict(zip(LABELS, probabilities, strict=True)) == pytest.approx(expected.as_dict(), abs=1e-5)


def test_the_plugin_s_own_preparation_is_done(server: Server, key: str) -> None:
    client = PluginClient(f"{server.url}/score", f"Bearer {key}")
    plain = client.score(png(CHEST), None)["image_features"][0]
    asked = {"image_standardization_jpeg_compression_ratio": 75, "image_standardization_image_size": 512}
    prepared = client.score(png(CHEST), None, **asked)["image_features"][0]
    assert plain != prepared
    assert np.dot(plain, prepared) > 0.9


def test_the_plugin_reads_a_wrong_key_as_such(server: Server) -> None:
    with pytest.raises(PermissionError):
        PluginClient(f"{server.url}/score", "Bearer wrong").score(None, "chest")


def test_the_toolkit_s_client_submits_lists_of_unequal_length(server: Server, key: str, model: dualsight.Model) -> None:
    """One payload: PNG in base64 with line breaks, texts, the shorter list padded with null, a deployment's name."""
    images, texts = [png(CHEST), png(RETINA)], LABELS
    cells = [base64.encodebytes(image).decode() for image in images]
    assert "\n" in cells[0].strip()
    payload = {
        "input_data": {
            "columns": ["image", "text"],
            "index": list(range(3)),
            "data": [list(row) for row in zip_longest(cells, texts)],
        },
        "params": {"get_scaling_factor": True},
    }
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {key}",
        "azureml-model-deployment": "medimageinsight-1",
    }
    rows = httpx2.post(f"{server.url}/score", json=payload, headers=headers, timeout=30).raise_for_status().json()
    assert len(rows) == 3 and "image_features" not in rows[2]
    vectors = [row["image_features"][0] for row in rows[:2]]
    np.testing.assert_allclose(vectors, model.encode_image(images), atol=1e-5)
    np.testing.assert_allclose([row["text_features"] for row in rows], model.encode_text(texts), atol=1e-5)
    assert all(row["scaling_factor"] == pytest.approx(model.logit_scale) for row in rows)
