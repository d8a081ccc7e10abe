"""Who may ask: keys with names, of which a file holds only the hashes, and the check of each request.

    # name  hash of the key
    ward7   sha256:9f86d08…

A key is 256 random bits, so that its plain hash gives nothing away and needs no salt.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
import secrets
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from dualsight.errors import ConfigError, DualsightError, KeyRefused, MalformedRequest, QueueFull
from dualsight.interface.http.errors import refusal

OPEN_PATHS = ("/livez", "/readyz", "/health", "/openapi.json")  # for probes, and what is public anyway
PAGE = "/ui"  # below it a browser is the client, and a key the password that it asks its user for
CROWDED = "crowded"  # in the state of a request that came on one connection too many
_LINE = re.compile(r"(?P<name>[A-Za-z0-9_.-]{1,64})\s+sha256:(?P<hash>[0-9a-f]{64})")
_MAKE = "`dualsight keys add NAME --file FILE` makes one"
_log = logging.getLogger(__name__)


def new_key() -> str:
    """A key that nobody has: 256 random bits as text."""
    return secrets.token_urlsafe(32)


def read_hashes(file: Path) -> dict[str, str]:
    """Name → hash of a key file. Raises ConfigError for a file that cannot be read, or a line that is no key."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})", hint=_MAKE) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: no text in UTF-8", hint=_MAKE) from None
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
            answer = refusal(error, scope["path"])
            if isinstance(error, MalformedRequest):
                answer.headers["Connection"] = "close"  # where its body ends nobody knows, nor what follows
            if isinstance(error, KeyRefused) and is_below(PAGE, scope["path"]):
                answer.headers["WWW-Authenticate"] = 'Basic realm="dualsight: any name, and the key", charset="UTF-8"'
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _client(self, scope: Scope) -> str:
        """Raises KeyRefused, MalformedRequest for a head with two meanings, or QueueFull on one connection too many."""
        headers = Headers(scope=scope)
        for name in ("authorization", "host", "content-length", "content-type", "transfer-encoding"):
            if len(headers.getlist(name)) > 1:
                raise MalformedRequest(f"more than one {name} header")
        if "content-length" in headers and "transfer-encoding" in headers:
            raise MalformedRequest("both content-length and transfer-encoding")
        if self._local_only and not _means_this_machine(headers.get("host", "")):
            raise MalformedRequest("the Host is not this machine", hint="start it with --keys to be reached by name")
        peer = scope["client"][0] if scope.get("client") else "unknown"
        if scope["path"] in OPEN_PATHS:
            return str(peer)
        if scope.get("state", {}).get(CROWDED):
            raise QueueFull("too many connections are open", hint="try again in a moment")
        if self._keys is None:
            return str(peer)
        key = _key_in(headers.get("authorization", ""), is_basic=is_below(PAGE, scope["path"]))
        owner = None if key is None else self._keys.name_of(key)
        if owner is None:
            raise KeyRefused("no key, or an unknown one", hint="send the header Authorization: Bearer KEY")
        return owner


def is_below(path: str, asked: str) -> bool:
    """Whether a request's path is `path` itself, or lies below it."""
    return asked == path or asked.startswith(f"{path}/")


def _key_in(authorization: str, *, is_basic: bool) -> str | None:
    """The key in a header; None where there is none. is_basic: it is a password, and not a token."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != ("basic" if is_basic else "bearer"):
        return None
    if not is_basic:
        return value.strip()
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except ValueError:  # no base64, or no UTF-8
        return None


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine, seen from itself."""
    return host in ("localhost", "::1") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))


def _means_this_machine(host_header: str) -> bool:
    host = host_header.rpartition(":")[0] if re.search(r":\d+$", host_header) else host_header
    return is_loopback(host.strip("[]").lower())


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
