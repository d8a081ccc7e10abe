"""A real server process: contracts over a socket, abuse, faults, and an end that loses nothing."""

from __future__ import annotations

import gzip
import json
import os
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
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

import dualsight
from dualsight.interface.http.keys import add_key, as_text, new_key
from request_files import b64, bomb_png, picture_png
from server_process import Server, serving

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
MANY = [f"label {i}" for i in range(10_000)]
PICTURE = b64(picture_png(1))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--max-body-mb", 4, "--max-images", 8) as running:
        yield running


@pytest.fixture(scope="module")
def model() -> dualsight.Model:
    return dualsight.load("demo")


@pytest.fixture
def client(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=30) as asking:
        yield asking


def talk(server: Server, data: bytes, *, limit_s: float = 20.0) -> bytes:
    """What the server says to these bytes until it closes the connection."""
    with socket.create_connection(server.address, timeout=limit_s) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent: the answer matters
            connection.sendall(data)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def request(path: str, body: bytes, *head: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", "Connection: close"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", *head, "", ""]).encode() + body


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


def test_what_the_log_and_the_head_say(client: httpx2.Client, server: Server) -> None:
    name = 'Doe^John\n{"level": "error"}'
    forged = 'x\\r\\n{"level":"error"}'
    response = client.post(
        "/v1/embed?patient=Doe",
        files=[("images", (name, b"no picture", "image/png"))],
        headers={"x-request-id": forged},
    )
    known = client.get(f"/nowhere/{forged}", headers={"x-request-id": "trace-1", "user-agent": "Doe"})
    assert response.status_code == 422 and known.status_code == 404
    assert known.headers["x-request-id"] == "trace-1"
    assert response.headers["x-request-id"] != forged
    for header in ("x-content-type-options", "content-security-policy", "cache-control"):
        assert header in response.headers
    assert "server" not in response.headers and "access-control-allow-origin" not in response.headers
    client.get("/livez")  # the lines before this one are written
    assert not [line for line in server.lines if line["level"] not in ("info", "warning")], server.lines
    text = json.dumps(server.lines)
    assert "Doe" not in text and "trace-1" in text and "nowhere" not in text


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


def test_slow_clients_stop_nobody(server: Server, client: httpx2.Client) -> None:
    slow = [socket.create_connection(server.address, timeout=30) for _ in range(20)]
    try:
        for connection in slow:
            connection.sendall(b"POST /v1/embed HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow")
        assert client.get("/readyz").status_code == 200
    finally:
        for connection in slow:
            connection.close()


def test_who_leaves_is_noted_and_forgotten(server: Server, client: httpx2.Client) -> None:
    body = json.dumps({"images": [b64(picture_png(seed, 400, 400)) for seed in range(8)]}).encode()
    for _ in range(5):
        with socket.create_connection(server.address) as connection:
            connection.sendall(request("/v1/embed", body))
    answer = client.post("/v1/embed", json={"images": [b64(picture_png(1))]})
    assert answer.status_code == 200
    page = client.get("/metrics").text
    assert 'dualsight_items_in_hand{kind="image"} 0.0' in page


# --- keys


def test_a_key_opens_and_nothing_else_does(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    key, new = new_key(), new_key()
    file.write_text(as_text(add_key({}, "ward7", key)))
    assert key not in file.read_text() and len(key) > 40
    with serving("--keys", file) as server, httpx2.Client(base_url=server.url) as client:
        path = "/v1/model"
        assert client.get(path, headers={"authorization": f"Bearer {key}"}).status_code == 200
        hashed = file.read_text().split("sha256:")[1].strip()
        near = [f"Bearer {wrong}" for wrong in (f"{key}x", key[:-1], hashed, key.swapcase())]
        for wrong in ("", "Bearer", f"Basic {key}", key, *near):
            refused = client.get(path, headers={"authorization": wrong})
            assert refused.status_code == 401, wrong
            assert refused.headers["www-authenticate"] == "Bearer"
        assert client.get(path).status_code == 401
        twice = client.get(path, headers=[("authorization", "Bearer x"), ("authorization", f"Bearer {key}")])
        assert twice.status_code == 400
        for closed in ("/metrics", "/v1/models", "/v1/embed/", "//v1/model", "/v1/model%2f"):
            assert client.get(closed).status_code in (401, 404), closed
        for open_path in ("/livez", "/readyz", "/health"):
            assert client.get(open_path).status_code == 200
        huge = request("/v1/embed", b"").replace(b"Content-Length: 0", b"Content-Length: 4000000")
        assert status_of(talk(server, huge)) == 401  # before its body is read
        file.write_text(as_text(add_key({}, "ward8", new)))
        assert client.get(path, headers={"authorization": f"Bearer {new}"}).status_code == 200
        assert client.get(path, headers={"authorization": f"Bearer {key}"}).status_code == 401
        file.write_text("nonsense")
        assert client.get(path, headers={"authorization": f"Bearer {new}"}).status_code == 401
        assert key not in json.dumps(server.lines) and new not in json.dumps(server.lines)
        assert {"ward7", "ward8"} <= {line.get("client") for line in server.lines}


# --- the end, and other workers


def test_sigterm_loses_no_accepted_request() -> None:
    with serving() as server:
        body = {"images": [b64(picture_png(seed, 1500, 1500)) for seed in range(8)]}
        before = threading.Barrier(9)

        def ask(_: int) -> int:
            with httpx2.Client(base_url=server.url, timeout=60) as own:
                own.get("/livez")
                before.wait(20)
                return own.post("/v1/embed", json=body).status_code

        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(ask, i) for i in range(8)]
            before.wait(20)
            _until_in_hand(server, 8 * 8)
            code = server.end()
            assert [answer.result() for answer in answers] == [200] * 8
        assert code in (0, -signal.SIGTERM)
        with pytest.raises(OSError):
            socket.create_connection(server.address, timeout=5)


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


def test_a_killed_worker_is_replaced() -> None:
    with serving("--workers", 2) as server, httpx2.Client(base_url=server.url, timeout=30) as client:
        victim = _workers(server)[0]
        os.kill(victim, signal.SIGKILL)
        answered, pause = 0, threading.Event()
        for _ in range(600):
            try:
                with httpx2.Client(base_url=server.url, timeout=30) as own:
                    assert own.get("/v1/model").status_code == 200
                answered += 1
            except httpx2.TransportError:
                pass  # a connection that the killed one had accepted
            workers = _workers(server)
            if len(workers) == 2 and victim not in workers:
                break
            pause.wait(0.05)  # the new one needs the processor more
        assert len(_workers(server)) == 2 and victim not in _workers(server)
        assert answered > 0
        assert client.post("/encode", json={"texts": ["a"]}).status_code == 200
        page = client.get("/metrics").text
        assert "dualsight_requests_total" in page
        assert server.end() in (0, -signal.SIGTERM)


def _workers(server: Server) -> list[int]:
    """Processes that serve: children which are no helper of multiprocessing's."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


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
