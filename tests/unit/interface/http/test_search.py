"""/v1/search: the same hits as `Index.search`, and nothing of the server's own disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import dualsight
from dualsight.errors import StoreError
from dualsight.interface.http.app import Settings
from dualsight.store.query import Query
from request_files import b64, picture_png

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(model: dualsight.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    rows = ["path,finding,ward"]
    for seed in range(6):
        (folder / f"{seed}.png").write_bytes(picture_png(seed))
        rows.append(f"{folder}/{seed}.png,{'mass' if seed % 2 else 'none'},{seed // 3}")
    (folder / "table.csv").write_text("\n".join(rows))
    index = dualsight.Index.open(folder / "db", model=model)
    index.add(folder / "table.csv", texts=["chest"])
    return folder / "db"


@pytest.fixture(scope="module")
def index(model: dualsight.Model, folder: Path) -> dualsight.Index:
    return dualsight.Index.open(folder, model=model)


@pytest.fixture(scope="module")
def ask(start: Callable[[Settings], AbstractContextManager[Ask]], folder: Path) -> Iterator[Ask]:
    with start(Settings(index=folder)) as asking:
        yield asking


def found(ask: Ask, **body: Any) -> Any:
    response = ask("POST", "/v1/search", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_hits_are_those_of_the_index(ask: Ask, index: dualsight.Index, model: dualsight.Model) -> None:
    answer = found(ask, texts=["pneumonia"], k=3)
    expected = index.search("pneumonia", k=3)
    assert [hit["source"] for hit in answer["hits"]] == expected.column("source")
    assert [hit["score"] for hit in answer["hits"]] == pytest.approx(expected.scores, abs=1e-5)
    assert [hit["finding"] for hit in answer["hits"]] == expected.column("finding")
    assert (answer["fingerprint"], answer["n_rows"], answer["exact"]) == (model.fingerprint, 7, True)


def test_a_sum_of_texts_pictures_and_what_hits_should_be_unlike(ask: Ask, index: dualsight.Index) -> None:
    query = Query(texts=("a", "b"), images=(picture_png(2),), unlike=("c",), text_weight=0.3, unlike_weight=0.2)
    expected = index.search(query=query, where="finding = 'mass'", per="ward")
    more = {"unlike": ["c"], "text_weight": 0.3, "unlike_weight": 0.2, "where": "finding = 'mass'", "per": "ward"}
    answer = found(ask, texts=["a", "b"], images=[b64(picture_png(2))], **more)
    assert [hit["score"] for hit in answer["hits"]] == pytest.approx(expected.scores, abs=1e-5)
    assert [hit["source"] for hit in answer["hits"]] == expected.column("source")
    files = [("images", ("x", picture_png(2), "image/png"))]
    form = {**more, "texts": ["a", "b"], "text_weight": "0.3", "unlike_weight": "2e-1", "k": "2", "exact": "true"}
    as_form = ask("POST", "/v1/search", files=files, data=form)
    assert as_form.status_code == 200, as_form.text
    assert [hit["source"] for hit in as_form.json()["hits"]] == expected.column("source")[:2]


def test_a_picture_finds_itself_and_no_path_is_told(ask: Ask, folder: Path) -> None:
    answer = found(ask, images=[b64(picture_png(4))], k=1)
    (hit,) = answer["hits"]
    assert hit["score"] == pytest.approx(1.0, abs=1e-5) and hit["source"].endswith("4.png")
    assert not {"path", "settings", "vector"} & set(hit)


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({}, 400, "nothing to look for"),
        ({"unlike": ["a"]}, 400, "nothing to look for"),
        ({"texts": ["a"], "where": "path like '/%'"}, 422, "no column path"),
        ({"texts": ["a"], "where": "settings is not null"}, 422, "no column settings"),
        ({"texts": ["a"], "where": "drop table"}, 422, "no column drop"),
        ({"texts": ["a"], "where": "(" * 2000}, 422, "nested"),
        ({"texts": ["a"], "where": "ward = 'x'"}, 422, "whole number"),
        ({"texts": ["a"], "where": "w" * 100_000}, 400, "where"),
        ({"texts": ["a"], "per": "path"}, 400, "no column path"),
        ({"texts": ["a"], "per": "nothing"}, 400, "no column nothing"),
        ({"texts": ["a"], "k": 0}, 400, "k"),
        ({"texts": ["a"], "k": 100_000}, 400, "k"),
        ({"texts": ["a"], "unlike": ["a"], "unlike_weight": 1}, 400, "cancel out"),
        ({"texts": ["a"], "text_weight": 0}, 400, "cancel out"),
        ({"texts": ["a"], "text_weight": -1}, 400, "text_weight"),
        ({"texts": ["a"], "volumes": ["x"]}, 400, "volumes"),
        ({"images": ["/etc/passwd"]}, 422, "image 0"),
    ],
)
def test_what_cannot_be_meant_is_told(ask: Ask, body: dict[str, Any], status: int, word: str) -> None:
    response = ask("POST", "/v1/search", json=body)
    assert response.status_code == status, response.text
    assert word in response.json()["error"]["message"]


def test_without_an_index_there_is_nothing_to_search(start: Callable[[Settings], Any]) -> None:
    with start(Settings()) as ask:
        response = ask("POST", "/v1/search", json={"texts": ["a"]})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_offered"
    assert "--db" in response.json()["error"]["details"]["hint"]


def test_an_index_of_another_model_is_not_served(
    start: Callable[[Settings], Any], folder: Path, recipe_folder: Callable[[str], Path]
) -> None:
    with (
        pytest.raises(StoreError, match="cannot be compared"),
        start(Settings(model=str(recipe_folder("davit")), index=folder)),
    ):
        pass
