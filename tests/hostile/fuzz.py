"""Opens damaged files of every kind, in processes of their own, and says what went wrong.

    PYTHONPATH=tests .venv/bin/python -m hostile.fuzz                          2,000 of each kind
    PYTHONPATH=tests .venv/bin/python -m hostile.fuzz png gif --count 20000
    PYTHONPATH=tests .venv/bin/python -m hostile.fuzz png --first 123 --count 1 --save bad.png

What may happen to a damaged file: frames, or an ImageError that names the file and nothing that is in it; within
5 s of processor time and 2 GiB of memory, with not a word on stdout, stderr or in a log.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from hostile.judge import MEMORY_SPENT
from hostile.kinds import KINDS, damaged_file

_TESTS = Path(__file__).parents[1]
_ENOUGH = 20  # failures of one share, after which it is given up


@dataclass(slots=True)
class Report:
    """What one kind's files did. failures: the file's number → what was wrong."""

    kind: str
    shown: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    seconds: tuple[float, int] = (0.0, -1)
    n_bytes: tuple[int, int] = (0, -1)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def explained(self) -> str:
        """Each failure, with the command that repeats it."""
        return "\n".join(
            f"{self.kind} {number}: {problem}\n  PYTHONPATH=tests .venv/bin/python -m hostile.fuzz {self.kind} "
            f"--first {number} --count 1 --save damaged"
            for number, problem in self.failures[:_ENOUGH]
        )

    def row(self) -> str:
        """One line of figures."""
        refused = ", ".join(f"{name} {count:,}" for name, count in sorted(self.refused.items()))
        return (
            f"{self.kind:20} {self.shown:>7,} frames   {sum(self.refused.values()):>6,} refused   "
            f"slowest {self.seconds[0]:5.2f} s (file {self.seconds[1]})   "
            f"peak {self.n_bytes[0] / 2**20:5,.0f} MiB   {len(self.failures)} failures   {refused}"
        )


def fuzz(kind: str, count: int, *, first: int = 0, processes: int = 2) -> Report:
    """Opens the damaged files `first` to `first` + `count` − 1 of a kind."""
    edges = [first + count * i // processes for i in range(processes + 1)]
    report = Report(kind)
    with ThreadPoolExecutor(processes) as pool:
        for share in pool.map(lambda ends: _share(kind, *ends), pairwise(edges)):
            report.shown += share.shown
            report.refused += share.refused
            report.seconds = max(report.seconds, share.seconds)
            report.n_bytes = max(report.n_bytes, share.n_bytes)
            report.failures += share.failures
    return report


def _share(kind: str, first: int, stop: int) -> Report:
    """One process's files; where it dies, the next one goes on behind the file that did it."""
    report = Report(kind)
    while first < stop and len(report.failures) < _ENOUGH:
        with tempfile.NamedTemporaryFile("r") as file:
            command = _command(kind, first, stop, file.name)
            status = subprocess.run(command, env=_environment(), check=False).returncode
            lines = file.read().splitlines()
        last = first - 1
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "case":
                last = int(rest)
            elif word == "bad":
                number, _, problem = rest.partition(" ")
                report.failures.append((int(number), problem))
            elif word == "done":
                _add(report, json.loads(rest))
                return report
        if status != MEMORY_SPENT:
            tail = lines[-40:] if last < first else [line for line in lines if not line.startswith("case ")][-40:]
            report.failures.append((max(last, first), "\n    ".join([_ending(status), *tail])))
        first = max(last, first) + 1
    return report


def _command(kind: str, first: int, stop: int, report: str) -> list[str]:
    return [sys.executable, "-m", "hostile.judge", kind, str(first), str(stop), report]


def _environment() -> dict[str, str]:
    paths = [str(_TESTS), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OPENBLAS_NUM_THREADS": "1"}


def _ending(status: int) -> str:
    return f"the process died of {signal.Signals(-status).name}" if status < 0 else f"the process ended with {status}"


def _add(report: Report, summary: dict[str, object]) -> None:
    report.shown += summary["shown"]  # type: ignore[operator]
    report.refused.update(summary["refused"])  # type: ignore[arg-type]
    report.seconds = max(report.seconds, tuple(summary["seconds"]))  # type: ignore[arg-type,assignment]
    report.n_bytes = max(report.n_bytes, tuple(summary["n_bytes"]))  # type: ignore[arg-type,assignment]


def main() -> int:
    """Prints a line a kind, and the failures. The exit status is 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"any of {', '.join(KINDS)}; all without one")
    parser.add_argument("--count", type=int, default=2000, help="files of each kind")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--save", type=Path, help="write the first file there as well")
    arguments = parser.parse_args()
    failed = False
    for kind in arguments.kinds or KINDS:
        if arguments.save:
            arguments.save.write_bytes(damaged_file(KINDS[kind], arguments.first))
        processes = min(arguments.processes, arguments.count)
        report = fuzz(kind, arguments.count, first=arguments.first, processes=processes)
        print(report.row(), *([report.explained()] if report.failures else []), sep="\n", flush=True)
        failed = failed or bool(report.failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
