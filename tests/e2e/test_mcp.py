"""`dualsight mcp` as a process, asked by the official client: over stdio, and over streamable HTTP."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import numpy as np
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

import dualsight
from dualsight.interface.http.key_file import add_key, new_key
from dualsight.learn.adapt import Adapter, LinearProbe, save_adapter
from dualsight.learn.adapt.thresholds import Thresholds

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples/real"
GUIDE = ROOT / "docs/agents.md"
LABELS = ["x-ray chest anteroposterior No Finding", "x-ray chest anteroposterior Pneumonia"]


@pytest.fixture(scope="module")
def adapter(model: dualsight.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tells a chest from a head."""
    vectors = np.repeat(model.encode_image([SAMPLES / "chest-x-ray.png", SAMPLES / "ct-head.dcm"]), 4, axis=0)
    file = tmp_path_factory.mktemp("adapter") / "chest.safetensors"
    head = LinearProbe().fit(vectors, np.repeat([0, 1], 4))
    cuts = {"chest": Thresholds(youden=0.5, sens90=0.4)}
    save_adapter(
        Adapter(
            kind="linear",
            head=head,
            labels=("chest", "head"),
            model=model.name,
            fingerprint=model.fingerprint,
            thresholds=cuts,
        ),
        file,
    )
    return file


@pytest.fixture(scope="module")
def index(model: dualsight.Model, tmp_path_factory: pytest.TempPathFactory) -> dualsight.Index:
    """The samples."""
    index = dualsight.Index.open(tmp_path_factory.mktemp("index") / "db", model=model)
    index.add(SAMPLES)
    return index


def test_the_documented_host_gets_its_answers_over_stdio(
    model: dualsight.Model, adapter: Path, index: dualsight.Index
) -> None:
    (config,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    server = json.loads(config)["mcpServers"]["dualsight"]
    assert server["command"] == "dualsight"
    (expected,) = model.classify(SAMPLES / "chest-x-ray.png", LABELS)

    async def ask() -> None:
        options = ["--adapter", f"chest={adapter}", "--db", str(index.folder)]
        arguments = ["-m", "dualsight", *server["args"], *options]
        async with Client(StdioServerParameters(command=sys.executable, args=arguments, cwd=ROOT)) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            documented = set(re.findall(r"^\| `(\w+)\(", GUIDE.read_text(), re.MULTILINE))
            assert tools == documented

            answer = await client.call_tool(
                "zeroshot_classify", {"file_path": str(SAMPLES / "chest-x-ray.png"), "labels": LABELS}
            )
            assert answer.structured_content == pytest.approx(expected.as_dict())

            examples = await client.call_tool("zeroshot_label_examples", {"group": "modality"})
            assert "x-ray" in examples.structured_content["result"]

            head = await client.call_tool("adapter_classify", {"file_path": "chest-x-ray.png", "head": "chest"})
            assert list(head.structured_content) == ["chest", "head"]
            assert head.structured_content["chest"]["above_youden"] is True
            assert head.structured_content["head"]["above_sens90"] is None
            unknown = await client.call_tool("adapter_classify", {"file_path": "chest-x-ray.png", "head": "x"})
            assert unknown.is_error and "there are: chest" in unknown.content[0].text

            chest = {"file_path": "chest-x-ray.png"}
            why = await client.call_tool("explain_image", {**chest, "labels": LABELS, "method": "grad-cam"})
            assert [block.type for block in why.content] == ["image", "text"]
            assert base64.b64decode(why.content[0].data).startswith(b"\x89PNG")

            found = await client.call_tool("search_images", {**chest, "k": 1})
            assert found.structured_content["hits"][0]["file_path"] == str(SAMPLES / "chest-x-ray.png")

            refused = await client.call_tool("embed_image", {"file_path": "../../pyproject.toml"})
            assert refused.is_error and "no file in a folder" in refused.content[0].text

    anyio.run(ask)


def test_stdout_is_the_protocol_s_alone(tmp_path: Path) -> None:
    (tmp_path / "broken.dcm").write_bytes((SAMPLES / "ct-head.dcm").read_bytes()[:3000])
    initialize = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    }
    calls: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": initialize},
        {"method": "notifications/initialized"},
        {
            "id": 2,
            "method": "tools/call",
            "params": {"name": "embed_image", "arguments": {"file_path": "broken.dcm"}},
        },
    ]
    command = [sys.executable, "-m", "dualsight", "mcp", "--root", str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        answers = []
        for call in calls:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **call}) + "\n")
            process.stdin.flush()
            if "id" in call:
                answers.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.stdout.read() == ""
        said = process.stderr.read()
        assert process.wait(20) == 0
    assert [answer["id"] for answer in answers] == [1, 2]
    assert answers[1]["result"]["isError"] is True
    assert "broken.dcm" not in said and str(tmp_path) not in said
    assert "demonstration model" in said


@contextmanager
def serving(*options: object) -> Iterator[str]:
    """`dualsight mcp --http` on a free port: its address."""
    command = [sys.executable, "-m", "dualsight", "mcp", "--http", "--port", "0", *map(str, options)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        try:
            yield next(line.split()[-1] for line in process.stderr if line.startswith("listening on "))
        finally:
            process.terminate()
            process.stderr.read()
            process.wait(20)


PING = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}


def test_over_http_the_answers_are_the_same_and_strangers_are_refused(model: dualsight.Model) -> None:
    with serving("--root", SAMPLES) as url:
        assert url.startswith("http://127.0.0.1:")

        async def ask() -> Any:
            async with Client(url) as client:
                return await client.call_tool("embed_image", {"file_path": "ct-head.dcm"})

        answer = anyio.run(ask).structured_content
        expected = model.encode_image(SAMPLES / "ct-head.dcm")[0]
        np.testing.assert_allclose(np.asarray(answer["embedding"], np.float32), expected, atol=1e-5)

        def status(**headers: str) -> int:
            return httpx2.post(url, json=PING, headers={**HEADERS, **headers}).status_code

        port = url.split(":")[2].partition("/")[0]
        assert status() == 200
        assert status(Origin=f"http://localhost:{port}") == 200
        assert status(Host=f"evil.example:{port}") == 421
        assert status(Host=f"127.0.0.1.evil.example:{port}") == 421
        assert status(Origin="http://evil.example") == 403
        assert status(Origin="null") == 403
        assert (
            httpx2.post(
                url, content=b"x" * (5 << 20), headers={**HEADERS, "Content-Type": "application/json"}
            ).status_code
            == 413
        )
        assert (
            httpx2.options(url, headers={"Origin": "http://evil.example"}).headers.get("access-control-allow-origin")
            is None
        )


def test_with_a_key_file_only_keys_get_in(tmp_path: Path) -> None:
    key = new_key()
    file = tmp_path / "keys"
    file.write_text(add_key(file, "ward7", key))
    with serving("--keys", file, "--allowed-host", "gpu.example") as url:
        for authorization in (None, "Bearer wrong", f"Basic {key}", key):
            headers = {**HEADERS, **({} if authorization is None else {"Authorization": authorization})}
            assert httpx2.post(url, json=PING, headers=headers).status_code == 401
        with_key = {**HEADERS, "Authorization": f"Bearer {key}"}
        assert httpx2.post(url, json=PING, headers={**with_key, "Host": "gpu.example"}).status_code == 200

        async def ask() -> int:
            async with (
                httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                return len((await client.list_tools()).tools)

        assert anyio.run(ask) == 5
