"""The openai package, unmodified, against a running server."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import numpy as np
import openai
import pytest

import dualsight
from request_files import b64, picture_png
from server_process import serving

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with (
        serving() as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as asking,
    ):
        yield asking


def test_models(client: openai.OpenAI, model: dualsight.Model) -> None:
    assert [entry.id for entry in client.models.list()] == [model.name]


@pytest.mark.parametrize("encoding_format", ["float", "base64", None])
def test_texts(client: openai.OpenAI, model: dualsight.Model, encoding_format: str | None) -> None:
    more = {} if encoding_format is None else {"encoding_format": encoding_format}
    answer = client.embeddings.create(model=model.name, input=["pneumonia", "effusion"], **more)  # type: ignore[arg-type] # both words are known
    vectors = [
        np.frombuffer(base64.b64decode(entry.embedding), "<f4")  # asked for by name, it comes as it is
        if isinstance(entry.embedding, str)
        else entry.embedding
        for entry in answer.data
    ]
    assert isinstance(answer.data[0].embedding, str) == (encoding_format == "base64")
    np.testing.assert_allclose(vectors, model.encode_text(["pneumonia", "effusion"]), atol=1e-5)
    assert answer.usage.prompt_tokens > 4


def test_a_picture_beside_a_text(client: openai.OpenAI, model: dualsight.Model) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(picture_png(1))}"}}
    answer = client.embeddings.create(model=model.name, input=[picture, "effusion"])  # type: ignore[list-item] # pictures are ours
    np.testing.assert_allclose(answer.data[0].embedding, model.encode_image(picture_png(1))[0], atol=1e-5)


def test_errors_are_the_packages_own(client: openai.OpenAI, model: dualsight.Model) -> None:
    with pytest.raises(openai.NotFoundError, match="another"):
        client.embeddings.create(model="another", input="a")
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model=model.name, input="a", dimensions=3)
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.embeddings.create(model=model.name, input=["a", {"type": "image_url", "image_url": {"url": "x"}}])  # type: ignore[list-item] # pictures are ours
    assert caught.value.param == "input[1]"
