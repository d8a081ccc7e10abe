"""A small Hugging Face hub on loopback: the listing, HEAD and GET of files with ranges, and faults on request."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LARGE = 10_000  # bytes; files from here on are listed with their SHA-256, as large files are


@dataclass
class StandIn:
    """One public repository with a branch `main`, and what was asked of it."""

    repo_id: str
    files: dict[str, bytes]
    commit: str = "a" * 40
    url: str = ""
    break_after: dict[str, int] = field(default_factory=dict)  # file → bytes of its next answer, then silence
    corrupt: set[str] = field(default_factory=set)  # files served with other bytes than are listed
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, Range

    def asked(self, method: str, name: str) -> list[str]:
        """The Range headers of the requests of a file."""
        return [given for kind, path, given in self.requests if kind == method and path.endswith(f"/{name}")]

    def sibling(self, name: str) -> dict[str, Any]:
        content = self.files[name]
        git_id = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git_id}
        if len(content) >= LARGE:
            entry["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
        return entry


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: StandIn

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub, path = self.hub, self.path.split("?")[0]
        hub.requests.append((self.command, path, self.headers.get("Range", "")))
        api = f"/api/models/{hub.repo_id}"
        if path in (api, f"{api}/revision/main", f"{api}/revision/{hub.commit}"):
            listing = {"id": hub.repo_id, "sha": hub.commit, "siblings": [hub.sibling(name) for name in hub.files]}
            self._send(200, json.dumps(listing).encode(), {"Content-Type": "application/json"}, body)
            return
        for revision in ("main", hub.commit):
            name = path.removeprefix(f"/{hub.repo_id}/resolve/{revision}/")
            if name in hub.files:
                self._file(name, body)
                return
        what = "EntryNotFound" if path.startswith(f"/{hub.repo_id}/") else "RepoNotFound"
        if path.startswith(api + "/revision/"):
            what = "RevisionNotFound"
        self._send(404, b"", {"X-Error-Code": what}, body)

    def _file(self, name: str, body: bool) -> None:
        hub, listed = self.hub, self.hub.sibling(name)
        content = hub.files[name]
        if name in hub.corrupt:
            content = bytes(reversed(content))
        etag = listed["lfs"]["sha256"] if "lfs" in listed else listed["blobId"]
        headers = {"X-Repo-Commit": hub.commit, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        headers["X-Linked-Etag"], headers["X-Linked-Size"] = f'"{etag}"', str(len(content))
        status, start = 200, 0
        if self.headers.get("Range"):
            status, start = 206, int(self.headers["Range"].removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(status, content[start:], headers, body, cut=hub.break_after.pop(name, None) if body else None)

    def _send(self, status: int, content: bytes, headers: dict[str, str], body: bool, cut: int | None = None) -> None:
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(header, value)
        self.end_headers()
        if body:
            self.wfile.write(content if cut is None else content[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True


@contextmanager
def serving(hub: StandIn) -> Iterator[StandIn]:
    """The stand-in answers at `hub.url` until the block ends."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
