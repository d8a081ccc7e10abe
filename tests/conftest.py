"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import huggingface_hub.constants  # reads the environment once, when imported: before any test changes it
import pytest
import torch

import dualsight
from dualsight.image import object_store
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


@pytest.fixture(scope="module")
def model() -> dualsight.Model:
    """The demonstration model, where a folder or file has no other of this name."""
    return dualsight.load()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """An object store in this process's memory: `memory://bucket`."""
    monkeypatch.setitem(object_store.LIBRARIES, "memory", "fsspec")
    files = fsspec.filesystem("memory")
    files.makedirs("/bucket", exist_ok=True)
    yield files
    files.rm("/bucket", recursive=True)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch computes in one thread, which is the quickest for small models; other tests' bits are those of all."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def logging_as_it_begins() -> None:
    """Takes back what libraries in earlier tests have changed of logging, so that this test's messages are seen."""
    logging.disable(logging.NOTSET)
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for name in ("dualsight", *(name for name in root.manager.loggerDict if name.startswith("dualsight."))):
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.propagate, logger.disabled = True, False


def pytest_configure() -> None:
    """Gives Ctrl-C back to the processes that tests start: a shell takes it from what it runs in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Which hub the tests would speak to, had they no stand-in of their own."""
    return f"hub offline: {huggingface_hub.constants.HF_HUB_OFFLINE}"
