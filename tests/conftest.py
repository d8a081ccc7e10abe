"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants  # reads the environment once, when imported: before any test changes it
import pytest

from golden import Golden, write_official_folder


@pytest.fixture(scope="session")
def recipe_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`recipe_folder("davit")`: an official-layout folder with that golden model's recipe weights. Read only."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = write_official_folder(Golden(name), tmp_path_factory.mktemp(name))
        return made[name]

    return folder


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Takes back what a test's libraries have changed of logging, so that the next one's messages are seen."""
    root, ours = logging.getLogger(), logging.getLogger("dualsight")
    before = root.level, root.manager.disable, ours.level, ours.propagate, ours.disabled
    yield
    root.setLevel(before[0])
    root.manager.disable = before[1]
    ours.setLevel(before[2])
    ours.propagate, ours.disabled = before[3:]
    for name, logger in root.manager.loggerDict.items():
        if name.startswith("dualsight.") and isinstance(logger, logging.Logger):
            logger.disabled = False


def pytest_configure() -> None:
    """Gives Ctrl-C back to the processes that tests start: a shell takes it from what it runs in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Which hub the tests would speak to, had they no stand-in of their own."""
    return f"hub offline: {huggingface_hub.constants.HF_HUB_OFFLINE}"
