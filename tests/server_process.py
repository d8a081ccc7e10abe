"""A server in a process of its own, on a free port of 127.0.0.1, started and ended by the test."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

START_S = 60.0
END_S = 10.0


@dataclass
class Server:
    """A running `dualsight serve`."""

    process: subprocess.Popen[str]
    url: str = ""
    lines: list[dict[str, Any]] = field(default_factory=list)  # its log

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for a socket."""
        host, _, port = self.url.rpartition("://")[2].rpartition(":")
        return host, int(port)

    def end(self) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def peak_mib(self) -> float:
        """The most memory that the process ever held."""
        with open(f"/proc/{self.process.pid}/status") as status:  # noqa: PTH123 - no file of anybody's
            peak = next(line for line in status if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024


@contextmanager
def serving(*options: object, cwd: Path | None = None, **environment: str) -> Iterator[Server]:
    """`dualsight serve --port 0` with these options; ready when the block begins, ended when it ends."""
    command = [sys.executable, "-m", "dualsight", "serve", "--port", "0", *map(str, options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    process = subprocess.Popen(
        command, start_new_session=True, cwd=cwd, stderr=subprocess.PIPE, text=True, env=environment
    )
    server = Server(process)
    started = threading.Event()
    reader = threading.Thread(target=_read, args=(server, started), daemon=True)
    reader.start()
    try:
        assert started.wait(START_S), "no address in the log"
        _wait_until_ready(server)
        yield server
    finally:
        process.terminate()  # it removes what it has made, and tells what of it was run
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what did not end, its workers too
        process.wait(10)
        reader.join(10)


def _read(server: Server, started: threading.Event) -> None:
    assert server.process.stderr is not None
    with server.process.stderr as stderr:
        for text in stderr:
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                line = {"message": text.rstrip(), "level": "not JSON"}
            server.lines.append(line)
            if "url" in line:
                server.url = line["url"]
                started.set()
    started.set()


def _wait_until_ready(server: Server) -> None:
    """Asks until it answers: it listens once its model is loaded and warm."""
    pause = threading.Event()
    for _ in range(int(START_S / 0.1)):
        assert server.process.poll() is None, server.lines
        try:
            with httpx2.Client(verify=False) as client:
                if client.get(f"{server.url}/readyz").status_code == 200:
                    return
        except httpx2.TransportError:
            pause.wait(0.1)
    raise AssertionError("not ready in time")


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
    """The status of an answer as bytes."""
    return int(answer.split(b" ", 2)[1])


def request(path: str, body: bytes, *head: str) -> bytes:
    """A request as bytes, after which the connection ends. head: further lines of it."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", "Connection: close"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", *head, "", ""]).encode() + body
