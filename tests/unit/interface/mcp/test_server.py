"""The tools as an agent calls them, by the official client, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from mcp import Client

import dualsight
from dualsight.errors import UnreadableImage
from dualsight.interface.mcp.catalogue import zeroshot_label_examples
from dualsight.interface.mcp.pictures import PictureTools
from dualsight.interface.mcp.roots import Roots
from dualsight.interface.mcp.server import build_server

SAMPLES = Path(__file__).parents[4] / "samples/real"
CHEST = SAMPLES / "chest-x-ray.png"
LABELS = ["x-ray chest anteroposterior No Finding", "x-ray chest anteroposterior Pneumonia"]


@pytest.fixture(scope="module")
def model() -> dualsight.Model:
    return dualsight.load()


@pytest.fixture
def call(model: dualsight.Model) -> Callable[..., Any]:
    """`call(tool, **arguments)`: the SDK's result."""
    server = build_server((zeroshot_label_examples, *PictureTools(model, Roots([SAMPLES])).tools), model.notice)

    def call(tool: str, **arguments: object) -> Any:
        async def ask() -> Any:
            async with Client(server) as client:
                return await client.call_tool(tool, arguments)

        return anyio.run(ask)

    return call


def told(result: Any) -> str:
    assert result.is_error
    return " ".join(block.text for block in result.content)


def test_classification_is_the_model_s(call, model: dualsight.Model) -> None:
    (expected,) = model.classify(CHEST, LABELS)
    for path in (CHEST.name, str(CHEST)):
        result = call("zeroshot_classify", file_path=path, labels=LABELS)
        assert result.structured_content == pytest.approx(expected.as_dict())
        assert list(json.loads(result.content[0].text)) == list(expected.labels)


def test_embedding_is_the_model_s(call, model: dualsight.Model) -> None:
    answer = call("embed_image", file_path="ct-head.dcm").structured_content
    np.testing.assert_array_equal(
        np.asarray(answer["embedding"], np.float32), model.encode_image(SAMPLES / "ct-head.dcm")[0]
    )
    assert (answer["model"], answer["fingerprint"]) == ("demo", model.fingerprint)


def test_description_says_where_and_what(call, model: dualsight.Model) -> None:
    answer = call("describe_model").structured_content
    assert answer["roots"] == [str(SAMPLES.resolve())] and answer["notice"] == model.notice
    assert answer["embedding_size"] == model.config.dual.projection


@pytest.mark.parametrize("path", ["/etc/passwd", "../README.md", "nothing.png", "dicomweb+http://127.0.0.1:1/x"])
def test_a_refused_path_is_told_with_what_to_do(call, path: str) -> None:
    for tool, more in (("zeroshot_classify", {"labels": LABELS}), ("embed_image", {})):
        text = told(call(tool, file_path=path, **more))
        assert "no file in a folder that this server may read" in text and str(SAMPLES.resolve()) in text


def test_a_broken_picture_is_told_under_the_agent_s_own_name(model: dualsight.Model, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/broken.png").write_bytes(CHEST.read_bytes()[:200])
    (tmp_path / "link").symlink_to(tmp_path / "real")
    tools = PictureTools(model, Roots([tmp_path]))
    with pytest.raises(UnreadableImage) as caught:
        tools.zeroshot_classify("link/broken.png", LABELS)
    assert str(caught.value).startswith("link/broken.png: ") and str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "said"), [([], "no labels"), (["a", "a"], "twice"), ([" "], "blank"), (["a"] * 1001, "1,001 labels")]
)
def test_unusable_labels_are_told(call, labels: list[str], said: str) -> None:
    assert said in told(call("zeroshot_classify", file_path=CHEST.name, labels=labels))


@pytest.mark.parametrize("arguments", [{}, {"file_path": 3, "labels": LABELS}, {"file_path": "a", "labels": "x"}])
def test_wrong_arguments_are_told(call, arguments: dict[str, object]) -> None:
    assert "validation error" in told(call("zeroshot_classify", **arguments))


def test_a_mistake_of_ours_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    def tool() -> str:
        """Breaks."""
        raise ValueError("/secret/path")

    async def ask() -> Any:
        async with Client(build_server([tool])) as client:
            return await client.call_tool("tool", {})

    assert "secret" not in told(anyio.run(ask))


def test_tools_are_read_only_and_described(model: dualsight.Model) -> None:
    server = build_server((zeroshot_label_examples, *PictureTools(model, Roots([])).tools), model.notice)

    async def ask() -> Any:
        async with Client(server) as client:
            return (await client.list_tools()).tools, client.instructions

    tools, instructions = anyio.run(ask)
    assert {tool.name for tool in tools} == {
        "zeroshot_label_examples",
        "zeroshot_classify",
        "embed_image",
        "describe_model",
    }
    assert model.notice in instructions and "no output is a diagnosis" in instructions
    for tool in tools:
        assert tool.annotations.read_only_hint and not tool.annotations.open_world_hint
        assert tool.description and not tool.description.endswith(" ")
    (classify,) = (tool for tool in tools if tool.name == "zeroshot_classify")
    assert set(classify.input_schema["properties"]) == {"file_path", "labels"}
