"""Whoever has no key gets nothing, and whoever has one gets no file, no other's answer and no line of the log."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from dualsight.interface.http.key_file import add_key, new_key, read_hashes
from request_files import b64, picture_png
from server_process import Server, request, serving, status_of, talk

pytestmark = pytest.mark.e2e

CANARY = "TOP-SECRET"
PATIENT = "Doe^John"
PROTECTED = "/v1/model"


class Keys:
    """A key file, whose one key is replaced while a server runs."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.old, self.new = new_key(), new_key()
        self.begin()

    def begin(self) -> None:
        self._hold("ward7", self.old)

    def replace(self) -> None:
        self._hold("ward8", self.new)

    def _hold(self, name: str, key: str) -> None:
        self.file.unlink(missing_ok=True)
        self.file.write_text(add_key(self.file, name, key))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys") / "keys.txt")


@pytest.fixture(scope="module")
def server(keys: Keys) -> Iterator[Server]:
    keys.begin()
    with serving("--keys", keys.file) as running:
        assert httpx2.get(f"{running.url}{PROTECTED}", headers=bearer(keys.old)).status_code == 200
        keys.replace()
        yield running


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def refusals(server: Server, keys: Keys) -> list[tuple[object, httpx2.Response]]:
    """What is said to keys that are none, or no longer one."""
    hashed = next(iter(read_hashes(keys.file).values()))
    near = (keys.old, f"{keys.new}x", keys.new[:-1], keys.new.swapcase(), hashed, f"sha256:{hashed}", "null")
    heads: list[object] = [{}, *(bearer(key) for key in near)]
    heads += [
        {"authorization": word} for word in (keys.new, f"Basic {keys.new}", "Bearer", f"Bearer Bearer {keys.new}")
    ]
    heads += [{"x-api-key": keys.new}, {"cookie": f"key={keys.new}"}, {"x-forwarded-for": "127.0.0.1"}]
    heads += [[("authorization", f"Bearer {keys.new}"), ("authorization", "Bearer x")]]
    heads += [{"x-original-url": "/livez", "x-rewrite-url": "/livez", "x-http-method-override": "GET"}]
    with httpx2.Client(base_url=server.url) as client:
        return [(head, client.get(f"{PROTECTED}?key={keys.new}", headers=head)) for head in heads]


def test_no_key_but_the_present_one_opens(server: Server, keys: Keys) -> None:
    assert httpx2.get(f"{server.url}{PROTECTED}", headers=bearer(keys.new)).status_code == 200
    for head, response in refusals(server, keys):
        assert response.status_code in (400, 401), head
        assert response.json().keys() == {"error"} and "demo" not in response.text
        assert (response.status_code == 401) == (response.headers.get("www-authenticate") == "Bearer")
    assert keys.new not in keys.file.read_text()


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics", "/v1/models", "/v1/embed", "/v1/embed/", "//v1/model", "/v1/model%2f", "/v1/model;/livez"),
        *("/livez/../v1/model", "/livez/%2e%2e/v1/model", "/livez%00/v1/model", "/V1/MODEL", "/v1/model?/livez"),
        *("http://127.0.0.1/v1/model", "/ui", "/docs", "/redoc", "/gradio_api/file=/etc/passwd", "*"),
    ],
)
def test_no_path_leads_past_the_key(server: Server, path: str) -> None:
    for method in ("GET", "POST", "HEAD", "OPTIONS", "TRACE", "livez"):
        data = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        answer = talk(server, data.encode())
        assert status_of(answer) in (400, 401, 404, 405), (method, answer)
        assert b"fingerprint" not in answer and b"dualsight_" not in answer


def test_probes_need_none(server: Server) -> None:
    for path in ("/livez", "/readyz", "/health", "/openapi.json"):
        assert httpx2.get(f"{server.url}{path}").status_code == 200


def test_a_body_is_not_read_before_its_key(server: Server) -> None:
    huge = request("/v1/embed", b"").replace(b"Content-Length: 0", b"Content-Length: 4000000")
    assert status_of(talk(server, huge)) == 401


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ["Transfer-Encoding: identity, chunked"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding : chunked"],
        ["Transfer-Encoding:\x0bchunked"],
        ["Content-Length: +5"],
        ["Content-Length: 0x5"],
        ["Content-Length: 5 5"],
        ["Content-Length: -1"],
        ["Content-Length: 5\r\n , 6"],
        ["Content-Length\x00: 5"],
        ["Host: 127.0.0.1", "Content-Length: 5"],
        ["X: a\nContent-Length: 5", "Content-Length: 0"],
    ],
    ids=repr,
)
def test_a_head_of_two_meanings_has_none(server: Server, keys: Keys, lines: list[str]) -> None:
    """One request goes in, with another in what may be its body: one refusal comes out, and the connection ends."""
    key = f"Authorization: Bearer {keys.new}"
    head = ["POST /v1/embed HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", key, *lines, "", ""]
    hidden = f"0\r\n\r\nGET {PROTECTED} HTTP/1.1\r\nHost: 127.0.0.1\r\n{key}\r\n\r\n"
    answer = talk(server, "\r\n".join(head).encode("latin-1") + hidden.encode())
    assert status_of(answer) in (400, 408, 413) and answer.count(b"HTTP/1.1 ") == 1, answer
    assert b"fingerprint" not in answer


def test_a_request_hidden_in_a_body_is_a_body(server: Server, keys: Keys) -> None:
    hidden = f"GET {PROTECTED} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {keys.new}\r\n\r\n".encode()
    answer = talk(server, request("/v1/embed", hidden, f"Authorization: Bearer {keys.new}"))
    assert status_of(answer) == 400 and answer.count(b"HTTP/1.1 ") == 1


NAMES = [
    "../../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\windows\\win.ini",
    "canary.png",
    f"{PATIENT}.dcm",
    'a"; filename="/etc/passwd',
    "a\r\nX-Injected: yes",
    "a\x00.png",
    '\n{"level":"error","message":"forged"}',
    "\x1b[2J",
]


def test_names_of_files_open_nothing_and_are_told_nobody(tmp_path: Path, keys: Keys) -> None:
    """The server runs in a folder with a picture of the name that is sent: what is sent beside the name is none."""
    (tmp_path / "canary.png").write_bytes(picture_png(1))
    before = sorted(tmp_path.rglob("*"))
    keys.replace()
    with serving("--keys", keys.file, cwd=tmp_path) as server:
        for name in NAMES:
            for field in ("images", name):
                about = f'Content-Disposition: form-data; name="{field}"; filename="{name}"'
                part = f"--b\r\n{about}\r\n\r\nno picture\r\n--b--\r\n"
                head = {"content-type": "multipart/form-data; boundary=b", **bearer(keys.new)}
                response = httpx2.post(f"{server.url}/v1/embed", content=part.encode(), headers=head, timeout=30)
                assert response.status_code in (400, 422), (field, name)
                for told in ("passwd", PATIENT, "canary", "forged", "injected", "\x1b"):
                    assert told not in response.text + str(response.headers).lower()
        httpx2.get(f"{server.url}/livez")
        assert PATIENT not in json.dumps(server.lines) and "passwd" not in json.dumps(server.lines)
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_that_a_client_says_becomes_a_line_of_the_log(server: Server, keys: Keys) -> None:
    evil = '\\r\\n{"level":"error","message":"forged"}\x1b[31m'
    raw = f"GET /%0a%7b%22level%22:%22error%22%7d HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: {evil}\r\n"
    raw += f"User-Agent: {PATIENT}\r\nReferer: {PATIENT}\r\nX-Forwarded-For: {PATIENT}\r\nConnection: close\r\n"
    for key in (f"Bearer {keys.new}", f"Bearer {CANARY}", PATIENT):
        talk(server, f"{raw}Authorization: {key}\r\n\r\n".encode())
    body = {"images": [b64(PATIENT.encode())], "labels": [PATIENT], PATIENT: PATIENT}
    httpx2.post(f"{server.url}/predict?{PATIENT}", json=body, headers={**bearer(keys.new), "x-request-id": "trace-1"})
    httpx2.get(f"{server.url}/livez")  # the lines before this one's are written
    names = {"time", "level", "logger", "message", "request_id", "route", "status", "seconds", "client"}
    for line in server.lines:
        assert line["level"] in ("info", "warning") and set(line) <= {*names, "url", "model", "workers"}, line
    text = json.dumps(server.lines)
    for secret in (PATIENT, CANARY, "forged", "u001b", keys.old, keys.new, "%0a", "level\\"):
        assert secret not in text
    assert "trace-1" in text and {"ward7", "ward8"} <= {line.get("client") for line in server.lines}
    page = httpx2.get(f"{server.url}/metrics", headers=bearer(keys.new)).text
    assert not [word for word in (PATIENT, "ward", "127.0.0.1", "%0a") if word in page]


@contextmanager
def mcp_serving(*options: object) -> Iterator[str]:
    """`dualsight mcp --http` on a free port: its address."""
    command = [sys.executable, "-m", "dualsight", "mcp", "--http", "--port", "0", *map(str, options)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield next(line.split()[-1] for line in process.stderr if line.startswith("listening on "))
        finally:
            process.terminate()
            assert CANARY not in process.stderr.read()
            process.wait(20)


def test_an_agent_s_path_leads_nowhere_else(tmp_path: Path, keys: Keys) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / f"{CANARY}.png").write_bytes(picture_png(1))
    (root / "link.png").symlink_to(tmp_path / f"{CANARY}.png")
    (root / "sound.png").write_bytes(picture_png(2))
    outside = tmp_path / f"{CANARY}.png"
    paths = [f"../{outside.name}", str(outside), f"{root}/../{outside.name}", "link.png", f"./.././{outside.name}"]
    paths += ["/etc/passwd", "file:///etc/passwd", "/proc/self/environ", f"root/../../{outside.name}", "\x00", ""]
    head = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}

    keys.replace()
    with mcp_serving("--root", root, "--keys", keys.file) as url:

        def call(tool: str, key: str, **arguments: object) -> httpx2.Response:
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
            return httpx2.post(url, json=body, headers={**head, **bearer(key)}, timeout=60)

        assert call("embed_image", keys.new, file_path="sound.png").json()["result"]["isError"] is False
        for key in ("wrong", keys.old, keys.new[:-1]):
            assert call("embed_image", key, file_path="sound.png").status_code == 401
        for path in paths:
            for tool in ("embed_image", "zeroshot_classify", "explain_image"):
                more = {} if tool == "embed_image" else {"labels": ["a"]}
                answer = call(tool, keys.new, file_path=path, **more).json()["result"]
                assert answer["isError"] is True, path
                said = json.dumps(answer["content"]).replace(json.dumps(path)[1:-1], "")
                assert "no file in a folder that this server may read" in said
                assert CANARY not in said and "embedding" not in said
