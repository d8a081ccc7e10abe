"""Keys with names, in a file that holds only their hashes. Needs no library of the server's.

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
from collections.abc import Sequence
from pathlib import Path

from dualsight.errors import ConfigError

_HEAD = "# name  hash of the key\n"
_NAME = r"[A-Za-z0-9_.-]{1,64}"
_LINE = re.compile(rf"(?P<name>{_NAME})\s+sha256:(?P<hash>[0-9a-f]{{64}})")
_MAKE = "`dualsight keys add NAME --keys FILE` makes one"
_log = logging.getLogger(__name__)


def new_key() -> str:
    """A key that nobody has: 256 random bits as text."""
    return secrets.token_urlsafe(32)


def read_hashes(file: Path) -> dict[str, str]:
    """Name → hash of a key file. Raises ConfigError for a file that cannot be read, or a line that is no key."""
    return _hashes_in(_read_lines(file), file)


def add_key(file: Path, name: str, key: str) -> str:
    """What the file says with one key more; its lines stay as they are. The file need not be there yet.

    Raises ConfigError for a name that is taken, or that is no name, and as `read_hashes` does.
    """
    if not re.fullmatch(_NAME, name):
        raise ConfigError(f"{name!r} is no name for a key", hint="letters, digits, _ . and -, at most 64")
    lines = _read_lines(file) if file.exists() else [_HEAD]
    if name in _hashes_in(lines, file):
        raise ConfigError(f"there is a key {name} already", hint="to replace it, add one of another name first")
    before = "".join(lines)
    end = "" if not before or before.endswith("\n") else "\n"
    return f"{before}{end}{name}  sha256:{_hash(key)}\n"


def remove_key(file: Path, name: str) -> str:
    """What the file says without a key; its other lines stay as they are.

    Raises ConfigError where there is no such key, and as `read_hashes` does.
    """
    lines = _read_lines(file)
    if name not in _hashes_in(lines, file):
        raise ConfigError(f"{file}: no key {name}", hint="`dualsight keys list` shows the names")
    return "".join(line for line in lines if line.split()[:1] != [name])


def _read_lines(file: Path) -> list[str]:
    """The file's lines, each with its end."""
    try:
        return file.read_bytes().decode().splitlines(keepends=True)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})", hint=_MAKE) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: no text in UTF-8", hint=_MAKE) from None


def _hashes_in(lines: Sequence[str], file: Path) -> dict[str, str]:
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


class KeyFile:
    """The keys of a file as it is now: it is read again when it has changed."""

    def __init__(self, file: Path) -> None:
        """Raises ConfigError if it cannot be read, or has no key in it."""
        self._file = file
        self._seen = self._stamp()
        self._hashes = read_hashes(file)
        if not self._hashes:
            raise ConfigError(f"{file}: no key in it", hint="`dualsight keys add NAME --keys FILE`")

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


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
