"""Checkpoints from a Hugging Face hub, and what a user may give as a checkpoint's place.

Files land in huggingface_hub's own cache (or in a folder of the user's): each is downloaded beside its place, taken
up again where an earlier attempt broke off, compared with the hash that the hub lists, and only then named.
Nothing here touches the network unless a hub id was given.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

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
from dualsight.checkpoint.weights import sha256
from dualsight.errors import CheckpointError, DownloadError

OFFICIAL_REPO = "lion-ai/MedImageInsights"
OFFICIAL_SHA256 = "5eeda63bf616a61664bc95b2c09d3b3d7125209e635678bd3f5f324e9bdb1414"
OFFICIAL_SIZE = 2_464_060_700  # bytes

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_ID = re.compile(rf"(?P<repo>{_REPO.pattern})(?:@(?P<revision>[\w./-]+))?")
_PLACES = "another folder with -o, or another cache with HF_HUB_CACHE"
_TOKENIZER_EXTRAS = ("tokenizer_config.json", "special_tokens_map.json")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository, as the hub lists it."""

    name: str  # path in the repository
    size: int
    sha256: str | None  # of a large file
    git_id: str | None  # of a small one: SHA-1 with git's prefix

    @property
    def etag(self) -> str:
        """The name that huggingface_hub's cache gives the content."""
        return self.sha256 or self.git_id or ""


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
        return _cached_or_raise(hub, repo_id, revision, "HF_HUB_OFFLINE is set", None)
    api = hub.HfApi(endpoint=_endpoint(), library_name="dualsight")
    try:
        info = api.model_info(repo_id, revision=revision, files_metadata=True)
    except hub.errors.HfHubHTTPError as error:
        raise _refused(repo_id, revision, error) from error
    except Exception as error:  # of the transport library, which changes with huggingface_hub's version
        if folder is not None:
            raise _unreachable(repo_id, error) from error
        return _cached_or_raise(hub, repo_id, revision, f"the hub cannot be reached ({_kind(error)})", error)
    home, files = _needed(repo_id, [_remote(sibling) for sibling in info.siblings or ()])
    for file in files:
        target = _blobs(hub, repo_id) / file.etag if folder is None else folder / file.name
        _download(hub, repo_id, str(info.sha), file, target, check_present=check_cached or folder is not None)
    root = _linked(hub, repo_id, str(info.sha), revision, files) if folder is None else folder
    return locate(root / home).folder


def _library() -> Any:
    """huggingface_hub, imported on first use; it sends no telemetry for us."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for part in ("errors", "file_download"):
        import_module(f"huggingface_hub.{part}")
    return import_module("huggingface_hub")


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _cache(hub: Any) -> Path:
    return Path(os.environ.get("HF_HUB_CACHE") or hub.constants.HF_HUB_CACHE)


def _blobs(hub: Any, repo_id: str) -> Path:
    return _cache(hub) / str(hub.file_download.repo_folder_name(repo_id=repo_id, repo_type="model")) / "blobs"


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


def _download(hub: Any, repo_id: str, commit: str, file: RemoteFile, target: Path, *, check_present: bool) -> None:
    """`file` at `target`, whole and of the right hash."""
    if target.exists():
        if not check_present or _is(file, target):
            return
        logger.warning("%s: another hash than the hub lists for %s; downloaded again", target, file.name)
        target.unlink()
    part = target.with_name(f"{target.name}.part")
    url = hub.hf_hub_url(repo_id, file.name, revision=commit, endpoint=_endpoint())
    headers = hub.utils.build_hf_headers(library_name="dualsight")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        have = part.stat().st_size if part.exists() else 0
        if have > file.size:
            part.unlink()
            have = 0
        _check_space(target.parent, file.size - have, file)
        sink = part.open("ab")
    except OSError as error:
        raise DownloadError(f"{target.parent}: cannot be written ({error.strerror})", hint=f"name {_PLACES}") from error
    try:
        with sink:
            hub.file_download.http_get(
                url,
                sink,
                resume_size=have,
                headers={**headers, "Accept-Encoding": "identity"},
                expected_size=file.size,
                displayed_filename=PurePosixPath(file.name).name,
            )
    except hub.errors.HfHubHTTPError as error:
        raise _refused(f"{repo_id}/{file.name}", commit, error) from error
    except Exception as error:  # of the transport library, as in pull; or of the disk
        have = part.stat().st_size if part.exists() else 0
        raise DownloadError(
            f"{repo_id}: {file.name}: {_kind(error)} after {have:,} of {file.size:,} bytes",
            hint="try again: what is here is kept, and the rest fetched",
        ) from error
    if not _is(file, part):
        part.unlink()
        raise DownloadError(
            f"{repo_id}: {file.name}: downloaded, but its hash is not the one that the hub lists ({file.etag})",
            hint="try again; if it stays so, something between here and the hub changes files",
        )
    part.replace(target)


def _is(file: RemoteFile, path: Path) -> bool:
    """Whether the content is what the hub lists."""
    if file.sha256 is not None:
        return path.stat().st_size == file.size and sha256(path) == file.sha256
    content = path.read_bytes()
    named = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return named == file.git_id


def _check_space(folder: Path, needed: int, file: RemoteFile) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"{file.name} needs {needed:,} bytes, and {folder} has {free:,} free",
            hint=f"free some space, or name {_PLACES}",
        )


def _linked(hub: Any, repo_id: str, commit: str, revision: str | None, files: list[RemoteFile]) -> Path:
    """The snapshot's folder in the cache, its files linked to the blobs; the branch is noted last."""
    options = {"endpoint": _endpoint(), "cache_dir": _cache(hub), "library_name": "dualsight"}
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
            f"{_named(repo_id, revision)}: {why}, and it is not whole in the cache ({_cache(hub)})",
            hint="`dualsight pull` with a connection, or give the path of a folder",
        ) from (error or missing)
    level = logging.INFO if error is None else logging.WARNING  # offline work is wished for, a broken line is not
    logger.log(level, "%s: %s; the cached copy is used: %s", repo_id, why, folder)
    return folder


def _refused(repo_id: str, revision: str | None, error: Any) -> DownloadError:
    status = getattr(getattr(error, "response", None), "status_code", 0)
    hints = {
        401: "no such repository, or a private one: log in with `hf auth login`, or set HF_TOKEN",
        403: "its terms must be accepted on its page, or the token has no access",
        404: "is the name right? A path that does not exist here is taken for a hub id",
    }
    return DownloadError(
        f"{_named(repo_id, revision)}: the hub answers {status} ({_kind(error)})",
        hint=hints.get(status, "try again later"),
    )


def _unreachable(repo_id: str, error: Exception) -> DownloadError:
    return DownloadError(
        f"{repo_id}: the hub cannot be reached ({_kind(error)})",
        hint="is there a connection, a proxy, HF_ENDPOINT? A folder on disk needs none",
    )


def _named(repo_id: str, revision: str | None) -> str:
    return repo_id if revision is None else f"{repo_id}@{revision}"


def _kind(error: BaseException) -> str:
    return error.__class__.__name__
