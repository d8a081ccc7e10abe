"""Requests of all contracts as bytes, each with what must come back; and a client that compares."""

from __future__ import annotations

import asyncio
import io
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image
from pydantic_core import from_json

import dualsight
from request_files import b64

CLIENTS = 64
BROKEN, LEFT = 0.10, 0.05
LABELS = ["pneumonia", "no finding", "pleural effusion", "fracture"]
Check = Callable[[int, Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as bytes, what must come back, and how many pictures are computed for it."""

    data: bytes
    is_right: Check
    n_images: int


@dataclass(slots=True)
class Tally:
    """What the clients saw."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    images: int = 0


def draw(seed: int, rng: random.Random) -> bytes:
    """A smooth picture of any size, PNG or JPEG."""
    height, width = rng.randrange(64, 600), rng.randrange(64, 600)
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((width, height)).save(out, rng.choice(["PNG", "JPEG"]))
    return out.getvalue()


def near(got: Any, wanted: Any) -> bool:
    """Whether shapes are the same and numbers within 1e-5."""
    if len(got) == len(wanted) == 0:
        return True
    return np.shape(got) == np.shape(wanted) and bool(np.abs(np.subtract(got, wanted)).max() <= 1e-5)


def calls(model: dualsight.Model) -> list[Call]:
    """Some hundred requests of all contracts, a tenth of them with a broken picture."""
    rng = random.Random(7)
    pictures = [draw(seed, rng) for seed in range(120)]
    vectors = model.encode_image(pictures)
    answers = [answer.as_dict() for answer in model.classify(pictures, LABELS)]
    texts = model.encode_text(LABELS)
    made = []
    for i in range(420):
        n = rng.choice([1, 1, 1, 2, 4])
        chosen = [rng.randrange(len(pictures)) for _ in range(n)]
        files = [pictures[k] for k in chosen]
        broken = rng.random() < BROKEN
        if broken:
            files[0] = files[0][: len(files[0]) // 3]
        made.append(_call(i % 7, model.name, files, broken, vectors[chosen], [answers[k] for k in chosen], texts))
    return made


def _call(kind: int, name: str, files: list[bytes], broken: bool, vectors: Any, answers: list[Any], texts: Any) -> Call:
    images = [b64(file) for file in files]
    # in our own contracts an item has its own error, unless all have failed; in the first there are texts beside
    fails_alone = broken and (kind == 0 or (kind == 5 and len(files) > 1))

    def right(status: int, body: Any) -> bool:
        if broken and not fails_alone:
            return status == 422
        return status == 200 and _results_right(kind, body, vectors, answers, texts, first=1 if broken else 0)

    urls = [{"type": "image_url", "image_url": {"url": f"data:;base64,{image}"}} for image in images]
    path, body = [
        ("/v1/embed", {"images": images, "texts": LABELS}),
        ("/predict", {"images": images, "labels": LABELS}),
        ("/encode", {"images": images}),
        ("/score", {"input_data": {"columns": ["image", "text"], "data": [[image, LABELS[0]] for image in images]}}),
        ("/v1/embeddings", {"model": name, "input": urls}),
        ("/v1/classify", {"images": images, "labels": LABELS}),
        ("/v1/similarity", {"images": images, "texts": LABELS}),
    ][kind]
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    return Call(data=head.encode() + b"\r\n\r\n" + data, is_right=right, n_images=len(files) - broken)


def _results_right(kind: int, body: Any, vectors: Any, answers: list[Any], texts: Any, *, first: int) -> bool:
    """first: the first picture that is sound; the one before it must have its error."""
    match kind:
        case 0:
            errors = all("error" in row for row in body["images"][:first])
            got = [row["vector"] for row in body["images"][first:]]
            return errors and near(got, vectors[first:]) and near([row["vector"] for row in body["texts"]], texts)
        case 1:
            return all(_same_labels(got, wanted) for got, wanted in zip(body["predictions"], answers, strict=True))
        case 2:
            return near(body["image_embeddings"], vectors)
        case 3:
            return near([row["image_features"][0] for row in body], vectors)
        case 4:
            return near([row["embedding"] for row in body["data"]], vectors)
        case 6:
            return near(body["cosines"], vectors @ texts.T)
        case _:
            rows = body["results"]
            pairs = [dict(zip(row["labels"], row["probabilities"], strict=True)) for row in rows[first:]]
            same = all(_same_labels(got, wanted) for got, wanted in zip(pairs, answers[first:], strict=True))
            return same and all("error" in row for row in rows[:first])


def _same_labels(got: dict[str, float], wanted: dict[str, float]) -> bool:
    return set(got) == set(wanted) and all(abs(got[label] - wanted[label]) <= 1e-5 for label in wanted)


def load(address: tuple[str, int], pool: list[Call], seconds: float) -> tuple[Tally, float]:
    """What `CLIENTS` clients saw in that time, and the seconds until the last of them had its answer.

    Each comes from an address of its own, 127.0.1.1 and on: to the server they are clients that take turns.
    """
    tally = Tally()
    started = time.monotonic()

    async def work() -> None:
        until = started + seconds
        await asyncio.gather(*(_client(address, pool, until, seed, tally) for seed in range(CLIENTS)))

    asyncio.run(work())
    return tally, time.monotonic() - started


async def _client(address: tuple[str, int], pool: list[Call], until: float, seed: int, tally: Tally) -> None:
    """Asks one thing after another; now and then it leaves before the answer."""
    rng, own = random.Random(seed), (f"127.0.1.{seed + 1}", 0)
    reader, writer = await asyncio.open_connection(*address, local_addr=own)
    while time.monotonic() < until:
        call = rng.choice(pool)
        started = time.monotonic()
        writer.write(call.data)
        await writer.drain()
        if rng.random() < LEFT:
            await asyncio.sleep(rng.random() * 0.2)
            tally.statuses["left"] += 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            reader, writer = await asyncio.open_connection(*address, local_addr=own)
            continue
        status, body = await _read_answer(reader)
        tally.seconds.append(time.monotonic() - started)
        tally.statuses[str(status)] += 1
        if status == 429:
            await asyncio.sleep(rng.random())
        elif call.is_right(status, body):
            tally.images += call.n_images
        else:
            tally.wrong.append(f"{call.data[:30]!r}: {status}")
    writer.close()


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    """Status and body of one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    status = int(head.split(" ", 2)[1])
    assert status != 429 or "retry-after: " in head
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    return status, from_json(await reader.readexactly(length))
