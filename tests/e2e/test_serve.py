"""A real server process: contracts over a socket, abuse, faults, and an end that loses nothing."""

from __future__ import annotations

import gzip
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

import dualsight
from request_files import b64, bomb_png, picture_png
from server_process import Server, request, serving, status_of, talk

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
MANY = [f"label {i}" for i in range(10_000)]
PICTURE = b64(picture_png(1))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--max-body-mb", 4, "--max-images", 8) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=30) as asking:
        yield asking


# --- answers


def test_many_clients_get_their_own_answers(client: httpx2.Client, server: Server, model: dualsight.Model) -> None:
    expected = model.encode_image([picture_png(seed) for seed in range(24)])

    def ask(seed: int) -> Any:
        with httpx2.Client(base_url=server.url, timeout=30) as own:
            return own.post("/v1/embed", json={"images": [b64(picture_png(seed))]}).json()["images"][0]["vector"]

    with ThreadPoolExecutor(8) as pool:
        vectors = list(pool.map(ask, range(24)))
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    page = client.get("/metrics").text
    assert 'dualsight_batch_size_count{kind="image"}' in page
    assert 'dualsight_requests_total{route="/v1/embed",status="200"}' in page


def test_a_page_of_a_browser_gets_nothing(client: httpx2.Client) -> None:
    rebound = client.get("/v1/model", headers={"host": "evil.example"})
    assert rebound.status_code == 400
    preflight = client.options(
        "/v1/embed", headers={"origin": "https://evil.example", "access-control-request-method": "POST"}
    )
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.startswith("access-control")]


# --- faults: each its 4xx, at once, in little memory


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("/v1/embed", b"", "X: y").replace(b"Content-Length: 0", b"Content-Length: 10000000000"), 413),
        (request("/v1/embed", b"x" * (5 << 20)), 413),
        (request("/v1/embed", gzip.compress(bytes(1 << 26)), "Content-Encoding: gzip"), 415),
        (request("/v1/embed", b"[" * (1 << 20)), 413),
        (request("/v1/embed", b"[" * 100_000), 400),
        (request("/predict", b'{"a":' * 100_000), 400),
        (request("/v1/embed", b'{"texts":["\xc3\x28"]}'), 400),
        (request("/predict", b'{"images":["\xff"],"labels":["a"]}'), 400),
        (request("/predict", json.dumps({"images": [PICTURE], "labels": MANY}).encode()), 413),
        (request("/v1/embed", json.dumps({"images": [b64(bomb_png())]}).encode()), 422),
        (request("/v1/embed", json.dumps({"images": [b64(gzip.compress(bytes(1 << 30), 9))]}).encode()), 422),
        (request("/v1/search", json.dumps({"texts": ["a"], "where": "(" * 100_000}).encode()), 404),
        (request("/v1/explain", json.dumps({"images": [PICTURE], "labels": MANY}).encode()), 413),
        (request("/v1/embed", b"{}", "Content-Length: 3"), 400),
        (request("/v1/embed", b"{}", "Transfer-Encoding: chunked"), 400),
        (request("/v1/embed", b"{}", "Transfer-Encoding: xchunked"), 400),
        (b"POST /v1/embed HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"\x16\x03\x01 no HTTP\r\n\r\n", 400),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(value),
)  # fmt: skip
def test_a_hostile_request_gets_its_4xx(server: Server, data: bytes, status: int) -> None:
    before = server.peak_mib()
    started = time.monotonic()
    assert status_of(talk(server, data)) == status
    assert time.monotonic() - started < 10
    assert server.peak_mib() - before < 150


def test_chunks_without_end_are_cut_off(server: Server) -> None:
    head = b"POST /v1/embed HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    assert status_of(talk(server, head + chunk * 6)) == 413


def test_slow_clients_stop_nobody_and_are_shown_out(server: Server, client: httpx2.Client) -> None:
    """A hundred say nothing, a hundred say their head letter by letter, a hundred their body."""
    before = server.peak_mib()
    heads = [b"", b"POST /v1/embed HTTP/1.1\r\nX: ", request("/v1/embed", bytes(1000))[:-1000]]
    with ExitStack() as stack:
        slow = [
            (stack.enter_context(socket.create_connection(server.address, timeout=30)), head)
            for head in heads
            for _ in range(100)
        ]
        for connection, head in slow:
            connection.sendall(head)
        started = time.monotonic()
        while time.monotonic() - started < 8:
            for connection, head in slow:
                connection.sendall(b"x" if head else b"")
            asked = time.monotonic()
            assert client.post("/encode", json={"images": [PICTURE]}).status_code == 200
            assert time.monotonic() - asked < 5
        for connection, _ in slow[:200]:  # a body has thirty seconds
            assert status_of(connection.recv(4096)) == 408
        assert time.monotonic() - started < 25
    assert server.peak_mib() - before < 100


def test_more_connections_than_there_is_room_for_are_told_to_come_back(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(512):
            stack.enter_context(socket.create_connection(server.address, timeout=30))
        refused = talk(server, request("/encode", b'{"texts":["a"]}'))
        assert status_of(refused) == 429 and b"\r\nretry-after: 1\r\n" in refused.lower()
        assert status_of(talk(server, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")) == 200
    for _ in range(100):
        if status_of(talk(server, request("/encode", b'{"texts":["a"]}'))) == 200:
            return
    raise AssertionError("never room again")


def test_who_leaves_is_noted_and_forgotten(server: Server, client: httpx2.Client) -> None:
    body = json.dumps({"images": [b64(picture_png(seed, 400, 400)) for seed in range(8)]}).encode()
    for _ in range(5):
        with socket.create_connection(server.address) as connection:
            connection.sendall(request("/v1/embed", body))
    answer = client.post("/v1/embed", json={"images": [b64(picture_png(1))]})
    assert answer.status_code == 200
    page = client.get("/metrics").text
    assert 'dualsight_items_in_hand{kind="image"} 0.0' in page


# --- the end


def test_sigterm_loses_no_accepted_request() -> None:
    with serving() as server, socket.create_connection(server.address, timeout=60) as halfway:
        body = {"images": [b64(picture_png(seed, 1500, 1500)) for seed in range(8)]}
        before = threading.Barrier(9)

        def ask(_: int) -> int:
            with httpx2.Client(base_url=server.url, timeout=60) as own:
                own.get("/livez")
                before.wait(20)
                return own.post("/v1/embed", json=body).status_code

        late = request("/encode", json.dumps({"images": [PICTURE]}).encode())
        halfway.sendall(late[:-100])
        with ThreadPoolExecutor(9) as pool:
            answers = [pool.submit(ask, i) for i in range(8)]
            before.wait(20)
            _until_in_hand(server, 8 * 8)
            ended = pool.submit(server.end)
            with pytest.raises(OSError):
                while True:
                    socket.create_connection(server.address, timeout=5).close()
            halfway.sendall(late[-100:])
            assert status_of(halfway.recv(1 << 16)) == 200
            assert [answer.result() for answer in answers] == [200] * 8
            assert ended.result() in (0, -signal.SIGTERM)


def _until_in_hand(server: Server, n: int) -> None:
    """Returns when the server has admitted n images."""
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        for _ in range(2000):
            found = re.search(
                r'^dualsight_items_in_hand{kind="image"} (.+)$', client.get("/metrics").text, re.MULTILINE
            )
            if found and float(found[1]) >= n:
                return
    raise AssertionError("never admitted")


def test_it_needs_no_home_and_no_folder_to_write_to(tmp_path: Path) -> None:
    """As in deploy/: a user without a home, and nothing but /tmp."""
    tmp_path.chmod(0o500)
    with serving(cwd=tmp_path, HOME="/nonexistent", XDG_CACHE_HOME="/nonexistent") as server:
        answer = httpx2.post(f"{server.url}/encode", json={"images": [PICTURE]}, timeout=30)
        assert answer.status_code == 200
    tmp_path.chmod(0o700)
    assert not list(tmp_path.iterdir()) and not Path("/nonexistent").exists()


# --- TLS


def test_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with serving("--tls-cert", certificate, "--tls-key", key) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        with httpx2.Client(base_url=server.url, verify=context) as client:
            assert client.get("/readyz").status_code == 200


# --- documentation


def test_the_guides_examples_run(server: Server) -> None:
    guide = (ROOT / "docs/serving.md").read_text()
    here = guide.replace("http://127.0.0.1:8000", server.url)
    (shell,) = [block for block in re.findall(r"```shell\n(.*?)```", here, re.DOTALL) if "curl" in block]
    answers = subprocess.run(["bash", "-ec", shell], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert '"results":[{"index":0,"labels"' in answers and '"predictions":[{' in answers
    (code,) = re.findall(r"```python\n(.*?)```", here, re.DOTALL)
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert int(printed) == dualsight.load("demo").config.dual.projection
