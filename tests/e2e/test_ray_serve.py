"""The Ray Serve deployment, asked over HTTP on 127.0.0.1: the routes and answers of `dualsight serve`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import httpx2
import numpy as np
import pytest

import dualsight
from dualsight.interface.http.app import Settings, create_app
from request_files import b64, picture_png

pytestmark = pytest.mark.e2e

SCRIPT = """
import sys
from dualsight.store.ray.cluster import Cluster, joined

with joined(Cluster()):  # a cluster of this process's own
    from ray import serve
    from dualsight.interface.http.ray_serve import Arguments, application

    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(application(Arguments()))
    print("ready", flush=True)
    sys.stdin.read()
    serve.shutdown()
"""


@pytest.fixture(scope="module")
def client() -> Iterator[httpx2.Client]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_SERVE_LOG_TO_STDERR": "0"}
    command = [sys.executable, "-c", SCRIPT, str(port)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
    assert process.stdin is not None and process.stdout is not None
    try:
        assert any(line == "ready\n" for line in process.stdout)
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as asking:
            yield asking
    finally:
        process.stdin.close()
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.stdout.close()


def test_the_same_routes(client: httpx2.Client) -> None:
    assert client.get("/readyz").json() == {"status": "ready"}
    assert client.get("/openapi.json").json() == create_app(Settings()).openapi()


def test_the_same_answers(client: httpx2.Client) -> None:
    model = dualsight.load()
    picture = picture_png(1)
    expected = model.encode_image([picture])[0]
    own = client.post("/v1/embed", json={"images": [b64(picture)], "texts": ["ct chest"]}).json()
    assert own["fingerprint"] == model.fingerprint
    np.testing.assert_allclose(own["images"][0]["vector"], expected, atol=1e-5)
    openai = client.post(
        "/v1/embeddings", json={"model": "demo", "input": "ct chest", "encoding_format": "float"}
    ).json()
    np.testing.assert_allclose(openai["data"][0]["embedding"], model.encode_text("ct chest")[0], atol=1e-5)
    form = client.post("/v1/embed", files={"images": ("a.png", picture)})
    np.testing.assert_allclose(form.json()["images"][0]["vector"], expected, atol=1e-5)


def test_the_same_refusals(client: httpx2.Client) -> None:
    assert client.get("/v1/model", headers={"Host": "elsewhere.example"}).status_code == 400
    broken = client.post("/v1/embed", json={"images": [b64(picture_png(1)[:60])]})
    assert broken.status_code == 422
