"""Several workers on one socket: one that is killed, all that are replaced, and the weights that they share."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx2
import numpy as np
import pytest

import dualsight
from request_files import b64, picture_png
from server_process import Server, request, serving, status_of

pytestmark = pytest.mark.e2e


def workers(server: Server) -> list[int]:
    """Processes that serve: children which are no helper of multiprocessing's."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return [int(pid) for pid in children if "spawn_main" in told(Path(f"/proc/{pid}/cmdline").read_text)]


def until(holds: Callable[[], bool], *, limit_s: float = 120.0) -> None:
    pause, end = threading.Event(), time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end
        pause.wait(0.1)  # whatever is waited for needs the processor more


def owner(server: Server, connection: socket.socket) -> int | None:
    """The worker that has accepted a connection; None while none has."""
    here, there = connection.getsockname()[1], connection.getpeername()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (int(fields[1].split(":")[1], 16), int(fields[2].split(":")[1], 16)) == (there, here):
            mark = f"socket:[{fields[9]}]"
            for pid in workers(server):
                links = Path(f"/proc/{pid}/fd").iterdir()
                if mark in [told(lambda link=link: str(link.readlink())) for link in links]:  # type: ignore[misc] # ruff's way to bind
                    return pid
    return None


def told(read: Callable[[], str]) -> str:
    """What a file of /proc says; nothing where process or descriptor have ended meanwhile."""
    try:
        return read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def read_all(connection: socket.socket) -> bytes:
    """What is said until the connection ends, or is cut off."""
    answer = b""
    try:
        while part := connection.recv(1 << 16):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def test_a_killed_worker_is_replaced_and_the_other_s_requests_survive() -> None:
    images = [b64(picture_png(seed, 900, 900)) for seed in range(8)]
    body = request("/v1/embed", json.dumps({"images": images}).encode())
    expected = dualsight.load("demo").encode_image([picture_png(seed, 900, 900) for seed in range(8)])
    with serving("--workers", 2, "--max-queue", 256) as server, ExitStack() as stack:
        until(lambda: len(workers(server)) == 2)
        first, second = workers(server)
        owned: dict[int, list[socket.socket]] = {first: [], second: []}

        def spread() -> bool:
            connection = stack.enter_context(socket.create_connection(server.address, timeout=60))
            until(lambda: owner(server, connection) is not None)
            owned[owner(server, connection) or 0].append(connection)
            return all(owned.values())

        until(spread)
        asked = {pid: connections[:3] for pid, connections in owned.items()}
        for connections in asked.values():
            for connection in connections:
                connection.sendall(body)
        os.kill(first, signal.SIGKILL)
        for connection in asked[second]:
            answer = read_all(connection)
            assert status_of(answer) == 200
            rows = json.loads(answer.partition(b"\r\n\r\n")[2])["images"]
            np.testing.assert_allclose([row["vector"] for row in rows], expected, atol=1e-5)
        assert not any(read_all(connection) for connection in asked[first])
        until(lambda: len(workers(server)) == 2 and first not in workers(server))
        with httpx2.Client(base_url=server.url, timeout=60) as client:
            assert client.post("/encode", json={"texts": ["a"]}).status_code == 200
            page = client.get("/metrics").text
        in_hand = re.findall(r'^dualsight_items_in_hand{kind="image"} (.+)$', page, re.MULTILINE)
        assert [float(n) for n in in_hand] == [0.0]  # what the killed one had in hand is in nobody's
        assert server.end() in (0, -signal.SIGTERM)


def test_all_workers_are_replaced_without_a_lost_request() -> None:
    over = threading.Event()
    statuses: list[int | str] = []

    def ask(server: Server, *, keeps: bool) -> None:
        with httpx2.Client(base_url=server.url, timeout=60) as kept:
            while not over.wait(0.01):
                try:
                    if keeps:
                        answer = kept.post("/encode", json={"texts": ["a"]})
                    else:
                        answer = httpx2.post(f"{server.url}/encode", json={"texts": ["a"]}, timeout=60)
                    statuses.append(answer.status_code)
                except httpx2.HTTPError as error:
                    statuses.append(repr(error))

    with serving("--workers", 2) as server:
        until(lambda: len(workers(server)) == 2)
        before = workers(server)
        clients = [threading.Thread(target=ask, args=(server,), kwargs={"keeps": i % 2 == 0}) for i in range(4)]
        for client in clients:
            client.start()
        try:
            until(lambda: len(statuses) > 20)
            server.process.send_signal(signal.SIGHUP)
            until(lambda: len(workers(server)) == 2 and not set(before) & set(workers(server)))
            so_far = len(statuses)
            until(lambda: len(statuses) > so_far + 20)
        finally:
            over.set()
            for client in clients:
                client.join()
    assert set(statuses) == {200}


def test_workers_end_with_their_supervisor() -> None:
    with serving("--workers", 2) as server:
        until(lambda: len(workers(server)) == 2)
        alone = workers(server)
        server.process.kill()
        server.process.wait(10)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in alone))
        with socket.create_server(server.address):
            pass  # the port is free


def test_workers_share_one_mapping_of_the_weights(recipe_folder: Callable[[str], Path]) -> None:
    folder = recipe_folder("davit")
    (weights,) = (folder / "vision_model").iterdir()
    with serving("--workers", 2, "--model", folder, "--engine", "torch") as server:
        half = weights.stat().st_size / 1024 / 2  # kilobytes; warming up reads more

        def shared() -> list[float]:
            maps = [mapping(pid, weights) for pid in workers(server)]
            assert not any(mapped.get("Anonymous") for mapped in maps)  # the file's own pages, and no copies
            return [mapped.get("Shared_Clean", 0) + mapped.get("Shared_Dirty", 0) for mapped in maps]

        until(lambda: len(shared()) == 2 and min(shared()) > half)
        body = {"images": [b64(picture_png(1))], "texts": ["a"]}
        for _ in range(4):
            assert httpx2.post(f"{server.url}/encode", json=body, timeout=60).status_code == 200
        assert min(shared()) > half


def mapping(pid: int, file: Path) -> dict[str, int]:
    """Kilobytes by kind, of all of a process's mappings of a file."""
    sizes: dict[str, int] = {}
    is_it = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_it = line.endswith(str(file.resolve()))
        elif is_it and line.endswith(" kB"):
            name, kilobytes, _ = line.split()
            sizes[name[:-1]] = sizes.get(name[:-1], 0) + int(kilobytes)
    return sizes
