from __future__ import annotations

import logging
import shutil
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from dualsight.checkpoint import hub
from dualsight.checkpoint.hub import OFFICIAL_REPO, pull, resolve
from dualsight.checkpoint.load import load_checkpoint
from dualsight.errors import CheckpointError, DownloadError
from folder_contents import contents
from golden import WEIGHTS
from hub_stand_in import LARGE, StandIn, serving

REPO = "someone/small-model"
CONFIG = "2024.09.27/config.yaml"
WEIGHT_FILE = f"2024.09.27/{WEIGHTS}"
TOKENIZER = "2024.09.27/language_model/clip_tokenizer_4.16.2"
CONTENT = bytes(range(256)) * 400

FILES = {
    "README.md": b"# A model",
    CONFIG: b"TASK: UniCLTask\n",
    WEIGHT_FILE: CONTENT,
    "2024.09.27/language_model/language_model.pth": b"not needed" * LARGE,
    f"{TOKENIZER}/vocab.json": b'{"a": 0}',
    f"{TOKENIZER}/merges.txt": b"#version: 0.2\n" * LARGE,
    f"{TOKENIZER}/tokenizer_config.json": b"{}",
}
NEEDED = {name.removeprefix("2024.09.27/") for name in FILES if name.startswith("2024") and not name.endswith(".pth")}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A hub that holds `REPO`; huggingface_hub is pointed to it and to an empty cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.chdir(tmp_path)
    with serving(StandIn(REPO, dict(FILES))) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setattr(hub._library().constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # what a break may cost
        monkeypatch.setattr("time.sleep", lambda _: None)  # the library waits a second before it tries again
        yield server


def test_pull_brings_what_is_needed_and_no_more(stand_in: StandIn) -> None:
    folder = pull(REPO)
    assert contents(folder) == {name: FILES[f"2024.09.27/{name}"] for name in NEEDED}
    assert not stand_in.asked("GET", "language_model.pth")


def test_a_second_pull_downloads_nothing(stand_in: StandIn) -> None:
    first = pull(REPO)
    stand_in.requests.clear()
    assert pull(REPO) == first
    assert [path for method, path, _ in stand_in.requests if method == "GET"] == [f"/api/models/{REPO}"]


def test_pull_to_a_folder_leaves_plain_files_there(stand_in: StandIn, tmp_path: Path) -> None:
    folder = pull(REPO, folder=tmp_path / "here")
    assert folder == tmp_path / "here" / "2024.09.27"
    assert contents(tmp_path / "here") == {f"2024.09.27/{name}": FILES[f"2024.09.27/{name}"] for name in NEEDED}
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("to_folder", [False, True])
def test_a_connection_that_breaks_is_taken_up_where_it_broke(
    stand_in: StandIn, tmp_path: Path, to_folder: bool
) -> None:
    stand_in.break_after[WEIGHT_FILE] = 50_000
    folder = pull(REPO, folder=tmp_path / "here" if to_folder else None)
    assert (folder / WEIGHTS).read_bytes() == CONTENT
    assert stand_in.asked("GET", "medimageinsigt-v1.0.0.pt") == ["", "bytes=50000-"]


@pytest.mark.parametrize("to_folder", [False, True])
def test_an_interrupted_pull_goes_on_in_another_process(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to_folder: bool
) -> None:
    """Ctrl-C after 50,000 bytes: the next pull asks for the rest."""
    library = hub._library()
    download = library.file_download.http_get

    def interrupted(url: str, sink: object, **options: object) -> None:
        if url.endswith(".pt"):
            sink.write(CONTENT[:50_000])  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        download(url, sink, **options)

    target = tmp_path / "here" if to_folder else None
    with monkeypatch.context() as patch:
        patch.setattr(library.file_download, "http_get", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pull(REPO, folder=target)
    folder = pull(REPO, folder=target)
    assert (folder / WEIGHTS).read_bytes() == CONTENT
    assert stand_in.asked("GET", "medimageinsigt-v1.0.0.pt") == ["bytes=50000-"]


@pytest.mark.parametrize("to_folder", [False, True])
def test_two_that_pull_a_file_at_once_fetch_it_once(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to_folder: bool
) -> None:
    library = hub._library()
    download = library.file_download.http_get
    target = tmp_path / "here" if to_folder else None
    found: list[Path] = []
    second = threading.Thread(target=lambda: found.append(pull(REPO, folder=target)))

    def half_way(url: str, sink: BinaryIO, **options: Any) -> None:
        if url.endswith(".pt"):
            sink.write(CONTENT[:50_000])
            sink.flush()
            second.start()
            second.join(0.3)  # with nothing to wait for, it would have gone on with the half that is here
            options["resume_size"] = 50_000
        download(url, sink, **options)

    monkeypatch.setattr(library.file_download, "http_get", half_way)
    folder = pull(REPO, folder=target)
    second.join()
    assert found == [folder]
    assert set(contents(folder)) == NEEDED
    assert (folder / WEIGHTS).read_bytes() == CONTENT
    assert stand_in.asked("GET", "medimageinsigt-v1.0.0.pt") == ["bytes=50000-"]


def test_a_cache_that_cannot_be_locked_serves_what_it_has(stand_in: StandIn, tmp_path: Path) -> None:
    """As one that may be read and not written."""
    folder = pull(REPO)
    locks = tmp_path / "cache" / ".locks"
    shutil.rmtree(locks)
    locks.touch()
    assert pull(REPO) == folder
    stand_in.files = FILES | {WEIGHT_FILE: CONTENT[::-1]}
    with pytest.raises(DownloadError, match=r"\.locks.*: cannot be written") as error:
        pull(REPO)
    assert "HF_HUB_CACHE" in error.value.hint


def test_a_corrupted_download_is_refused_and_not_kept(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.corrupt.add(WEIGHT_FILE)
    with pytest.raises(DownloadError, match=r"medimageinsigt-v1\.0\.0\.pt: downloaded, but its hash is not") as error:
        pull(REPO)
    assert error.value.hint
    assert CONTENT[::-1] not in contents(tmp_path / "cache").values()
    stand_in.corrupt.clear()
    assert (pull(REPO) / WEIGHTS).read_bytes() == CONTENT


def test_a_small_file_is_checked_by_its_git_hash(stand_in: StandIn) -> None:
    stand_in.corrupt.add(CONFIG)
    with pytest.raises(DownloadError, match=r"config\.yaml: downloaded, but its hash"):
        pull(REPO)


@pytest.mark.parametrize("to_folder", [False, True])
def test_a_file_damaged_on_disk_is_fetched_again(
    stand_in: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture, to_folder: bool
) -> None:
    target = tmp_path / "here" if to_folder else None
    weights = pull(REPO, folder=target) / WEIGHTS
    weights.resolve().write_bytes(CONTENT[:-1] + b"x")
    assert (pull(REPO, folder=target) / WEIGHTS).read_bytes() == CONTENT
    assert "another hash" in caplog.text


def test_the_official_weights_must_be_the_published_ones(stand_in: StandIn) -> None:
    stand_in.repo_id = OFFICIAL_REPO
    with pytest.raises(DownloadError, match="the hub lists medimageinsigt") as error:
        pull()
    assert "published is 5eeda63b" in error.value.hint
    assert not stand_in.asked("GET", "medimageinsigt-v1.0.0.pt")


def test_a_full_disk_is_seen_before_the_download(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9, 9, 50_000))
    with pytest.raises(DownloadError, match=r"merges\.txt needs 140,000 bytes, and .* has 50,000 free"):
        pull(REPO)


def test_a_flat_repository(stand_in: StandIn) -> None:
    stand_in.files = {"config.yaml": b"A: 1\n", "model.safetensors": CONTENT, "vocab.json": b"{}", "merges.txt": b"#\n"}
    assert contents(pull(REPO)) == stand_in.files


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"README.md": b""}, "0 files named config.yaml"),
        ({"a/config.yaml": b"", "b/config.yaml": b""}, "2 files named config.yaml"),
        ({"config.yaml": b""}, "0 weight files"),
        ({"config.yaml": b"", "a.safetensors": b"", "b.safetensors": b""}, "2 weight files"),
        ({"../config.yaml": b"", "../model.safetensors": b""}, "0 files named config.yaml"),
        ({"/config.yaml": b"", "/model.safetensors": b""}, "0 files named config.yaml"),
    ],
)
def test_a_repository_without_a_checkpoint(stand_in: StandIn, files: dict[str, bytes], problem: str) -> None:
    stand_in.files = files
    with pytest.raises(DownloadError, match=problem):
        pull(REPO)


def test_no_such_repository_or_revision(stand_in: StandIn) -> None:
    with pytest.raises(DownloadError, match="someone/else: the hub answers 404") as error:
        pull("someone/else")
    assert "taken for a hub id" in error.value.hint
    with pytest.raises(DownloadError, match=f"{REPO}@v9: the hub answers 404"):
        pull(REPO, revision="v9")
    with pytest.raises(DownloadError, match="is not a hub id"):
        pull("no-owner")


@pytest.mark.parametrize("revision", [None, "main", "a" * 40])
def test_offline_the_cache_answers_and_nothing_is_asked(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, revision: str | None
) -> None:
    folder = pull(REPO, revision=revision)
    stand_in.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert pull(REPO, revision=revision) == folder
    assert resolve(f"{REPO}@{revision}" if revision else REPO)[0] == folder
    assert not stand_in.requests


def test_offline_without_a_cached_copy(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set, and it is not whole in the cache") as error:
        pull(REPO)
    assert "dualsight pull" in error.value.hint
    assert not stand_in.requests


def test_offline_nothing_comes_to_a_folder(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pull(REPO)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set, so nothing can be downloaded") as error:
        pull(REPO, folder=tmp_path / "here")
    assert error.value.hint
    assert not (tmp_path / "here").exists()


def test_an_unreachable_hub(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(DownloadError, match="cannot be reached"):
        pull(REPO)
    monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
    folder = pull(REPO)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with caplog.at_level(logging.WARNING):
        assert pull(REPO) == folder
    assert "the cached copy is used" in caplog.text


def test_a_hub_id_loads(stand_in: StandIn, recipe_folder: Callable[[str], Path]) -> None:
    stand_in.files = {f"2024.09.27/{name}": content for name, content in contents(recipe_folder("davit")).items()}
    checkpoint = load_checkpoint(f"{REPO}@main")
    assert checkpoint.name == f"{REPO}@main"
    assert checkpoint.fingerprint == load_checkpoint(recipe_folder("davit")).fingerprint


def test_loading_again_does_not_hash_again(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, name = resolve(REPO)
    assert name == REPO
    monkeypatch.setattr("dualsight.checkpoint.download.sha256", lambda _: pytest.fail("hashed again"))
    assert resolve(REPO) == (folder, name)


@pytest.mark.parametrize(
    "where",
    ["./someone/small-model", "/someone/small-model", "~/small", "here/model", "someone/model.safetensors", "x"],
)
def test_what_is_meant_as_a_path_asks_no_hub(stand_in: StandIn, tmp_path: Path, where: str) -> None:
    (tmp_path / "here").mkdir()
    assert resolve(where)[0] == Path(where).expanduser()
    assert resolve(Path(REPO)) == (Path(REPO), "small-model")
    assert not stand_in.requests


def test_a_folder_of_the_name_goes_before_the_hub(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / REPO).mkdir(parents=True)
    assert resolve(REPO) == (Path(REPO), "small-model")
    assert not stand_in.requests


def test_the_demo_is_packaged_or_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "demo_folder", lambda: tmp_path)
    with pytest.raises(CheckpointError, match="no demonstration checkpoint"):
        resolve("demo")
    (tmp_path / "config.yaml").touch()
    assert resolve("demo") == (tmp_path, "demo")
