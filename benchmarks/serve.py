"""The server under load: 64 clients, mixed routes, broken pictures, clients that leave; every answer is compared.

    .venv/bin/python benchmarks/serve.py [--seconds 60]        # the demonstration model
    .venv/bin/python benchmarks/serve.py --official FOLDER     # official size, two clients, beside offline

The server has a worker for each core, and the clients are one process on the same cores. Beside it, in turns: one
process that does the same offline on all cores, with torch's threads told the same (`OMP_WAIT_POLICY`) and with
something beside it that keeps as much of the cores busy as the clients do. Speeds are images a second by the clock, and
of processor time.
FOLDER is any folder with 2.5 GB of room: the official-size recipe checkpoint is made there once.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `dualsight serve` does; read when torch is imported

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parent))

from serve_calls import CLIENTS, Tally, calls, draw, load

import dualsight
from request_files import b64
from server_process import serving

DEADLINE_S = 60.0
ROUNDS = 3
CORES = len(os.sched_getaffinity(0))
THREADS = {"OMP_NUM_THREADS": str(CORES)}


def family(pid: int) -> list[int]:
    """A process, its children and theirs."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [pid, *(member for child in children for member in family(child))]


def processor_s(pid: int) -> float:
    """Seconds that a server's processes have computed."""
    fields = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in family(pid)]
    return sum(int(row[11]) + int(row[12]) for row in fields) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Memory that a server's processes hold; what they share is counted for each."""
    pages = [int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in family(pid)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


BUSY = """
import time
while True:
    until = time.process_time() + 0.02 * {0}
    while time.process_time() < until:
        pass
    time.sleep(0.02 * (1 - {0}))
"""


@contextmanager
def busy(share: float) -> Iterator[None]:
    """Something beside the block that takes this share of one core."""
    process = subprocess.Popen([sys.executable, "-c", BUSY.format(min(share, 1.0))])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def own_processor_s() -> float:
    """Seconds that this process has computed, and those of its that have ended: some open pictures."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


@dataclass(frozen=True, slots=True)
class Speed:
    """Images a second, by the clock and of processor time."""

    clock: float
    processor: float


def offline(model: dualsight.Model, pictures: list[bytes], share: float, seconds: float) -> tuple[Speed, Speed]:
    """How fast the engine is on pixels in batches of 32, and files through `encode_image`."""
    size = model.config.preprocessing
    pixels = np.random.default_rng(0).standard_normal((32, 3, size.height, size.width)).astype(np.float32)
    speeds = []
    with busy(share):
        for work, n in (
            (lambda: model.engine.encode_images(pixels), 32),
            (lambda: model.encode_image(pictures, batch_size=32), len(pictures)),
        ):
            work()
            used, started, done = own_processor_s(), time.monotonic(), 0
            while time.monotonic() - started < seconds / 2:
                work()
                done += n
            speeds.append(Speed(done / (time.monotonic() - started), done / (own_processor_s() - used)))
    return speeds[0], speeds[1]


def report(tally: Tally, wall_s: float) -> None:
    """Prints what the clients saw."""
    ordered = sorted(tally.seconds)
    p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    failed = sum(n for status, n in tally.statuses.items() if status.startswith("5"))
    print(f"  answers {dict(sorted(tally.statuses.items()))}; wrong {len(tally.wrong)} {tally.wrong[:3]}; 5xx {failed}")
    print(f"  {len(ordered) / wall_s:.0f} requests/s; p50 {p50:.2f} s, p99 {p99:.2f} s (deadline {DEADLINE_S:g} s)")


def _ratio(served: float, beside: list[float]) -> str:
    before, after = beside
    return f"{served:.0f} images/s of {before:.0f} before and {after:.0f} after: {2 * served / (before + after):.2f}"


def under_load(seconds: float) -> None:
    """The load, in turns with the same offline; then too much load."""
    model = dualsight.load("demo")
    pool = calls(model)
    rng = random.Random(7)
    pictures = [draw(seed, rng) for seed in range(120)]
    with serving("--model", "demo", "--workers", CORES, "--deadline-s", DEADLINE_S, **THREADS) as server:
        pid = server.process.pid
        own = time.process_time()
        _, wall_s = load(server.address, pool, 5)  # warm, and what the clients take
        share = (time.process_time() - own) / wall_s
        before = offline(model, pictures, share, 10)
        used, memory = processor_s(pid), [resident_mib(pid)]
        done = threading.Event()

        def watch() -> None:
            while not done.wait(seconds / 6):
                memory.append(resident_mib(pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        tally, wall_s = load(server.address, pool, seconds)
        done.set()
        watcher.join()
        used = processor_s(pid) - used
        after = offline(model, pictures, share, 10)
    served = Speed(tally.images / wall_s, tally.images / used)
    print(f"{CLIENTS} clients for {seconds:g} s, demonstration model, {CORES} cores and as many workers")
    report(tally, wall_s)
    print(f"  the server on {used / wall_s:.2f} cores, the clients on {share:.2f}")
    for name, pair in zip(
        ("the engine alone, on pixels", "files offline"), zip(before, after, strict=True), strict=True
    ):
        clock, processor = ([getattr(speed, field) for speed in pair] for field in ("clock", "processor"))
        print(f"  beside {name}: {_ratio(served.clock, clock)} by the clock")
        print(f"    {_ratio(served.processor, processor)} of processor time")
    print(f"  memory {', '.join(f'{mib:.0f}' for mib in memory)} MiB")
    with serving("--model", "demo", "--max-queue", 8, "--max-images", 4, **THREADS) as server:
        tally, wall_s = load(server.address, pool, min(seconds, 15))
        print("overload: room for 8 images")
        report(tally, wall_s)
        print(f"  {tally.images / wall_s:.0f} images/s")


def official(folder: Path) -> None:
    """Two clients of single pictures beside the same pictures offline."""
    import httpx2
    from load import make

    path = make(folder)
    model = dualsight.load(path)
    rng = random.Random(1)
    pictures = [draw(seed, rng) for seed in range(8)]
    print(f"{model.engine.name}, {CORES} cores")

    def offline_speed() -> float:
        started = time.monotonic()
        model.encode_image(pictures, batch_size=1)
        return len(pictures) / (time.monotonic() - started)

    expected = model.encode_image(pictures, batch_size=1)
    with serving("--model", path, **THREADS) as server, httpx2.Client(base_url=server.url, timeout=300) as client:

        def ask(i: int) -> None:
            answer = client.post("/encode", json={"images": [b64(pictures[i])]})
            np.testing.assert_allclose(answer.json()["image_embeddings"][0], expected[i], atol=1e-5)

        ask(0)
        ratios = []
        for _ in range(ROUNDS):
            first = offline_speed()
            started = time.monotonic()
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(ask, range(len(pictures))))
            served = len(pictures) / (time.monotonic() - started)
            second = offline_speed()
            ratios.append(served / ((first + second) / 2))
            print(
                f"offline {first:.3f} and {second:.3f} images/s, served to two clients {served:.3f}: {ratios[-1]:.3f}"
            )
    print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--official", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.official is not None:
        official(options.official)
    else:
        under_load(options.seconds)
