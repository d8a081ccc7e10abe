"""Does a cluster scale? Pictures that take long to open, through Ray, with one opener and with two.

    .venv/bin/python benchmarks/scale.py openers     # a stub for the encoder, decode-bound
    .venv/bin/python benchmarks/scale.py driver      # how fast the driver gives out work

`openers`: DICOM slices of 512² in JPEG 2000, each another one, since the same content is opened once. Rates are by the
clock, from the first result to the last, in pairs of runs. Beside other work the clock favours what has more
processes, so processor time is told as well: of the openers, and of all else that the run started, the driver included.
`driver`: tiny pictures, so that the driver and what is said between processes is most of the work.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import JPEG2000Lossless

sys.path.insert(0, str(Path(__file__).parent))
from spread import spread
from stream import OFFICIAL, dicom

from dualsight.checkpoint.load import load_checkpoint
from dualsight.image.reading import Reading
from dualsight.image.source import scan
from dualsight.store.ray import embed
from dualsight.store.ray.cluster import Cluster, Plan, Seat, joined
from dualsight.store.ray.work import Job
from dualsight.task.model import Model

PAIRS, PICTURES, TINY = 3, 960, 6_000


class Stub:
    """An encoder that takes no time."""

    name, precision = "stub", "float32"

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """[B, 3, H, W] → [B, 128]."""
        return pixels[:, 0, 0, :128].copy()

    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Not asked for."""
        raise NotImplementedError


@dataclass(frozen=True)
class Measured:
    """Pictures a second by the clock; processor seconds of a picture, in openers and elsewhere."""

    rate: float
    opener_s: float
    other_s: float


def stub(device: str) -> Model:
    """A model that takes no time, at the official size."""
    model = Model(load_checkpoint("demo"), Stub())
    object.__setattr__(model.config, "preprocessing", OFFICIAL)
    return model


def measure(node: str, folder: Path, n: int, n_openers: int) -> Measured:
    """One run over the n pictures of a folder."""
    seats = Plan(openers=(Seat(node=node, cpus=1),) * n_openers, encoders=(Seat(node=node, cpus=0),))
    embed.plan = lambda nodes, cores: seats
    job = Job(preprocessing=OFFICIAL, reading=Reading(), key=None, batch_size=16)
    units = embed.embed_on_ray(Cluster(), stub, stub("cpu").fingerprint, job)
    outcomes = units(scan(folder), set())
    next(outcomes)
    start, before = time.perf_counter(), processor_seconds()
    assert sum(1 for _ in islice(outcomes, n - 2)) == n - 2
    took, after = time.perf_counter() - start, processor_seconds()
    assert len(list(outcomes)) == 1  # only now are the workers ended
    spent = {name: (after[name] - before[name]) / n for name in after}
    return Measured(n / took, spent["openers"], spent["others"])


def processor_seconds() -> dict[str, float]:
    """Of this process and all that it started (proc(5)): the openers, and the others."""
    parents, seconds, openers = {}, {}, set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = process.joinpath("stat").read_text().rpartition(")")[2].split()
            title = process.joinpath("cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        pid = int(process.name)
        parents[pid] = int(fields[1])
        seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if title.startswith(b"ray::Opener"):
            openers.add(pid)

    def is_ours(pid: int) -> bool:
        return pid == os.getpid() or (pid in parents and is_ours(parents[pid]))

    ours = {pid: one for pid, one in seconds.items() if is_ours(pid)}
    return {
        "openers": sum(one for pid, one in ours.items() if pid in openers),
        "others": sum(one for pid, one in ours.items() if pid not in openers),
    }


def openers(folder: Path, node: str) -> None:
    """Two openers beside one."""
    rng = np.random.default_rng(4)
    for number in range(PICTURES):
        folder.joinpath(f"{number:05}").write_bytes(dicom(rng, 512, JPEG2000Lossless))
    runs: dict[int, list[Measured]] = {1: [], 2: []}
    for i in range(PAIRS):
        for n_openers in (1, 2) if i % 2 else (2, 1):
            runs[n_openers].append(measure(node, folder, PICTURES, n_openers))
            print(n_openers, runs[n_openers][-1], flush=True)
    ratios = [two.rate / one.rate for one, two in zip(runs[1], runs[2], strict=True)]
    print(f"two openers {spread(ratios)} × one, by the clock", flush=True)
    for n_openers, made in runs.items():
        own, other = (
            1e3 * statistics.median(values) for values in zip(*((m.opener_s, m.other_s) for m in made), strict=True)
        )
        rate = statistics.median(m.rate for m in made)
        print(f"{n_openers}: {rate:.1f}/s; {own:.1f} ms of a processor in openers, {other:.1f} ms elsewhere, a picture")


def driver(folder: Path, node: str) -> None:
    """Tiny pictures through two openers."""
    rng = np.random.default_rng(5)
    for number in range(TINY):
        Image.fromarray(rng.integers(0, 255, (16, 16), np.uint8)).save(folder / f"{number:05}", "PNG")
    made = [measure(node, folder, TINY, 2) for _ in range(PAIRS)]
    print(f"{spread([m.rate for m in made])} tiny pictures a second; of a processor a picture:")
    for name in ("opener_s", "other_s"):
        print(f"  {name}: {spread([1e3 * getattr(m, name) for m in made])} ms")


def main() -> None:
    """One measurement, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder, joined(Cluster()) as ray:
        (node,) = (node["NodeID"] for node in ray.nodes())
        {"openers": openers, "driver": driver}[sys.argv[1]](Path(folder), node)


if __name__ == "__main__":
    main()
