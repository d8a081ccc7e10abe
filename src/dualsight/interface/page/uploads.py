"""Files that visitors have dropped: on disk while they are looked at, each open to whoever holds its token."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from dualsight.errors import QueueFull, RequestTooLarge, UnreadableImage

_SWEEP_S = 60.0
_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file. name: the visitor's own word for it; the path has nothing of it."""

    path: Path
    name: str
    n_bytes: int


class Uploads:
    """All of them, in one folder that nobody else writes to. A token is 256 random bits: who has it may open the file.

    Changed in the event loop alone; `find` may be called from any thread.
    """

    def __init__(
        self,
        folder: Path,
        *,
        file_bytes: int,
        total_bytes: int,
        keep_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """file_bytes: of one file; total_bytes: of all; keep_s: since a file was last asked for."""
        self.file_bytes = file_bytes
        self._folder = folder
        self._total_bytes = total_bytes
        self._keep_s = keep_s
        self._clock = clock
        self._uploads: dict[str, Upload] = {}
        self._used: dict[str, float] = {}  # when each was last asked for
        self._held = 0  # bytes, those that are still arriving included

    async def receive(self, chunks: AsyncIterator[bytes], name: str) -> str:
        """Stores a file as it arrives; its token. Raises RequestTooLarge or QueueFull, and keeps nothing then."""
        token = secrets.token_urlsafe(32)
        path = self._folder / token
        n_bytes = 0
        try:
            with path.open("xb") as file:
                async for chunk in chunks:
                    n_bytes += len(chunk)
                    self._held += len(chunk)
                    self._check(n_bytes)
                    file.write(chunk)
        except BaseException:  # also where the visitor has left
            self._held -= n_bytes
            path.unlink(missing_ok=True)
            raise
        self._uploads[token] = Upload(path=path, name=name[:_NAME_LENGTH], n_bytes=n_bytes)
        self._used[token] = self._clock()
        return token

    def find(self, token: str) -> Upload:
        """The file. Raises UnreadableImage for a token of none, or of one that has been deleted."""
        upload = self._uploads.get(token)
        if upload is None:
            raise UnreadableImage("no longer here", source="the file", hint="files are deleted after a while: drop it")
        self._used[token] = self._clock()
        return upload

    def forget(self, token: str) -> None:
        """Deletes a file, if it is there."""
        upload = self._uploads.pop(token, None)
        if upload is not None:
            self._used.pop(token, None)
            self._held -= upload.n_bytes
            upload.path.unlink(missing_ok=True)

    def forget_old(self) -> None:
        """Deletes what nobody has asked for in a while."""
        now = self._clock()
        for token in [token for token, used in self._used.items() if now - used > self._keep_s]:
            self.forget(token)

    async def keep_sweeping(self) -> None:
        """Deletes old files until it is cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.forget_old()

    def _check(self, n_bytes: int) -> None:
        if n_bytes > self.file_bytes:
            raise RequestTooLarge(f"a file of more than {self.file_bytes:,} bytes", hint="choose a smaller one")
        if self._held > self._total_bytes:
            raise QueueFull("the files of all visitors leave no room", hint="try again in a moment")
