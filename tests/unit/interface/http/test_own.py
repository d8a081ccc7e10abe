from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dualsight
from request_files import b64, picture_png

DATA = Path(__file__).parents[3] / "data" / "images"
CT = DATA / "pydicom" / "CT_small.dcm"
CINE = DATA / "pydicom" / "SC_rgb_rle_2frame.dcm"
LABELS = ["pneumonia", "no finding", "pleural effusion"]
BROKEN = picture_png(9)[:60]

Ask = Callable[..., Any]


def post(ask: Ask, path: str, **body: Any) -> Any:
    response = ask("POST", path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_embed_says_what_python_says(ask: Ask, model: dualsight.Model) -> None:
    pictures = [picture_png(seed) for seed in range(3)]
    answer = post(ask, "/v1/embed", images=[b64(picture) for picture in pictures], texts=LABELS)
    assert (answer["model"], answer["fingerprint"]) == (model.name, model.fingerprint)
    np.testing.assert_allclose([row["vector"] for row in answer["images"]], model.encode_image(pictures), atol=1e-5)
    np.testing.assert_allclose([row["vector"] for row in answer["texts"]], model.encode_text(LABELS), atol=1e-5)
    assert [(row["index"], row["frame_index"], row["n_frames"]) for row in answer["images"]] == [
        (0, 0, 1),
        (1, 0, 1),
        (2, 0, 1),
    ]


def test_a_bad_picture_is_told_in_its_place(ask: Ask, model: dualsight.Model) -> None:
    answer = post(ask, "/v1/embed", images=[b64(BROKEN), b64(picture_png(1))])
    bad, good = answer["images"]
    assert bad["error"]["code"] == "unreadable_image" and bad["error"]["details"]["index"] == 0
    np.testing.assert_allclose(good["vector"], model.encode_image(picture_png(1))[0], atol=1e-5)


@pytest.mark.parametrize("path", ["/v1/embed", "/v1/classify", "/v1/similarity"])
def test_where_all_have_failed_the_request_has(ask: Ask, path: str) -> None:
    more = {"labels": LABELS} if path == "/v1/classify" else {}
    response = ask("POST", path, json={"images": [b64(BROKEN), "not base64!"], **more})
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "unreadable_image"
    assert response.json()["error"]["details"]["index"] == 0


def test_files_of_a_form_are_what_dualsight_reads(ask: Ask, model: dualsight.Model) -> None:
    files = [("images", (f.name, f.read_bytes(), "application/dicom")) for f in (CT, CINE)]
    response = ask("POST", "/v1/embed", files=files, data={"window": "lung", "texts": ["a", "b"]})
    assert response.status_code == 200, response.text
    reading = dualsight.image.Reading(window="lung")
    vectors = [row["vector"] for row in response.json()["images"]]
    np.testing.assert_allclose(vectors, model.encode_image([CT, CINE], reading=reading), atol=1e-5)
    assert [row["n_frames"] for row in response.json()["images"]] == [1, 2]
    assert len(response.json()["texts"]) == 2


def test_each_frame_of_a_file(ask: Ask, model: dualsight.Model) -> None:
    answer = post(ask, "/v1/embed", images=[b64(CINE.read_bytes())], per="frame", window="40,400")
    np.testing.assert_allclose(
        [row["vector"] for row in answer["images"]], model.encode_image(CINE, per="frame"), atol=1e-5
    )
    assert [(row["index"], row["frame_index"]) for row in answer["images"]] == [(0, 0), (0, 1)]


@pytest.mark.parametrize("multilabel", [False, True])
def test_classify_says_what_python_says(ask: Ask, model: dualsight.Model, multilabel: bool) -> None:
    templates = ["x-ray chest {label}", "ct chest {label}"]
    body = {"labels": LABELS, "templates": templates, "multilabel": multilabel}
    answer = post(ask, "/v1/classify", images=[b64(picture_png(1)), b64(BROKEN)], **body)
    (expected,) = model.classify(picture_png(1), LABELS, multilabel=multilabel, templates=templates)
    first, bad = answer["results"]
    assert tuple(first["labels"]) == expected.labels
    assert first["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    assert bad["index"] == 1 and "error" in bad
    form = {"labels": LABELS, "templates": templates, "multilabel": str(multilabel).lower()}
    as_form = ask("POST", "/v1/classify", files=[("images", ("x", picture_png(1), "image/png"))], data=form)
    assert as_form.json()["results"][0]["labels"] == first["labels"]
    assert as_form.json()["results"][0]["probabilities"] == pytest.approx(first["probabilities"], abs=1e-5)


def test_similarity_says_what_python_says(ask: Ask, model: dualsight.Model) -> None:
    pictures = [picture_png(1), picture_png(2)]
    encoded = [b64(picture) for picture in pictures]
    both = post(ask, "/v1/similarity", images=encoded, texts=LABELS)["cosines"]
    np.testing.assert_allclose(both, model.similarity(pictures, LABELS), atol=1e-5)
    among = post(ask, "/v1/similarity", images=encoded)["cosines"]
    np.testing.assert_allclose(among, model.similarity(pictures), atol=1e-5)
    np.testing.assert_allclose(
        post(ask, "/v1/similarity", texts=LABELS)["cosines"], model.similarity(None, LABELS), atol=1e-5
    )


@pytest.mark.parametrize("body", [{}, {"images": None}, {"images": [], "texts": []}])
def test_nothing_cannot_be_compared(ask: Ask, body: dict[str, Any]) -> None:
    response = ask("POST", "/v1/similarity", json=body)
    assert response.status_code == 400 and "nothing to compare" in response.json()["error"]["message"]


def test_the_model_describes_itself(ask: Ask, model: dualsight.Model) -> None:
    answer = ask("GET", "/v1/model").json()
    assert answer["fingerprint"] == model.fingerprint
    assert answer["embedding_size"] == model.encode_text("a").shape[1]
    assert answer["logit_scale"] == pytest.approx(model.logit_scale)
    assert answer["version"] == dualsight.__version__


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"{", 400, "JSON"),
        (b"", 400, "JSON"),
        (b"[" * 100_000, 400, "JSON"),
        (b'{"images": ["\xff\xfe"]}', 400, "JSON"),
        (b'{"images": "aGVsbG8="}', 400, "images"),
        (b'{"images": [1]}', 400, "images"),
        (b'{"picture": []}', 400, "picture"),
        (b'{"texts": ["a"], "per": "study"}', 400, "per"),
        (b'{"texts": ["a"], "window": "/etc/passwd"}', 400, "window"),
        (b'{"texts": ["a"], "window": "1,0"}', 400, "window"),
        (b'{"texts": ["\\ud800"]}', 400, ""),
        (b'{"images": [""]}', 422, "image 0"),
        (b'{"images": ["/etc/passwd"]}', 422, "image 0"),
        (b'{"images": ["file:///etc/passwd"]}', 422, "image 0"),
        (b'{"images": ["http://127.0.0.1/x.png"]}', 422, "image 0"),
        (b'{"images": ["data:image/png,abc"]}', 422, "image 0"),
    ],
)
def test_a_callers_mistake_is_told(ask: Ask, body: bytes, status: int, word: str) -> None:
    response = ask("POST", "/v1/embed", content=body, headers={"content-type": "application/json"})
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert word in error["message"]
    assert set(error) == {"code", "message", "details"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/classify", {"images": [b64(picture_png(1))], "labels": []}, 400),
        ("/v1/classify", {"images": [b64(picture_png(1))], "labels": ["a", "a"]}, 422),
        ("/v1/classify", {"images": [b64(picture_png(1))], "labels": ["a"], "templates": ["none"]}, 422),
        ("/v1/classify", {"images": [b64(picture_png(1))], "labels": [f"label {i}" for i in range(10_000)]}, 413),
        ("/v1/classify", {"labels": [f"{i}" for i in range(900)], "templates": ["{label}"] * 3}, 413),
        ("/v1/classify", {"labels": ["a" * 900], "templates": ["{label}" * 5]}, 413),
        ("/v1/embed", {"images": [b64(picture_png(1))] * 65}, 413),
        ("/v1/embed", {"texts": ["a"] * 2_001}, 413),
        ("/v1/embed", {"texts": ["a" * 4_001]}, 413),
    ],
)
def test_what_cannot_be_meant_is_refused(ask: Ask, path: str, body: dict[str, Any], status: int) -> None:
    response = ask("POST", path, json=body)
    assert response.status_code == status, response.text


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"--x\r\n", "multipart/form-data", 400),
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x", 400),
        (
            b'--x\r\nContent-Disposition: form-data; name="other"; filename="../../etc/passwd"\r\n\r\n1\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            400,
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="window"\r\n\r\nlung\r\n'
            b'--x\r\nContent-Disposition: form-data; name="window"\r\n\r\nbone\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            400,
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="images"\r\n\r\naGVsbG8=\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            400,
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="texts"\r\n\r\na\r\n--x--\r\n',
            "multipart/form-data; boundary=x; charset=undefined",
            400,
        ),
        (b"<x/>", "text/xml", 415),
        (b"images=1", "application/x-www-form-urlencoded", 415),
    ],
)
def test_no_form_is_refused(ask: Ask, content: bytes, kind: str, status: int) -> None:
    response = ask("POST", "/v1/embed", content=content, headers={"content-type": kind})
    assert response.status_code == status, response.text


@pytest.mark.parametrize("path", ["/v1/embed", "/v1/classify"])
def test_a_form_of_too_many_files_is_over_a_limit(ask: Ask, path: str) -> None:
    files = [("images", ("x", BROKEN, "image/png"))] * 65
    response = ask("POST", path, files=files)
    assert response.status_code == 413, response.text
    error = response.json()["error"]
    assert (error["code"], error["message"]) == ("too_many_images", "more images than the limit of 64 a request")


def test_a_form_of_too_many_fields_is_over_a_limit(ask: Ask) -> None:
    response = ask("POST", "/v1/embed", files=[("images", ("x", BROKEN, "image/png"))], data={"texts": ["a"] * 3_001})
    assert response.status_code == 413, response.text
    error = response.json()["error"]
    assert error["code"] == "request_too_large" and "3,001 fields of a form" in error["message"]


def test_a_file_name_opens_nothing_and_is_not_repeated(ask: Ask) -> None:
    name = "../../../etc/Doe^John.dcm"
    response = ask("POST", "/v1/embed", files=[("images", (name, BROKEN, "image/png"))])
    assert response.status_code == 422
    assert "Doe" not in response.text and "etc" not in response.text
