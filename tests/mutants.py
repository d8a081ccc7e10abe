"""Mutation testing: the source is changed a little, again and again, and the tests should notice each time.

python tests/mutants.py [MODULE …] [--again]

mutmut says what can be changed in a function: an operator, number, name or text for another, None for a value, an
argument or case left out. Each change is written into a copy of the tree, where its module's tests run in a process of
their own: those that call the function (all, where none is seen to), quickest first, until one fails. What takes far
longer than before is ended, and counts as noticed. Hypothesis draws the same examples each time, and shrinks none.

Results go to build/mutants.json; `--again` tries what was not noticed, or not tried. docs/mutants.md has the figures.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import hypothesis
import libcst as cst
import pytest
from mutmut.mutation.file_mutation import create_mutations, deep_replace, group_by_top_level_node

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "build" / "mutants.json"
SEED = 20261126
OPTIONS = "-q -x -p no:randomly -p no:cacheprovider --hypothesis-profile=mutants -W ignore::pytest.PytestWarning"
# What is changed, below src/dualsight; the tests that should notice; how many changes are drawn, all without.
MODULES: dict[str, tuple[str, Sequence[str], int | None]] = {
    "image.prepare": ("image/prepare.py", ["tests/unit/image/test_prepare.py"], None),
    "task.classify": ("task/classify.py", ["tests/unit/task/test_classify.py", "tests/unit/task/test_model.py"], None),
    "learn.loss": ("learn/loss.py", ["tests/unit/learn/test_loss.py"], None),
    "model": ("model/*.py", ["tests/unit/model/test_*.py", "tests/parity/test_model.py"], 120),
    "store": ("store/*.py", ["tests/unit/store/test_*.py"], 160),  # not store/ray, whose tests start clusters
}


def mutants(sources: str) -> dict[str, tuple[str, str, Callable[[], Any]]]:
    """All changes of the files by name: a file, a function after its class, and what makes the changed file's tree."""
    found = {}
    for path in sorted(Path("src/dualsight").glob(sources)):
        file = str(path)
        module, changes, *_ = create_mutations(file, path.read_text())
        by_function = group_by_top_level_node(changes)
        functions = {node: node.name.value for node in module.body if isinstance(node, cst.FunctionDef)}
        for owner in (node for node in module.body if isinstance(node, cst.ClassDef)):
            methods = (node for node in owner.body.body if isinstance(node, cst.FunctionDef))
            functions |= {node: f"{owner.name.value}.{node.name.value}" for node in methods}
        for function, name in functions.items():
            for number, one in enumerate(by_function.get(function, ()), start=1):
                change = partial(deep_replace, module, one.original_node, one.mutated_node)
                found[f"{file.removeprefix('src/dualsight/')}:{name}:{number}"] = (file, name, change)
    return found


class Watch:
    """A pytest plugin: runs `tests` in their order, or else all; notes what each calls, and how long it takes.

    What fixtures call is noted for their file.
    """

    def __init__(self, tests: Sequence[str] = ()) -> None:
        self.place = {test: place for place, test in enumerate(tests)}
        self.calls: dict[str, set[str]] = defaultdict(set)
        self.seconds: dict[str, float] = defaultdict(float)
        self.now: set[str] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        _, ours, file = frame.f_code.co_filename.partition("/src/dualsight/")
        if ours and event == "call":
            self.now.add(f"src/dualsight/{file}:{frame.f_code.co_qualname.partition('.<locals>')[0]}")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.place:
            items[:] = sorted(
                (one for one in items if one.nodeid in self.place), key=lambda one: self.place[one.nodeid]
            )

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.now = self.calls[nodeid.partition("::")[0]]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        shared, self.now = self.now, self.calls[item.nodeid]
        try:
            return (yield)
        finally:
            self.now = shared

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            Path("noticed").write_text(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        libraries = [name for name, module in sys.modules.items() if "dualsight" not in str(module)]
        seen = {"calls": self.calls, "seconds": self.seconds, "libraries": libraries}
        if not self.place:
            Path("seen").write_text(json.dumps(seen, default=sorted))


def tested(files: Sequence[str], watch: Watch, limit_s: int) -> tuple[str, str]:
    """Whether the tests pass in the copy of the tree: survived, killed or timeout; and which test failed."""
    Path("noticed").write_text("import")
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s))  # of its processor, whatever else runs here
        os.dup2(os.open("output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(1, 2)
        sys.dont_write_bytecode = bool(watch.place)  # two changes within a second would share a file of it
        if not watch.place:
            sys.setprofile(watch)
            threading.setprofile(watch)
        code = pytest.main([*OPTIONS.split(), "-m", "not slow", *files], plugins=[watch])
        sys.stdout.flush()
        os._exit(code)
    ends = time.monotonic() + 5 * limit_s
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < ends:
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # and what it started
    status = ended[1] if ended[0] else os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return "timeout", ""
    return ("killed", Path("noticed").read_text()) if status else ("survived", "")


def run(name: str, results: dict[str, dict[str, Any]], again: bool) -> None:
    """Tries the changes of one module, and writes down what came of each."""
    sources, patterns, sample = MODULES[name]
    every = mutants(sources)
    drawn = random.Random(SEED).sample(list(every), len(every))[:sample]
    if again:
        drawn = [key for key in drawn if results.get(key, {}).get("outcome", "survived") == "survived"]
    files = [str(path) for pattern in patterns for path in sorted(Path().glob(pattern))]
    if tested(files, Watch(), 600)[0] != "survived":
        sys.exit(f"{name}: the tests do not pass as they are\n{Path('output').read_text()[-3000:]}")
    seen = json.loads(Path("seen").read_text())
    for library in seen["libraries"]:  # once, and not in each process
        with suppress(Exception):
            importlib.import_module(library)
    calls, seconds = seen["calls"], seen["seconds"]
    quickest = sorted(seconds, key=seconds.__getitem__)
    if tested(files, Watch(quickest), 600)[0] != "survived":
        sys.exit(f"{name}: the tests do not pass in another order\n{Path('output').read_text()[-3000:]}")
    for count, key in enumerate(drawn, start=1):
        (file, function, change), start = every[key], time.monotonic()
        tests = [test for test in quickest if f"{file}:{function}" in calls.get(test, ())]
        tests += [test for test in quickest if f"{file}:{function}" in calls.get(test.partition("::")[0], ())]
        tests = list(dict.fromkeys(tests)) or quickest
        before, after = Path(file).read_text(), change().code
        Path(file).write_text(after)
        limit_s = 20 + round(5 * sum(seconds[test] for test in tests))
        outcome, by = tested(sorted({test.partition("::")[0] for test in tests}), Watch(tests), limit_s)
        Path(file).write_text(before)
        diff = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
        results[key] = {"module": name, "of": len(every), "outcome": outcome, "by": by, "diff": diff}
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False))
        print(f"{name} {count}/{len(drawn)} {time.monotonic() - start:.1f} s {outcome} {key} {by}", flush=True)


def table(results: dict[str, dict[str, Any]]) -> str:
    """The figures as Markdown; of a sample with Wilson's 95 % interval."""
    lines = [
        "| module | changes | tried | killed | of these by time | survived | share |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in MODULES:
        outcomes = [one["outcome"] for one in results.values() if one["module"] == name]
        n, of = len(outcomes), max((one["of"] for one in results.values() if one["module"] == name), default=0)
        if n:
            left, late = outcomes.count("survived"), outcomes.count("timeout")
            share, z2 = 1 - left / n, 1.96**2
            middle, half = share + z2 / 2 / n, (z2 * (share * (1 - share) + z2 / 4 / n) / n) ** 0.5
            low, high = (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)
            interval = f" ({low:.1%}–{high:.1%})" if n < of else ""
            lines.append(f"| `{name}` | {of:,} | {n} | {n - left} | {late} | {left} | {share:.1%}{interval} |")
    return "\n".join(lines)


def main() -> None:
    """Tries, and prints the figures and what was not noticed."""
    parser = argparse.ArgumentParser(description="Mutation testing.")
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(MODULES)}; all without it")
    parser.add_argument("--again", action="store_true", help="what was not noticed the last time, or not tried")
    asked = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    names = asked.modules or list(MODULES)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results = {key: one for key, one in results.items() if asked.again or one["module"] not in names}
    first = {"phases": (hypothesis.Phase.explicit, hypothesis.Phase.generate), "report_multiple_bugs": False}
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, **first)
    warnings.filterwarnings("ignore", message="lancedb fork")  # it is imported here, and first used in the children
    with tempfile.TemporaryDirectory(prefix="dualsight-") as tree:
        for part in ("src", "tests", "samples"):
            shutil.copytree(ROOT / part, Path(tree, part), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", tree)
        os.chdir(tree)
        os.environ |= {"PYTHONPATH": f"{tree}/src", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        sys.path.insert(0, f"{tree}/src")
        for name in names:
            run(name, results, asked.again)
        os.chdir(ROOT)
    print(table(results))
    for key, one in sorted(results.items()):
        if one["outcome"] == "survived":
            print(f"\n{key}", *one["diff"], sep="\n")


if __name__ == "__main__":
    main()
