"""Time and memory of loading a checkpoint of the official size, in a fresh process.

    .venv/bin/python benchmarks/load.py FOLDER

makes FOLDER/2024.09.27 with recipe weights (2.46 GB; about a minute) unless it is there, then loads it three
times, each in a process of its own: seconds of `load_checkpoint`, seconds with imports, peak resident memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def make(folder: Path) -> Path:
    """The official-size recipe checkpoint, made once."""
    from golden import Golden, write_official_folder

    official = folder / "2024.09.27"
    if not official.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_official_folder(Golden("official-size"), folder)
    return official


def measure(folder: Path) -> None:
    """Loads, then touches every weight; prints one line of JSON."""
    start = time.perf_counter()
    from dualsight.checkpoint.load import load_checkpoint

    imported, cpu = time.perf_counter(), time.process_time()
    checkpoint = load_checkpoint(folder)
    loaded, cpu = time.perf_counter(), time.process_time() - cpu
    from dualsight.engine.memory import peak_bytes

    after_load = peak_bytes()
    total = sum(float(parameter.detach().sum()) for parameter in checkpoint.model.parameters())
    touched = time.perf_counter()
    fingerprint = checkpoint.fingerprint
    hashed = time.perf_counter()
    line = {
        "import_s": round(imported - start, 2),
        "load_s": round(loaded - imported, 2),
        "load_cpu_s": round(cpu, 2),
        "read_every_weight_s": round(touched - loaded, 2),
        "fingerprint_s": round(hashed - touched, 2),
        "peak_after_load_mb": after_load // 2**20,
        "peak_with_every_weight_mb": peak_bytes() // 2**20,
        "sum": round(total, 3),
        "fingerprint": fingerprint[:12],
    }
    print(json.dumps(line))


def main() -> None:
    """Parent: makes the file and starts three children; child: measures."""
    if sys.argv[1] == "--measure":
        measure(Path(sys.argv[2]))
        return
    official = make(Path(sys.argv[1]))
    for _ in range(3):
        subprocess.run([sys.executable, __file__, "--measure", str(official)], check=True)


if __name__ == "__main__":
    main()
