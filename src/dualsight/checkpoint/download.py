"""One file of a hub's repository, downloaded: beside its place, taken up again where an earlier attempt broke off,
compared with the hash that the hub lists, and only then named.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dualsight.checkpoint.weights import sha256
from dualsight.errors import DownloadError

_PLACES = "another folder with -o, or another cache with HF_HUB_CACHE"

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


def endpoint() -> str | None:
    """The hub's address, where the environment names another than the usual one."""
    return os.environ.get("HF_ENDPOINT") or None


def is_here(file: RemoteFile, path: Path, *, check: bool) -> bool:
    """Whether a file of that name is there; with `check` also, whether its content is what the hub lists."""
    return path.exists() and (not check or _is(file, path))


@contextmanager
def turn(hub: Any, lock: Path, *, leave_lock: bool) -> Generator[None, None, None]:
    """A turn at a file that other processes may download at the same time; they wait. Raises DownloadError.

    leave_lock: whether the lock's own, empty file stays. Otherwise it goes while the turn still lasts: who waits for
    it sees that it has gone, and makes another.
    """
    with ExitStack() as held:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(hub.utils.WeakFileLock(lock))
        except OSError as error:
            raise _unwritable(lock.parent, error) from error
        try:
            yield
        finally:
            if not leave_lock:
                with suppress(OSError):  # where open files cannot be removed
                    lock.unlink()


def download(hub: Any, repo_id: str, commit: str, file: RemoteFile, target: Path) -> None:
    """`file` at `target`, whole and of the right hash, in place of what is there. Raises DownloadError."""
    part = target.with_name(f"{target.name}.part")
    url = hub.hf_hub_url(repo_id, file.name, revision=commit, endpoint=endpoint())
    headers = hub.utils.build_hf_headers(library_name="dualsight")
    try:
        if target.exists():
            logger.warning("%s: another hash than the hub lists for %s; downloaded again", target, file.name)
            target.unlink()
        target.parent.mkdir(parents=True, exist_ok=True)
        have = part.stat().st_size if part.exists() else 0
        if have > file.size:
            part.unlink()
            have = 0
        _check_space(target.parent, file.size - have, file)
        sink = part.open("ab")
    except OSError as error:
        raise _unwritable(target.parent, error) from error
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
        raise refused(f"{repo_id}/{file.name}", commit, error) from error
    except Exception as error:  # of the transport library, which changes with huggingface_hub's version; or of the disk
        have = part.stat().st_size if part.exists() else 0
        raise DownloadError(
            f"{repo_id}: {file.name}: {error.__class__.__name__} after {have:,} of {file.size:,} bytes",
            hint="try again: what is here is kept, and the rest fetched",
        ) from error
    if not _is(file, part):
        part.unlink()
        raise DownloadError(
            f"{repo_id}: {file.name}: downloaded, but its hash is not the one that the hub lists ({file.etag})",
            hint="try again; if it stays so, something between here and the hub changes files",
        )
    part.replace(target)


def refused(repo_id: str, revision: str | None, error: Any) -> DownloadError:
    """What a hub's answer that is no file says."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    hints = {
        401: "no such repository, or a private one: log in with `hf auth login`, or set HF_TOKEN",
        403: "its terms must be accepted on its page, or the token has no access",
        404: "is the name right? A path that does not exist here is taken for a hub id",
    }
    return DownloadError(
        f"{named(repo_id, revision)}: the hub answers {status} ({error.__class__.__name__})",
        hint=hints.get(status, "try again later"),
    )


def named(repo_id: str, revision: str | None) -> str:
    """A repository as the user has named it."""
    return repo_id if revision is None else f"{repo_id}@{revision}"


def _is(file: RemoteFile, path: Path) -> bool:
    """Whether the content is what the hub lists."""
    if file.sha256 is not None:
        return path.stat().st_size == file.size and sha256(path) == file.sha256
    content = path.read_bytes()
    listed = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return listed == file.git_id


def _check_space(folder: Path, needed: int, file: RemoteFile) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"{file.name} needs {needed:,} bytes, and {folder} has {free:,} free",
            hint=f"free some space, or name {_PLACES}",
        )


def _unwritable(folder: Path, error: OSError) -> DownloadError:
    return DownloadError(f"{folder}: cannot be written ({error.strerror})", hint=f"name {_PLACES}")
