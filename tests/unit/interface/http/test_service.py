"""The service by itself: admission, deadline, one bad picture among many, and the same answers as `Model`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dualsight
from dualsight.errors import QueueFull, RequestTooLarge, TextError
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.metrics import Metrics
from dualsight.interface.http.service import Service
from dualsight.task.embed import Embedded, Failed
from request_files import picture_png

CINE = Path(__file__).parents[3] / "data" / "images" / "pydicom" / "SC_rgb_rle_2frame.dcm"
BROKEN = picture_png(9)[:60]


def run(model: dualsight.Model, work: Callable[[Service], Awaitable[Any]], **limits: Any) -> Any:
    async def whole() -> Any:
        service = Service(model, ServerLimits(**limits), Metrics(), cores=2)
        try:
            return await asyncio.wait_for(work(service), 30)
        finally:
            await service.close()

    return asyncio.run(whole())


def test_many_at_once_are_each_as_alone(model: dualsight.Model) -> None:
    pictures = [picture_png(seed, 30 + seed, 90 - seed) for seed in range(20)]
    pictures[7] = BROKEN

    async def work(service: Service) -> list[Any]:
        one = (service.embed_images({i: picture}, client=str(i % 3)) for i, picture in enumerate(pictures))
        return [result for (result,) in await asyncio.gather(*one)]

    results = run(model, work)
    expected = model.encode_image(pictures, on_error="return")
    for i, (result, wanted) in enumerate(zip(results, expected, strict=True)):
        assert result.index == i
        if isinstance(wanted, np.ndarray):
            np.testing.assert_allclose(result.vector, wanted, atol=1e-5)
        else:
            assert isinstance(result, Failed) and type(result.error) is type(wanted)


def test_what_does_not_fit_is_refused_and_leaves_no_trace(model: dualsight.Model) -> None:
    async def work(service: Service) -> None:
        two = {0: picture_png(1), 1: picture_png(2)}
        answers = await asyncio.gather(
            *(service.embed_images(two, client="a") for _ in range(2)), return_exceptions=True
        )
        assert sorted(type(answer) for answer in answers if isinstance(answer, Exception)) == [QueueFull]
        assert len(await service.embed_images(two, client="a")) == 2

    run(model, work, images=2, queued_images=3)


def test_what_is_cancelled_leaves_at_once(model: dualsight.Model) -> None:
    async def work(service: Service) -> None:
        for asked in (
            service.embed_images({i: picture_png(i, 900, 900) for i in range(8)}, client="a"),
            service.classify([picture_png(1, 900, 900)], ["a", "b"], client="a"),
        ):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asked, 0.001)
            assert service._images.n_admitted == service._texts.n_admitted == 0
        with pytest.raises(TextError):  # what one part held is given back when the other fails
            await service.classify([picture_png(1, 3000, 3000)], ["a", "\ud800"], client="a")
        assert service._images.n_admitted == service._texts.n_admitted == 0
        encoded = service._images.cost
        await service._images.drain()
        assert encoded.line() is None  # nothing was computed for nobody

    run(model, work)


def test_a_client_of_many_pictures_does_not_keep_another_waiting(model: dualsight.Model) -> None:
    async def work(service: Service) -> None:
        over: list[str] = []

        async def ask(client: str, n: int) -> None:
            await service.embed_images({i: picture_png(i, 600, 600) for i in range(n)}, client=client)
            over.append(client)

        greedy = [asyncio.ensure_future(ask("greedy", 16)) for _ in range(4)]
        await asyncio.sleep(0.01)
        await ask("modest", 1)
        await asyncio.gather(*greedy)
        assert over.index("modest") == 0

    run(model, work)


def test_texts_that_were_seen_before_wait_for_nothing(model: dualsight.Model) -> None:
    async def work(service: Service) -> None:
        first = await service.embed_texts(["a text", "another"], client="a")
        service._engine.shutdown()  # whoever needed the engine now would fail
        again = await service.embed_texts(["another", "a text", "another"], client="a")
        np.testing.assert_array_equal(again, first[[1, 0, 1]])

    run(model, work)


def test_a_bad_text_fails_the_request_and_no_other(model: dualsight.Model) -> None:
    async def work(service: Service) -> None:
        bad = service.embed_texts(["a", "\ud800"], client="a")
        good = service.embed_texts(["b", "c"], client="b")
        first, second = await asyncio.gather(bad, good, return_exceptions=True)
        assert isinstance(first, TextError)
        np.testing.assert_allclose(second, model.encode_text(["b", "c"]), atol=1e-5)

    run(model, work)


def test_prompts_over_the_limit_are_never_made(model: dualsight.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> list[list[str]]:
        raise AssertionError("filled in")

    async def work(service: Service) -> None:
        with pytest.raises(RequestTooLarge, match="98,000,000 prompts"):
            await service.classify([], [str(i) for i in range(980)], client="a", templates=["{label}"] * 100_000)

    monkeypatch.setattr("dualsight.interface.http.service.fill", fill)
    run(model, work)


def test_frames_of_a_file_one_by_one_or_together(model: dualsight.Model) -> None:
    async def work(service: Service) -> None:
        content = {5: CINE.read_bytes()}
        frames = await service.embed_images(content, client="a", per="frame")
        (whole,) = await service.embed_images(content, client="a")
        assert isinstance(whole, Embedded) and (whole.index, whole.n_frames) == (5, 2)
        np.testing.assert_allclose(whole.vector, model.encode_image(CINE)[0], atol=1e-5)
        vectors = [frame.vector for frame in frames if isinstance(frame, Embedded)]
        np.testing.assert_allclose(vectors, model.encode_image(CINE, per="frame"), atol=1e-5)

    run(model, work)


def test_warming_up_learns_what_a_batch_costs(model: dualsight.Model) -> None:
    async def work(service: Service) -> None:
        await service.warm_up()
        assert service._images.cost.line() is not None

    run(model, work)
