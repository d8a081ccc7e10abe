"""Who may ask: keys with names, of which a file holds only the hashes, and the check of each request.

    # name  hash of the key
    ward7   sha256:9f86d08…

A key is 256 random bits, so that its plain hash gives nothing away and needs no salt.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from dualsight.errors import ConfigError, DualsightError, KeyRefused, MalformedRequest
from dualsight.interface.http.errors import refusal

OPEN_PATHS = ("/livez", "/readyz", "/health", "/openapi.json")  # for probes, and what is public anyway
_LINE = re.compile(r"(?P<name>[A-Za-z0-9_.-]{1,64})\s+sha256:(?P<hash>[0-9a-f]{64})")
_log = logging.getLogger(__name__)


def new_key() -> str:
    """A key that nobody has: 256 random bits as text."""
    return secrets.token_urlsafe(32)


def read_hashes(file: Path) -> dict[str, str]:
    """Name → hash of a key file. Raises ConfigError for a file that cannot be read, or a line that is no key."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file}: cannot be read ({type(error).__name__})", hint="`dualsight keys add NAME --file FILE` makes one"
        ) from None
    hashes: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigError(f"{file}, line {number}: not NAME sha256:HASH", hint="`dualsight keys add` writes it")
        if match["name"] in hashes:
            raise ConfigError(f"{file}, line {number}: the name {match['name']} comes twice")
        hashes[match["name"]] = match["hash"]
    return hashes


def add_key(hashes: dict[str, str], name: str, key: str) -> dict[str, str]:
    """`hashes` and the new key's. Raises ConfigError for a name that is taken, or that is no name."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        raise ConfigError(f"{name!r} is no name for a key", hint="letters, digits, _ . and -, at most 64")
    if name in hashes:
        raise ConfigError(f"there is a key {name} already", hint="to replace it, add one of another name first")
    return {**hashes, name: _hash(key)}


def as_text(hashes: dict[str, str]) -> str:
    """What a key file says."""
    return "# name  hash of the key\n" + "".join(f"{name}  sha256:{hashed}\n" for name, hashed in hashes.items())


class KeyFile:
    """The keys of a file as it is now: it is read again when it has changed."""

    def __init__(self, file: Path) -> None:
        """Raises ConfigError if it cannot be read, or has no key in it."""
        self._file = file
        self._seen = self._stamp()
        self._hashes = read_hashes(file)
        if not self._hashes:
            raise ConfigError(f"{file}: no key in it", hint="`dualsight keys add NAME --file FILE`")

    def name_of(self, key: str) -> str | None:
        """Whose key it is; None if nobody's. Takes the same time for any key."""
        self._reread()
        hashed = _hash(key)
        found = None
        for name, known in self._hashes.items():
            if hmac.compare_digest(known, hashed):
                found = name
        return found

    def _reread(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._hashes = read_hashes(self._file)
        except ConfigError as error:
            self._hashes = {}  # a key that was taken back must not work because the file has a mistake
            _log.error("no key is accepted until the key file is mended: %s", error)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


class KeyCheck:
    """Lets a request pass that has a known key, and notes its client's name; before its body is read.

    Without a key file everybody passes, and the client is the peer's address.
    """

    def __init__(self, app: ASGIApp, keys: KeyFile | None, local_only: bool) -> None:
        """local_only: only a Host that means this machine is answered, so that no page of a browser gets in."""
        self._app = app
        self._keys = keys
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            scope.setdefault("state", {})["client"] = self._client(scope)
        except DualsightError as error:
            await refusal(error, scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _client(self, scope: Scope) -> str:
        """Raises KeyRefused, or MalformedRequest for a head with two meanings."""
        headers = Headers(scope=scope)
        for name in ("authorization", "host", "content-length", "content-type", "transfer-encoding"):
            if len(headers.getlist(name)) > 1:
                raise MalformedRequest(f"more than one {name} header")
        if "content-length" in headers and "transfer-encoding" in headers:
            raise MalformedRequest("both content-length and transfer-encoding")
        if self._local_only and not _means_this_machine(headers.get("host", "")):
            raise MalformedRequest("the Host is not this machine", hint="start it with --keys to be reached by name")
        peer = scope["client"][0] if scope.get("client") else "unknown"
        if self._keys is None or scope["path"] in OPEN_PATHS:
            return str(peer)
        scheme, _, key = headers.get("authorization", "").partition(" ")
        owner = self._keys.name_of(key.strip()) if scheme.lower() == "bearer" else None
        if owner is None:
            raise KeyRefused("no key, or an unknown one", hint="send the header Authorization: Bearer KEY")
        return owner


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine, seen from itself."""
    return host in ("localhost", "::1") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))


def _means_this_machine(host_header: str) -> bool:
    host = host_header.rpartition(":")[0] if re.search(r":\d+$", host_header) else host_header
    return is_loopback(host.strip("[]").lower())


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
