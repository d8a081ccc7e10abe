"""A small DICOMweb service on loopback: QIDO-RS lists, WADO-RS instances, and faults on request."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import keyring
import keyring.core
import pytest
from keyring.backends.null import Keyring as NullKeyring

ROOT = "/dicom-web"
BOUNDARY = "5f0c4e"
Fault = Literal[
    "ignores limit and offset",
    "ignores offset",
    "ignores the query",
    "never ends",
    "silent",
    "drips",
    "truncated",
    "no end",
    "two parts",
    "no multipart",
    "web page",
    "no list",
    "not http",
]


@dataclass(frozen=True)
class Stored:
    """One instance: its UIDs, its file, and what a list says of it beside them (DICOM JSON)."""

    study: str
    series: str
    instance: str
    content: bytes = b""
    row: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"/studies/{self.study}/series/{self.series}/instances/{self.instance}"

    def listed(self) -> dict[str, Any]:
        uids = {"0020000D": self.study, "0020000E": self.series, "00080018": self.instance}
        return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()} | self.row


@dataclass
class StandIn:
    """What the service holds, how it misbehaves, and what was asked of it."""

    stored: list[Stored] = field(default_factory=list)
    faults: set[Fault] = field(default_factory=set)
    status: dict[str, int] = field(default_factory=dict)  # path in the service → refused so; "" for all of them
    redirect: dict[str, str] = field(default_factory=dict)  # path in the service → Location
    authorization: str = ""  # what the header must be
    page: int = 10**9  # at most so many instances a list
    warns: bool = False  # says that there is more
    port: int = 0
    requests: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)  # path, query, headers
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"dicomweb+http://127.0.0.1:{self.port}{ROOT}"

    @property
    def lists(self) -> list[dict[str, str]]:
        """The queries of the lists that were asked for."""
        return [query for path, query, _ in self.requests if path.endswith("/instances")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: StandIn

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        service, asked = self.service, urlsplit(self.path)
        path = asked.path.removeprefix(ROOT)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        service.requests.append((path, query, dict(self.headers)))
        refused = service.status.get(path, service.status.get(""))
        if "silent" in service.faults:
            service.released.wait()
            self.close_connection = True
        elif "not http" in service.faults:
            self.wfile.write(b"HELO\r\n")
            self.close_connection = True
        elif path in service.redirect:
            self._send(302, b"", {"Location": service.redirect[path]})
        elif service.authorization and self.headers.get("Authorization") != service.authorization:
            self._send(401, b"who asks?", {"WWW-Authenticate": 'Basic realm="stand-in"'})
        elif refused is not None:
            self._send(refused, b"no", {})
        elif path.endswith("/instances"):
            self._list(path, query)
        else:
            self._instance(path)

    def _list(self, path: str, query: dict[str, str]) -> None:
        service, faults = self.service, self.service.faults
        if "no list" in faults:
            self._send(200, b'{"instances": []}', {"Content-Type": "application/dicom+json"})
            return
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", 10**9))
        if "never ends" in faults:
            rows = [Stored("1.2", "1.2.3", f"1.2.3.{number}").listed() for number in range(offset, offset + limit)]
        else:
            scope = path.removesuffix("instances")
            chosen = [
                stored
                for stored in service.stored
                if f"{stored.path}/".startswith(scope) or scope == "/"
                if "ignores the query" in faults
                or (
                    stored.series == query.get("SeriesInstanceUID", stored.series)
                    and stored.instance == query.get("SOPInstanceUID", stored.instance)
                )
            ]
            start = 0 if faults & {"ignores offset", "ignores limit and offset"} else offset
            count = len(chosen) if "ignores limit and offset" in faults else min(limit, service.page)
            rows = [stored.listed() for stored in chosen[start : start + count]]
        headers = {"Content-Type": "application/dicom+json"}
        if service.warns:
            headers["Warning"] = f"299 {ROOT}: There are additional results that can be requested"
        self._send(200 if rows else 204, json.dumps(rows).encode() if rows else b"", headers)

    def _instance(self, path: str) -> None:
        faults = self.service.faults
        found = next((stored for stored in self.service.stored if stored.path == path), None)
        if found is None:
            self._send(404, b"", {})
        elif "web page" in faults:
            self._send(200, b"<html>log in</html>", {"Content-Type": "text/html; charset=utf-8"})
        elif "no multipart" in faults:
            self._send(200, found.content, {"Content-Type": "application/dicom"})
        else:
            part = b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % (BOUNDARY.encode(), found.content)
            end = b"" if "no end" in faults else b"--%s--\r\n" % BOUNDARY.encode()
            body = part * (2 if "two parts" in faults else 1) + end
            self._send(200, body, {"Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        faults = self.service.faults
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if "truncated" in faults:
            body = body[: len(body) // 2]
            self.close_connection = True
        if "drips" in faults:
            self._drip(body)
        else:
            self.wfile.write(body)

    def _drip(self, body: bytes) -> None:
        try:
            for byte in body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                if self.service.released.wait(0.005):
                    return
        except OSError:
            pass  # the client has left, as it should


@contextmanager
def serving(service: StandIn) -> Iterator[StandIn]:
    """The stand-in answers at `service.url` until the block ends."""
    handler = type("Handler", (_Handler,), {"service": service})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    service.port = server.server_port
    try:
        yield service
    finally:
        service.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def forget_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials in the environment, nor in a keyring."""
    for name in ("USER", "PASSWORD", "TOKEN", "INSECURE"):
        monkeypatch.delenv(f"DUALSIGHT_DICOMWEB_{name}", raising=False)
    before = keyring.get_keyring()
    monkeypatch.setattr(keyring.core, "_keyring_backend", before)  # put back at the end
    keyring.set_keyring(NullKeyring())
