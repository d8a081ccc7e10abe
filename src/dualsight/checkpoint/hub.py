"""Checkpoints from a Hugging Face hub, and what a user may give as a checkpoint's place.

Files land in huggingface_hub's own cache, or in a folder of the user's.
Nothing here touches the network unless a hub id was given.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from dualsight.checkpoint.download import RemoteFile, download, endpoint, is_here, named, refused, turn
from dualsight.checkpoint.layout import (
    CONFIG,
    LANGUAGE_FOLDER,
    SUFFIXES,
    TOKENIZER_FILES,
    WEIGHTS,
    WEIGHTS_FOLDER,
    demo_folder,
    locate,
)
from dualsight.errors import CheckpointError, DownloadError

OFFICIAL_REPO = "lion-ai/MedImageInsights"
OFFICIAL_SHA256 = "5eeda63bf616a61664bc95b2c09d3b3d7125209e635678bd3f5f324e9bdb1414"
OFFICIAL_SIZE = 2_464_060_700  # bytes

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_ID = re.compile(rf"(?P<repo>{_REPO.pattern})(?:@(?P<revision>[\w./-]+))?")
_TOKENIZER_EXTRAS = ("tokenizer_config.json", "special_tokens_map.json")

logger = logging.getLogger(__name__)


def resolve(where: str | Path) -> tuple[Path, str]:
    """A path to a checkpoint, and its name: of "demo", of a path, or of a hub id, which may be downloaded.

    A string of the form "owner/name" or "owner/name@revision" is a hub id unless it, or its first part, exists as
    a path. Raises CheckpointError if there is no demo in this installation, DownloadError as `pull` does.
    """
    if where == "demo":
        if not (demo_folder() / CONFIG).is_file():
            raise CheckpointError(
                f"{demo_folder()}: this installation has no demonstration checkpoint",
                hint="`make demo-checkpoint` trains it; or give the path of a checkpoint",
            )
        return demo_folder(), "demo"
    path = Path(where).expanduser()
    hub_id = _HUB_ID.fullmatch(where) if isinstance(where, str) else None
    local = path.exists() or Path(path.parts[0] if path.parts else ".").is_dir() or path.suffix in SUFFIXES
    if hub_id and not local:
        return pull(hub_id["repo"], revision=hub_id["revision"], check_cached=False), str(where)
    return path, path.resolve().name


def pull(
    repo_id: str = OFFICIAL_REPO,
    *,
    revision: str | None = None,
    folder: Path | None = None,
    check_cached: bool = True,
) -> Path:
    """The folder of a hub repository's checkpoint, downloaded where it is not here yet.

    `folder` None: huggingface_hub's cache. `check_cached`: files that are here are hashed again, too. The endpoint,
    the cache and offline work are the environment's (HF_ENDPOINT, HF_HOME or HF_HUB_CACHE, HF_HUB_OFFLINE).
    Raises DownloadError: offline or unreachable and not cached, no such repository or revision, no checkpoint in it,
    another hash than the hub lists (or, for the official weights, than is published), a full disk.
    """
    if not _REPO.fullmatch(repo_id):
        raise DownloadError(f"{repo_id!r} is not a hub id", hint='"owner/name", as in the address of its page')
    hub = _library()
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        if folder is not None:
            raise DownloadError(
                f"{named(repo_id, revision)}: HF_HUB_OFFLINE is set, so nothing can be downloaded to {folder}",
                hint="unset it; or without a folder, what is cached is used where it lies",
            )
        return _cached_or_raise(hub, repo_id, revision, "HF_HUB_OFFLINE is set", None)
    api = hub.HfApi(endpoint=endpoint(), library_name="dualsight")
    try:
        info = api.model_info(repo_id, revision=revision, files_metadata=True)
    except hub.errors.HfHubHTTPError as error:
        raise refused(repo_id, revision, error) from error
    except Exception as error:  # of the transport library, which changes with huggingface_hub's version
        if folder is not None:
            raise _unreachable(repo_id, error) from error
        why = f"the hub cannot be reached ({error.__class__.__name__})"
        return _cached_or_raise(hub, repo_id, revision, why, error)
    home, files = _needed(repo_id, [_remote(sibling) for sibling in info.siblings or ()])
    _fetch(hub, repo_id, str(info.sha), files, folder, check_cached)
    root = _linked(hub, repo_id, str(info.sha), revision, files) if folder is None else folder
    return locate(root / home).folder


def _library() -> Any:
    """huggingface_hub, imported on first use; it sends no telemetry for us."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for part in ("errors", "file_download"):
        import_module(f"huggingface_hub.{part}")
    return import_module("huggingface_hub")


def _cache(hub: Any) -> Path:
    return Path(os.environ.get("HF_HUB_CACHE") or hub.constants.HF_HUB_CACHE)


def _remote(sibling: Any) -> RemoteFile:
    return RemoteFile(
        name=sibling.rfilename,
        size=sibling.size if sibling.lfs is None else sibling.lfs.size,
        sha256=None if sibling.lfs is None else sibling.lfs.sha256,
        git_id=sibling.blob_id,
    )


def _needed(repo_id: str, files: Iterable[RemoteFile]) -> tuple[PurePosixPath, list[RemoteFile]]:
    """The checkpoint's folder in the repository, and its files: config, one weight file, tokenizer."""
    by_name = {PurePosixPath(file.name): file for file in files if ".." not in PurePosixPath(file.name).parts}
    configs = [path for path in by_name if path.name == CONFIG and not path.is_absolute()]
    if len(configs) != 1:
        raise DownloadError(f"{repo_id}: {len(configs)} files named {CONFIG}, and a checkpoint has one")
    home = configs[0].parent
    weights = [path for path in by_name if path.parent == home / WEIGHTS_FOLDER and path.suffix in SUFFIXES]
    weights = weights or [path for path in by_name if path.parent == home and path.suffix == ".safetensors"]
    if len(weights) != 1:
        raise DownloadError(f"{repo_id}: {len(weights)} weight files beside {configs[0]}, and a checkpoint has one")
    words = [
        path
        for path in by_name
        if path.name in TOKENIZER_FILES + _TOKENIZER_EXTRAS
        and (path.parent == home or path.parent.parent == home / LANGUAGE_FOLDER)
    ]
    weight_file = by_name[weights[0]]
    official = repo_id == OFFICIAL_REPO and weights[0].name == PurePosixPath(WEIGHTS).name
    if official and weight_file.sha256 != OFFICIAL_SHA256:
        raise DownloadError(
            f"{repo_id}: the hub lists {weights[0].name} with sha256 {weight_file.sha256}",
            hint=f"published is {OFFICIAL_SHA256}: another revision, or not the official weights",
        )
    return home, [by_name[path] for path in (*configs, *words, *weights)]


def _fetch(
    hub: Any, repo_id: str, commit: str, files: list[RemoteFile], folder: Path | None, check_cached: bool
) -> None:
    """Each file in its place in the cache or in `folder`, downloaded where it is not there yet.

    By one process while the others that want it wait. In the cache the lock is huggingface_hub's own of that file; in
    a folder it lies beside the file for the time, so that who shares the folder over a network waits as well.
    """
    repo = str(hub.file_download.repo_folder_name(repo_id=repo_id, repo_type="model"))
    for file in files:
        if folder is None:
            target = _cache(hub) / repo / "blobs" / file.etag
            lock = _cache(hub) / ".locks" / repo / f"{file.etag}.lock"
        else:
            target = folder / file.name
            lock = target.with_name(f"{target.name}.lock")
        check = check_cached or folder is not None
        if is_here(file, target, check=check):  # so a place that cannot be written will do
            continue
        with turn(hub, lock, leave_lock=folder is None):
            if not is_here(file, target, check=check):  # another process may have fetched it meanwhile
                download(hub, repo_id, commit, file, target)


def _linked(hub: Any, repo_id: str, commit: str, revision: str | None, files: list[RemoteFile]) -> Path:
    """The snapshot's folder in the cache, its files linked to the blobs; the branch is noted last."""
    options = {"endpoint": endpoint(), "cache_dir": _cache(hub), "library_name": "dualsight"}
    try:
        paths = [Path(hub.hf_hub_download(repo_id, file.name, revision=commit, **options)) for file in files]
        hub.hf_hub_download(repo_id, files[0].name, revision=revision, **options)
    except Exception as error:  # of the transport library, as in pull
        raise _unreachable(repo_id, error) from error
    return paths[-1].parents[len(PurePosixPath(files[-1].name).parts) - 1]


def _cached_or_raise(hub: Any, repo_id: str, revision: str | None, why: str, error: Exception | None) -> Path:
    """The checkpoint in the cache, without the network."""
    try:
        root = hub.snapshot_download(repo_id, revision=revision, cache_dir=_cache(hub), local_files_only=True)
        folder = locate(Path(root)).folder
    except (hub.errors.LocalEntryNotFoundError, CheckpointError) as missing:
        raise DownloadError(
            f"{named(repo_id, revision)}: {why}, and it is not whole in the cache ({_cache(hub)})",
            hint="`dualsight pull` with a connection, or give the path of a folder",
        ) from (error or missing)
    level = logging.INFO if error is None else logging.WARNING  # offline work is wished for, a broken line is not
    logger.log(level, "%s: %s; the cached copy is used: %s", repo_id, why, folder)
    return folder


def _unreachable(repo_id: str, error: Exception) -> DownloadError:
    return DownloadError(
        f"{repo_id}: the hub cannot be reached ({error.__class__.__name__})",
        hint="is there a connection, a proxy, HF_ENDPOINT? A folder on disk needs none",
    )
