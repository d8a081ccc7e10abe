"""The tools as an agent calls them, by the official client, in this process."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from mcp import Client
from PIL import Image

import dualsight
from dualsight.errors import UnreadableImage
from dualsight.interface.mcp.catalogue import zeroshot_label_examples
from dualsight.interface.mcp.pictures import PictureTools
from dualsight.interface.mcp.roots import Roots
from dualsight.interface.mcp.search import IndexTools
from dualsight.interface.mcp.server import build_server
from request_files import picture_png

SAMPLES = Path(__file__).parents[4] / "samples/real"
CHEST = SAMPLES / "chest-x-ray.png"
LABELS = ["x-ray chest anteroposterior No Finding", "x-ray chest anteroposterior Pneumonia"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a picture in it."""
    file = tmp_path_factory.mktemp("archive") / "some.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("member.png", picture_png(2))
    return file


@pytest.fixture(scope="module")
def index(model: dualsight.Model, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dualsight.Index:
    """The samples, a picture in an archive below a root, and one that lies below none."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "secret.png").write_bytes(picture_png(1))
    index = dualsight.Index.open(elsewhere / "db", model=model)
    index.add([SAMPLES, elsewhere / "secret.png", archive], texts=["chest"])
    return index


@pytest.fixture(scope="module")
def call(model: dualsight.Model, index: dualsight.Index, archive: Path) -> Callable[..., Any]:
    """`call(tool, **arguments)`: the SDK's result."""
    roots = Roots([SAMPLES, archive.parent])
    tools = (*PictureTools(model, roots, index=index).tools, *IndexTools(index, roots).tools)
    server = build_server((zeroshot_label_examples, *tools), model.notice)

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


def test_an_explanation_is_a_picture_and_numbers(call, model: dualsight.Model) -> None:
    result = call("explain_image", file_path=CHEST.name, labels=LABELS, method="grad-cam")
    picture, numbers = result.content
    assert picture.type == "image" and picture.mime_type == "image/png"
    shown = Image.open(io.BytesIO(base64.b64decode(picture.data)))
    assert shown.format == "PNG" and not shown.info
    facts = json.loads(numbers.text)
    assert facts["notice"] == model.notice
    expected = dualsight.explain(model, CHEST, LABELS[0], against=LABELS[1], method="grad-cam")
    assert [row["label"] for row in facts["maps"]] == LABELS and facts["maps"][0]["against"] == LABELS[1:]
    assert facts["maps"][0]["similarity"] == pytest.approx(expected.similarity, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"labels": ["a", "a"]}, "twice"),
        ({"labels": ["a"], "against": "a"}, "against itself"),
        ({"labels": []}, "labels"),
        ({"labels": [f"label {i}" for i in range(9)]}, "9 maps"),
        ({"labels": ["a", "a" * 4_001]}, "4,001 characters"),
        ({"labels": ["a"], "against": "a" * 4_001}, "4,001 characters"),
        ({"labels": ["a"], "method": "magic"}, "method"),
        ({"labels": ["a"], "frame_index": 5}, "no frame 5"),
        ({"labels": ["a"], "file_path": "/etc/passwd"}, "no file in a folder"),
    ],
)
def test_what_cannot_be_explained_is_told(call, arguments: dict[str, Any], said: str) -> None:
    assert said in told(call("explain_image", **{"file_path": CHEST.name, **arguments}))


def test_hits_are_the_index_s_and_open_below_the_roots_alone(call, index: dualsight.Index) -> None:
    answer = call("search_images", text="chest x-ray", k=50).structured_content
    expected = index.search("chest x-ray", k=50)
    assert answer["n_rows"] == len(index)
    assert [hit["source"] for hit in answer["hits"]] == expected.column("source")
    assert [hit["score"] for hit in answer["hits"]] == pytest.approx(expected.scores)
    for name, path in (("secret.png", None), ("member.png", None), (CHEST.name, str(CHEST))):
        assert [hit["file_path"] for hit in answer["hits"] if hit["source"].endswith(name)] == [path]
    assert not call("embed_image", file_path=str(CHEST)).is_error
    assert all("path" not in hit["fields"] for hit in answer["hits"])


def test_a_picture_finds_itself_among_those_that_a_filter_leaves(call) -> None:
    options = {"file_path": "ct-head.dcm", "where": "modality = 'CT'", "unlike": "skin", "k": 1}
    (hit,) = call("search_images", **options).structured_content["hits"]
    assert Path(hit["source"]).name == "ct-head.dcm" and hit["fields"]["modality"] == "CT"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "nothing to look for"),
        ({"text": "a", "where": "path like '/%'"}, "no column path"),
        ({"text": "a", "where": "1 = 1"}, "a column is missing"),
        ({"text": "a", "k": 0}, "k"),
        ({"file_path": "../../pyproject.toml"}, "no file in a folder"),
        ({"text": "a" * 5000}, "characters"),
    ],
)
def test_what_cannot_be_looked_for_is_told(call, arguments: dict[str, Any], said: str) -> None:
    assert said in told(call("search_images", **arguments))


def test_description_says_where_and_what(call, model: dualsight.Model) -> None:
    answer = call("describe_model").structured_content
    assert answer["index_columns"]["modality"] == "text" and "path" not in answer["index_columns"]
    assert answer["roots"][0] == str(SAMPLES.resolve()) and answer["notice"] == model.notice
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
    ("labels", "said"),
    [
        ([], "no labels"),
        (["a", "a"], "twice"),
        ([" "], "blank"),
        (["a"] * 1001, "1,001 labels"),
        (["a" * 4_001], "4,001 characters"),
    ],
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
        "explain_image",
        "describe_model",
    }
    assert model.notice in instructions and "no output is a diagnosis" in instructions
    for tool in tools:
        assert tool.annotations.read_only_hint and not tool.annotations.open_world_hint
        assert tool.description and not tool.description.endswith(" ")
    (classify,) = (tool for tool in tools if tool.name == "zeroshot_classify")
    assert set(classify.input_schema["properties"]) == {"file_path", "labels"}
