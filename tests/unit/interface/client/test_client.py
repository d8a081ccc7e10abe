"""Both clients and the real server: what they answer is what the model answers here."""

from __future__ import annotations

import asyncio
import inspect
import io
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dualsight
from dualsight import AsyncClient, Client
from dualsight.errors import ConfigError, MissingExtra, ServiceError, TextError, UnreadableImage
from dualsight.image.reading import Reading
from dualsight.store.query import Query
from dualsight.task.classify import Classification
from dualsight.task.embed import Embedded, Failed
from request_files import picture_png

SAMPLES = Path(__file__).parents[4] / "samples/real"
CHEST, CT = SAMPLES / "chest-x-ray.png", SAMPLES / "ct-head.dcm"
CINE = Path(__file__).parents[3] / "data/images/pydicom/SC_rgb_rle_2frame.dcm"
BRAIN = Reading(window="brain")
LABELS = ["pneumonia", "no finding", "pleural effusion"]


@pytest.fixture
def client(served: str, key: str):
    with Client(served, key=key) as client:
        yield client


def same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_embeddings_are_the_model_s(client: Client, model: dualsight.Model) -> None:
    pixels = np.asarray(Image.open(CHEST))
    pictures = [CHEST, str(CT), CHEST.read_bytes(), Image.open(CHEST), pixels, CINE]
    same(client.encode_image(pictures, batch_size=4), model.encode_image(pictures))
    same(client.encode_image(CT), model.encode_image(CT))
    same(client.encode_text(LABELS), model.encode_text(LABELS))
    same(client.encode_text("pneumonia"), model.encode_text("pneumonia"))
    same(client.similarity([CHEST, CT], LABELS), model.similarity([CHEST, CT], LABELS))
    same(client.similarity(texts=LABELS), model.similarity(texts=LABELS))
    assert client.encode_image([]).shape == model.encode_image([]).shape


def test_a_window_reaches_the_server(client: Client, model: dualsight.Model) -> None:
    brain = Reading(window="brain")
    same(client.encode_image(CT, reading=brain), model.encode_image(CT, reading=brain))
    soft = Reading(window=(40.0, 400.0))
    same(client.encode_image(CT, reading=soft), model.encode_image(CT, reading=soft))
    assert not np.allclose(client.encode_image(CT, reading=brain), client.encode_image(CT, reading=soft))


def test_a_stream_tells_each_picture_and_frame_in_its_place(client: Client, model: dualsight.Model) -> None:
    pictures = [CHEST, b"broken", CINE, "/no/such/file"]
    for per in ("image", "frame"):
        ours = list(client.embed(pictures, per=per, batch_size=3))  # type: ignore[arg-type]
        theirs = list(model.embed(pictures, per=per))  # type: ignore[arg-type]
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert (type(a), a.index, a.source) == (type(b), b.index, b.source)
            if isinstance(a, Embedded) and isinstance(b, Embedded):
                assert (a.frame_index, a.n_frames) == (b.frame_index, b.n_frames)
                same(a.vector, b.vector)
            elif isinstance(a, Failed) and isinstance(b, Failed):
                assert type(a.error) is type(b.error)


def test_a_stream_is_read_as_it_is_used(client: Client) -> None:
    taken = []

    def pictures():
        for index in range(50):
            taken.append(index)
            yield CHEST

    stream = client.embed(pictures(), batch_size=2)
    next(stream)
    assert len(taken) <= 3
    stream.close()  # type: ignore[attr-defined]


def test_probabilities_are_the_model_s(client: Client, model: dualsight.Model) -> None:
    for options in ({}, {"multilabel": True}, {"templates": ["x-ray chest {label}", "{label}"]}):
        ours = client.classify([CHEST, CT], LABELS, **options)  # type: ignore[arg-type]
        theirs = model.classify([CHEST, CT], LABELS, **options)  # type: ignore[arg-type]
        for a, b in zip(ours, theirs, strict=True):
            assert isinstance(a, Classification) and isinstance(b, Classification)
            assert (a.source, a.labels, a.multilabel) == (b.source, b.labels, b.multilabel)
            assert a.probabilities == pytest.approx(b.probabilities, abs=1e-5)


def test_hits_are_the_index_s(client: Client, index: dualsight.Index) -> None:
    ours, theirs = client.search("chest x-ray", k=2), index.search("chest x-ray", k=2)
    assert ours.column("source") == theirs.column("source") and ours.n_rows == theirs.n_rows == len(index)
    assert ours.scores == pytest.approx(theirs.scores, abs=1e-5) and ours.is_exact
    query = Query(texts=("chest",), images=(CHEST, [CT]), unlike=("skin",), image_weight=0.7, reading=BRAIN)
    options = {"where": "rows > 10", "per": "study"}
    ours, theirs = client.search(query=query, **options), index.search(query=query, **options)  # type: ignore[arg-type]
    assert ours.column("source") == theirs.column("source")
    assert ours.scores == pytest.approx(theirs.scores, abs=1e-5)
    none = client.search("chest", where="modality = 'none such'")
    assert len(none) == 0 and none.scores == []


@pytest.mark.parametrize(
    "query",
    [
        None,
        Query(volumes=(CT,)),
        Query(vector=np.ones(128, np.float32)),
        Query(texts=("a",), reading=Reading(plane="axial")),
    ],
)
def test_what_a_server_cannot_look_for_is_told_here(client: Client, query: Query | None) -> None:
    with pytest.raises(ConfigError):
        client.search(query=query)


def test_a_search_s_mistakes_are_told(client: Client) -> None:
    with pytest.raises(UnreadableImage, match="/no/such/file"):
        client.search(query=Query(images=("/no/such/file",)))
    with pytest.raises(ServiceError, match="no column nothing") as caught:
        client.search("chest", where="nothing = 1")
    assert caught.value.status == 422 and "columns are" in caught.value.hint


def test_an_explanation_is_python_s(client: Client, model: dualsight.Model) -> None:
    ours = client.explain(CHEST, LABELS[:2], templates=["x-ray chest {label}"], method="grad-cam")
    theirs = dualsight.explain(
        model, CHEST, LABELS[0], against=LABELS[1], templates=["x-ray chest {label}"], method="grad-cam"
    )
    first, second = ours.maps
    assert (first.label, first.against, first.unit) == (theirs.label, theirs.against, theirs.unit)
    assert first.similarity == pytest.approx(theirs.similarity, abs=1e-5)
    assert second.label == LABELS[1] and ours.notice == model.notice and ours.source == str(CHEST)
    assert Image.open(io.BytesIO(ours.overlay)).format == "PNG"
    frame = client.explain(CINE, ["a"], against="b", method="token-shares", frame_index=0)
    assert (frame.frame_index, frame.n_frames, frame.maps[0].against) == (0, 2, ("b",))


def test_an_explanation_s_mistakes_are_the_picture_s_or_the_text_s(client: Client) -> None:
    with pytest.raises(UnreadableImage, match=r"broken\.png: ") as caught:
        client.explain(dualsight.image.Item(name="broken.png", content=lambda: CHEST.read_bytes()[:100]), ["a"])
    assert "image 0" not in str(caught.value)
    with pytest.raises(UnreadableImage, match="no such file"):
        client.explain("/no/such/file", ["a"])
    with pytest.raises(UnreadableImage, match="no frame 7"):
        client.explain(CHEST, ["a"], frame_index=7)
    with pytest.raises(TextError):
        client.explain(CHEST, ["a"], against="a")
    with pytest.raises(ServiceError, match="method"):
        client.explain(CHEST, ["a"], method="magic")


def test_errors_are_the_model_s(client: Client) -> None:
    with pytest.raises(UnreadableImage, match=r"broken\.png: "):
        client.encode_image(dualsight.image.Item(name="broken.png", content=lambda: CHEST.read_bytes()[:100]))
    broken = client.classify([b"broken", CHEST], LABELS, on_error="return")
    assert isinstance(broken[0], dualsight.errors.ImageError) and isinstance(broken[1], Classification)
    assert len(client.classify([b"broken", CHEST], LABELS, on_error="skip")) == 1
    with pytest.raises(TextError):
        client.classify(CHEST, [])


def test_what_the_server_says_of_its_model(client: Client, model: dualsight.Model) -> None:
    said = client.model()
    assert (said.name, said.fingerprint, said.notice) == (model.name, model.fingerprint, model.notice)
    assert said.logit_scale == pytest.approx(model.logit_scale)
    assert (said.embedding_size, said.engine) == (model.config.dual.projection, model.engine.name)
    assert said.version == dualsight.__version__


def test_the_async_client_answers_the_same(served: str, key: str, client: Client) -> None:
    pictures = [CHEST, b"broken", CINE]

    async def ask() -> None:
        async with AsyncClient(served, key=key) as other:
            images, texts, said = await asyncio.gather(
                other.encode_image([CHEST, CT]), other.encode_text(LABELS), other.model()
            )
            same(images, client.encode_image([CHEST, CT]))
            same(texts, client.encode_text(LABELS))
            assert said == client.model()
            streamed = [item async for item in other.embed(pictures, batch_size=2)]
            assert [type(item) for item in streamed] == [Embedded, Failed, Embedded]
            answers = await other.classify(pictures, LABELS, on_error="return")
            assert [type(item).__name__ for item in answers] == [
                "Classification",
                *["UnsupportedImage"],
                "Classification",
            ]
            same(await other.similarity(CHEST, LABELS), client.similarity(CHEST, LABELS))
            assert (await other.search("chest")).column("source") == client.search("chest").column("source")
            why = await other.explain(CHEST, ["a"], method="grad-cam")
            assert why == client.explain(CHEST, ["a"], method="grad-cam")
            with pytest.raises(dualsight.errors.ImageError):
                await other.classify(pictures, LABELS)

    asyncio.run(ask())


def test_more_pictures_at_once_than_the_server_takes(client: Client, model: dualsight.Model) -> None:
    pictures = [picture_png(seed % 3) for seed in range(66)]
    vectors = client.encode_image(pictures, batch_size=66)
    np.testing.assert_allclose(vectors[:3], model.encode_image(pictures[:3]), atol=1e-5)
    assert len(vectors) == 66


def test_threads_share_a_client(client: Client, model: dualsight.Model) -> None:
    expected = model.encode_text(LABELS)
    with ThreadPoolExecutor(8) as pool:
        for vectors in pool.map(lambda _: client.encode_text(LABELS), range(16)):
            same(vectors, expected)


def test_methods_have_the_model_s_names_and_options() -> None:
    for name in ("embed", "encode_image", "encode_text", "classify", "iter_classify", "similarity"):
        theirs = inspect.signature(getattr(dualsight.Model, name)).parameters
        for kind in (Client, AsyncClient):
            ours = inspect.signature(getattr(kind, name)).parameters
            assert [p for p in ours if p in theirs] == [p for p in theirs if p in ours]
            assert set(theirs) - set(ours) <= {"pool", "per"} and set(ours) - set(theirs) <= {"batch_size"}
            assert all(ours[p].default == theirs[p].default for p in ours if p in theirs)
    theirs = inspect.signature(dualsight.Index.search).parameters
    for kind in (Client, AsyncClient):
        ours = inspect.signature(kind.search).parameters
        assert set(theirs) - set(ours) == {"rerank"} and all(ours[p].default == theirs[p].default for p in ours)


def test_a_wrong_key_is_told_with_what_to_do(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DUALSIGHT_KEY", raising=False)
    for key in (None, "wrong"):
        with Client(served, key=key) as stranger, pytest.raises(ServiceError, match="401") as caught:
            stranger.model()
        assert "DUALSIGHT_KEY" in caught.value.hint and caught.value.code == "key_refused"


def test_the_key_of_the_environment_is_used(served: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUALSIGHT_KEY", key)
    with Client(served) as client:
        assert client.model().name == "demo"


def test_a_server_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        Client(f"http://127.0.0.1:{port}", key="k") as client,
        pytest.raises(ServiceError, match="cannot be reached") as e,
    ):
        client.model()
    assert "dualsight serve" in e.value.hint and e.value.status is None


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with (
            Client(address, key="k", timeout_s=0.2) as client,
            pytest.raises(ServiceError, match=r"within 0\.2 s"),
        ):
            client.model()
        assert time.monotonic() - started < 30


def test_names_of_files_stay_here(model: dualsight.Model, tmp_path: Path) -> None:
    file = tmp_path / "MUSTERMANN.png"
    file.write_bytes(CHEST.read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def ask() -> None:
            with Client(address, key="k", timeout_s=5) as client, pytest.raises(ServiceError):
                client.encode_image(file)

        asked = pool.submit(ask)
        connection, _ = listener.accept()
        with connection:
            sent = b""
            while CHEST.read_bytes()[-20:] not in sent:
                sent += connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        asked.result(20)
    assert b"MUSTERMANN" not in sent and b"tmp" not in sent.partition(b"PNG")[0]


def test_addresses_are_checked_at_once() -> None:
    with pytest.raises(ConfigError):
        Client("gpu:8000")
    with pytest.raises(ConfigError):
        AsyncClient("http://user:secret@gpu")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(MissingExtra) as caught:
        Client("http://127.0.0.1:1", key="k")
    assert "dualsight[client]" in caught.value.hint
