"""The contracts of others: lion-ai's, Azure's and OpenAI's bodies, field by field."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dualsight
from picture_files import saved
from request_files import b64, b64_lines, picture_png

Ask = Callable[..., Any]
LABELS = ["pneumonia", "no finding"]
BROKEN = b64(picture_png(9)[:60])


def post(ask: Ask, path: str, body: Any) -> Any:
    response = ask("POST", path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


# --- lion-ai


def test_predict(ask: Ask, model: dualsight.Model) -> None:
    images = [b64(picture_png(1)), f"data:image/png;base64,{b64(picture_png(2))}"]
    body = {"images": images, "labels": LABELS, "multilabel": False}
    expected = [answer.as_dict() for answer in model.classify([picture_png(1), picture_png(2)], LABELS)]
    predictions = post(ask, "/predict", body)["predictions"]
    for got, wanted in zip(predictions, expected, strict=True):
        assert list(got) == list(wanted)
        assert got == pytest.approx(wanted, abs=1e-5)


def test_encode(ask: Ask, model: dualsight.Model) -> None:
    answer = post(ask, "/encode", {"images": [b64(picture_png(1))], "texts": LABELS})
    np.testing.assert_allclose(answer["image_embeddings"], model.encode_image(picture_png(1)), atol=1e-5)
    np.testing.assert_allclose(answer["text_embeddings"], model.encode_text(LABELS), atol=1e-5)
    assert post(ask, "/encode", {"texts": ["a"]})["image_embeddings"] is None
    assert post(ask, "/encode", {"images": [b64(picture_png(1))]})["text_embeddings"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"images": [BROKEN], "labels": ["a"]}, 422),
        ({"images": [], "labels": ["a"]}, 400),
        ({"images": [b64(picture_png(1))], "labels": ["a", "a"]}, 422),
        ({"labels": ["a"]}, 400),
        ([], 400),
    ],
)
def test_an_error_has_a_detail_in_words(ask: Ask, body: Any, status: int) -> None:
    response = ask("POST", "/predict", json=body)
    assert response.status_code == status
    assert isinstance(response.json()["detail"], str) and response.json().keys() == {"detail"}


def test_health(ask: Ask) -> None:
    assert ask("GET", "/health").json() == {"status": "healthy"}


# --- Azure


def table(rows: list[list[str | None]], columns: tuple[str, ...] = ("image", "text"), **params: Any) -> dict[str, Any]:
    data = {"columns": list(columns), "index": list(range(len(rows))), "data": rows}
    return {"input_data": data, "params": {"get_scaling_factor": True, **params}}


def test_rows_of_the_toolkit(ask: Ask, model: dualsight.Model) -> None:
    data = [[b64_lines(picture_png(1)), "pneumonia"], [None, "effusion"], [b64(picture_png(2)), ""]]
    rows = post(ask, "/score", table(data))
    assert [sorted(row) for row in rows] == [
        ["image_features", "scaling_factor", "text_features"],
        ["scaling_factor", "text_features"],
        ["image_features", "scaling_factor"],
    ]
    images = model.encode_image([picture_png(1), picture_png(2)])
    np.testing.assert_allclose(rows[0]["image_features"], [images[0]], atol=1e-5)
    np.testing.assert_allclose(rows[2]["image_features"], [images[1]], atol=1e-5)
    np.testing.assert_allclose(rows[1]["text_features"], model.encode_text("effusion")[0], atol=1e-5)
    assert math.exp(rows[0]["scaling_factor"]) == pytest.approx(math.exp(model.logit_scale))


def test_columns_in_any_order_and_alone(ask: Ask) -> None:
    straight = post(ask, "/score", table([[b64(picture_png(1)), "a"]]))
    turned = post(ask, "/score", table([["a", b64(picture_png(1))]], ("text", "image")))
    np.testing.assert_allclose(straight[0]["image_features"], turned[0]["image_features"], atol=1e-6)
    np.testing.assert_allclose(straight[0]["text_features"], turned[0]["text_features"], atol=1e-6)
    body = {"input_data": {"columns": ["text"], "data": [["a"]]}}
    assert sorted(post(ask, "/score", body)[0]) == ["scaling_factor", "text_features"]
    named = {"input_data": {"columns": ["text"], "index": ["first"], "data": [["a"]]}, "params": {}}
    assert post(ask, "/score", named) == post(ask, "/score", body)


def test_standardisation_is_a_square_through_jpeg(ask: Ask, model: dualsight.Model) -> None:
    params = {"image_standardization_jpeg_compression_ratio": 75, "image_standardization_image_size": 64}
    row = post(ask, "/score", table([[b64(picture_png(1)), None]], **params))[0]
    small = Image.open(io.BytesIO(picture_png(1))).resize((64, 64), Image.Resampling.BICUBIC)
    packed = saved(small, "JPEG", quality=75)
    np.testing.assert_allclose(row["image_features"], model.encode_image(packed), atol=1e-5)
    plain = post(ask, "/score", table([[b64(picture_png(1)), None]]))[0]
    assert np.abs(np.subtract(row["image_features"], plain["image_features"])).max() > 1e-4


@pytest.mark.parametrize(
    "data",
    [
        {"columns": ["image", "image"], "data": []},
        {"columns": ["picture"], "data": []},
        {"columns": ["image", "text"], "data": [["a"]]},
        {"columns": ["text"], "data": [["a"]], "index": [0, 1]},
        {"columns": ["text"], "data": [[1]]},
        {"data": []},
    ],
)
def test_a_table_that_cannot_be_meant(ask: Ask, data: dict[str, Any]) -> None:
    response = ask("POST", "/score", json={"input_data": data})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "malformed_request"


def test_a_bad_row_is_named(ask: Ask) -> None:
    response = ask("POST", "/score", json=table([[None, "a"], [b64(picture_png(1)), ""], [BROKEN, ""]]))
    assert response.status_code == 422
    assert response.json()["error"]["details"]["index"] == 2


# --- OpenAI


def embeddings(ask: Ask, model: dualsight.Model, inputs: Any, **more: Any) -> Any:
    return post(ask, "/v1/embeddings", {"model": model.name, "input": inputs, **more})


def test_texts_and_pictures_in_order(ask: Ask, model: dualsight.Model) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(picture_png(1))}"}}
    answer = embeddings(ask, model, ["pneumonia", picture, {"type": "text", "text": "effusion"}])
    texts = model.encode_text(["pneumonia", "effusion"])
    expected = [texts[0], model.encode_image(picture_png(1))[0], texts[1]]
    assert [entry["index"] for entry in answer["data"]] == [0, 1, 2]
    np.testing.assert_allclose([entry["embedding"] for entry in answer["data"]], expected, atol=1e-5)
    tokens = model.checkpoint.tokenizer(["pneumonia", "effusion"]).attention_mask.sum()
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_base64_is_little_endian_float32(ask: Ask, model: dualsight.Model) -> None:
    (entry,) = embeddings(ask, model, "pneumonia", encoding_format="base64")["data"]
    vector = np.frombuffer(base64.b64decode(entry["embedding"]), "<f4")
    np.testing.assert_allclose(vector, model.encode_text("pneumonia")[0], atol=1e-5)


def test_models(ask: Ask, model: dualsight.Model) -> None:
    answer = ask("GET", "/v1/models").json()
    assert [entry["id"] for entry in answer["data"]] == [model.name]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "another", "input": "a"}, 404, None),
        ({"input": []}, 400, None),
        ({"input": [[1, 2]]}, 400, None),
        ({"input": "a", "dimensions": 7}, 400, None),
        ({"input": "a", "encoding_format": "int8"}, 400, None),
        ({"input": ["a", {"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.png"}}]}, 422, "input[1]"),
        ({"input": ["a", {"type": "image_url", "image_url": {"url": f"data:;base64,{BROKEN}"}}]}, 422, "input[1]"),
    ],
)
def test_errors_as_openai_says_them(
    ask: Ask, model: dualsight.Model, body: dict[str, Any], status: int, param: str | None
) -> None:
    response = ask("POST", "/v1/embeddings", json={"model": model.name, **body})
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param
