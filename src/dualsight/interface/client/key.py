"""Who asks: the key of a server, from the caller, the environment or the keyring."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from dualsight.errors import ConfigError
from dualsight.image.dicomweb.credentials import is_loopback

VARIABLE = "DUALSIGHT_KEY"
KEYRING_SERVICE = "dualsight"

_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, 2.1


def find_key(service: str, given: str | None, *, insecure: bool) -> str | None:
    """The key for a server, or None: the one given, or that of DUALSIGHT_KEY, or the keyring's (service "dualsight",
    user name HOST or HOST:PORT as in the address).

    Raises ConfigError for what is no key, for a keyring that cannot be read, and for a key that would travel
    unencrypted to another machine without the user's word (`insecure`).
    """
    key = given or os.environ.get(VARIABLE) or _from_keyring(urlsplit(service).netloc)
    if key is None:
        return None
    if not _BEARER.fullmatch(key):
        raise ConfigError("the key has characters that none has", hint="pass it as `dualsight keys add` printed it")
    if urlsplit(service).scheme == "http" and not is_loopback(service) and not insecure:
        raise ConfigError(
            f"{service}: no key is sent over plain http, where anybody on the way reads it",
            hint="use https://, or pass insecure=True if the way there is safe",
        )
    return key


def _from_keyring(where: str) -> str | None:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    try:
        return keyring.get_password(KEYRING_SERVICE, where) or None
    except keyring.errors.NoKeyringError:
        return None
    except keyring.errors.KeyringError as error:
        raise ConfigError(f"the keyring cannot be read ({type(error).__name__})", hint=f"set {VARIABLE}") from None
