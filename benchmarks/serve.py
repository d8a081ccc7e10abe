"""The server under load: 64 clients, mixed routes, broken pictures, clients that leave; every answer is compared.

    .venv/bin/python benchmarks/serve.py [--seconds 60]        # the demonstration model
    .venv/bin/python benchmarks/serve.py --official FOLDER     # official size, two clients, beside offline

The clients are one process of their own on the same cores, so the throughput is given twice: by the clock beside the
engine's own batch speed, and by the server's own processor time beside the engine's. FOLDER is any folder with 2.5 GB
of room: the official-size recipe checkpoint is made there once.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parent))

import dualsight
from request_files import b64
from server_process import Server, serving

CLIENTS = 64
BROKEN, LEFT = 0.10, 0.05
LABELS = ["pneumonia", "no finding", "pleural effusion", "fracture"]
DEADLINE_S = 60.0
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

    statuses: Counter[str]
    seconds: list[float]
    wrong: int = 0
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
    for i in range(400):
        n = rng.choice([1, 1, 1, 2, 4])
        chosen = [rng.randrange(len(pictures)) for _ in range(n)]
        files = [pictures[k] for k in chosen]
        broken = rng.random() < BROKEN
        if broken:
            files[0] = files[0][: len(files[0]) // 3]
        made.append(_call(i % 6, model.name, files, broken, vectors[chosen], [answers[k] for k in chosen], texts))
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
        case _:
            rows = body["results"]
            pairs = [dict(zip(row["labels"], row["probabilities"], strict=True)) for row in rows[first:]]
            same = all(_same_labels(got, wanted) for got, wanted in zip(pairs, answers[first:], strict=True))
            return same and all("error" in row for row in rows[:first])


def _same_labels(got: dict[str, float], wanted: dict[str, float]) -> bool:
    return set(got) == set(wanted) and all(abs(got[label] - wanted[label]) <= 1e-5 for label in wanted)


async def client(address: tuple[str, int], pool: list[Call], until: float, seed: int, tally: Tally) -> None:
    """Asks one thing after another; now and then it leaves before the answer."""
    rng = random.Random(seed)
    reader, writer = await asyncio.open_connection(*address)
    while time.monotonic() < until:
        call = rng.choice(pool)
        leaves = rng.random() < LEFT
        started = time.monotonic()
        writer.write(call.data)
        await writer.drain()
        if leaves:
            await asyncio.sleep(rng.random() * 0.2)
            tally.statuses["left"] += 1
        else:
            status, body = await read_answer(reader)
            tally.seconds.append(time.monotonic() - started)
            tally.statuses[str(status)] += 1
            if status == 429:
                continue
            if not call.is_right(status, body):
                tally.wrong += 1
                print(f"wrong: {call.data[:40]!r} {status}", file=sys.stderr)
            tally.images += call.n_images
        if leaves:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            reader, writer = await asyncio.open_connection(*address)
    writer.close()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    """Status and body of one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    status = int(head.split(" ", 2)[1])
    assert status != 429 or "retry-after: " in head
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    return status, json.loads(await reader.readexactly(length))


def load(server: Server, pool: list[Call], seconds: float) -> tuple[Tally, float]:
    """What `CLIENTS` clients saw in that time, and the seconds until the last of them had its answer."""
    tally = Tally(Counter(), [])
    started = time.monotonic()

    async def work() -> None:
        until = started + seconds
        await asyncio.gather(*(client(server.address, pool, until, seed, tally) for seed in range(CLIENTS)))

    asyncio.run(work())
    return tally, time.monotonic() - started


def processor_s(pid: int) -> float:
    """Seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def engine_speed(model: dualsight.Model, seconds: float = 5.0) -> tuple[float, float]:
    """Images a second, and by processor second, of the engine alone in batches of 32."""
    size = model.config.preprocessing
    pixels = np.random.default_rng(0).standard_normal((32, 3, size.height, size.width)).astype(np.float32)
    model.engine.encode_images(pixels)
    started, used, n = time.monotonic(), time.process_time(), 0
    while time.monotonic() - started < seconds:
        model.engine.encode_images(pixels)
        n += 32
    return n / (time.monotonic() - started), n / (time.process_time() - used)


def report(tally: Tally, wall_s: float) -> None:
    """Prints what the clients saw."""
    ordered = sorted(tally.seconds)
    p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    failed = sum(n for status, n in tally.statuses.items() if status.startswith("5"))
    print(f"  answers {dict(sorted(tally.statuses.items()))}; wrong {tally.wrong}; 5xx {failed}")
    print(f"  {len(ordered) / wall_s:.0f} requests/s; p50 {p50:.2f} s, p99 {p99:.2f} s (deadline {DEADLINE_S:g} s)")


def under_load(seconds: float) -> None:
    """The load, then too much of it."""
    model = dualsight.load("demo")
    pool = calls(model)
    with serving("--model", "demo", "--deadline-s", DEADLINE_S, OMP_NUM_THREADS=str(os.cpu_count())) as server:
        before = engine_speed(model)
        load(server, pool, 5)
        pid = server.process.pid
        used, memory = processor_s(pid), [resident_mib(pid)]
        done = threading.Event()

        def watch() -> None:
            while not done.wait(seconds / 6):
                memory.append(resident_mib(pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        tally, wall_s = load(server, pool, seconds)
        done.set()
        watcher.join()
        used = processor_s(pid) - used
        after = engine_speed(model)
    engine, by_processor = (sum(pair) / 2 for pair in zip(before, after, strict=True))
    print(f"{CLIENTS} clients for {seconds:g} s, demonstration model")
    report(tally, wall_s)
    rate = tally.images / wall_s
    print(f"  {rate:.0f} images/s beside the engine's {engine:.0f} in batches of 32: {rate / engine:.2f}")
    own = tally.images / used
    print(f"  {own:.0f} images a processor second beside the engine's {by_processor:.0f}: {own / by_processor:.2f}")
    print(f"  memory {', '.join(f'{mib:.0f}' for mib in memory)} MiB")
    with serving("--model", "demo", "--max-queue", 8, "--max-images", 4) as server:
        tally, wall_s = load(server, pool, min(seconds, 10))
        print("overload: room for 8 images")
        report(tally, wall_s)
        print(f"  {tally.images / wall_s:.0f} images/s")


def official(folder: Path) -> None:
    """Two clients of single pictures beside the same pictures offline."""
    from load import make

    path = make(folder)
    model = dualsight.load(path)
    rng = random.Random(1)
    pictures = [draw(seed, rng) for seed in range(8)]
    threads = str(os.cpu_count())

    def offline() -> float:
        started = time.monotonic()
        model.encode_image(pictures, batch_size=1)
        return len(pictures) / (time.monotonic() - started)

    model.encode_image(pictures[:1])
    with serving("--model", path, OMP_NUM_THREADS=threads) as server:
        import httpx2

        def ask(picture: bytes) -> None:
            with httpx2.Client(base_url=server.url, timeout=300) as client:
                assert client.post("/encode", json={"images": [b64(picture)]}).status_code == 200

        ratios = []
        for _ in range(3):
            first = offline()
            started = time.monotonic()
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(ask, pictures))
            served = len(pictures) / (time.monotonic() - started)
            second = offline()
            ratios.append(served / ((first + second) / 2))
            print(
                f"offline {first:.3f} and {second:.3f} images/s, served to two clients {served:.3f}: {ratios[-1]:.2f}"
            )
    print(f"median ratio {sorted(ratios)[1]:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--official", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.official is not None:
        official(options.official)
    else:
        under_load(options.seconds)
