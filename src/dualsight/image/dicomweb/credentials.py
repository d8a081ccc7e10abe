"""Who asks a DICOMweb server: from the environment or the keyring, never from a command line or an address."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from urllib.parse import urlsplit

from dualsight.errors import ConfigError

USER = "DUALSIGHT_DICOMWEB_USER"
PASSWORD = "DUALSIGHT_DICOMWEB_PASSWORD"  # noqa: S105 - its name, not the password
TOKEN = "DUALSIGHT_DICOMWEB_TOKEN"  # noqa: S105
INSECURE = "DUALSIGHT_DICOMWEB_INSECURE"
KEYRING_SERVICE = "dualsight"

HINT = f"set {USER} and {PASSWORD}, or {TOKEN}; or store them with `keyring set {KEYRING_SERVICE} HOST:PORT`"

_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, 2.1


def authorization(service: str) -> str | None:
    """The Authorization header for a service, an http(s) address; None without credentials.

    The first that is there: the variables of the environment, or the keyring's entry of service "dualsight" and user
    name HOST or HOST:PORT (as in the address), which is `user:password` or a bearer token.

    Raises ConfigError for half a pair, both forms at once, a token that cannot be one, a keyring that cannot be read,
    and for credentials that would travel unencrypted to another machine without the user's word
    (DUALSIGHT_DICOMWEB_INSECURE=1).
    """
    header = _from_environment() or _from_keyring(service)
    in_the_open = urlsplit(service).scheme == "http" and not is_loopback(service)
    if header and in_the_open and os.environ.get(INSECURE) != "1":
        raise ConfigError(
            f"{urlsplit(service).netloc}: no credentials are sent over plain http, where anybody on the way reads them",
            hint=f"use dicomweb+https://, or set {INSECURE}=1 if the way there is safe",
        )
    return header


def is_loopback(service: str) -> bool:
    """Whether an address is this machine's own, by its name alone: nothing is asked of a name server."""
    host = urlsplit(service).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _from_environment() -> str | None:
    user, password, token = (os.environ.get(name) for name in (USER, PASSWORD, TOKEN))
    if token and (user or password):
        raise ConfigError(f"both {TOKEN} and {USER} or {PASSWORD} are set", hint="unset what is not meant")
    if token:
        return _bearer(token, TOKEN)
    if not user and not password:
        return None
    if not user or password is None:
        raise ConfigError(f"{USER} and {PASSWORD} go together, and one is not set", hint=HINT)
    if ":" in user:
        raise ConfigError(f"{USER} has a colon in it, which a user name cannot have", hint="RFC 7617, section 2")
    return _basic(f"{user}:{password}")


def _from_keyring(service: str) -> str | None:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    where = urlsplit(service).netloc
    try:
        secret = keyring.get_password(KEYRING_SERVICE, where)
    except keyring.errors.NoKeyringError:
        return None
    except keyring.errors.KeyringError as error:
        raise ConfigError(f"the keyring cannot be read ({type(error).__name__})", hint=HINT) from None
    if not secret:
        return None
    return _basic(secret) if ":" in secret else _bearer(secret, f"the keyring's entry for {where}")


def _basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


def _bearer(token: str, where: str) -> str:
    if not _BEARER.fullmatch(token):
        raise ConfigError(f"{where} is no bearer token: it has characters that none has", hint="RFC 6750, section 2.1")
    return f"Bearer {token}"
