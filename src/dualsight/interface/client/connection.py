"""How both clients reach a server: its address, their settings, and what a failed connection is called."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dualsight.errors import ConfigError, MissingExtra, ServiceError
from dualsight.image.dicomweb.credentials import is_loopback
from dualsight.interface.client.exchange import Reply, Request

if TYPE_CHECKING:
    import httpx2

TIMEOUT_S = 60.0  # of silence
PATIENCE_S = 60.0  # of waiting for a busy server


def check_address(base_url: str) -> str:
    """The address without a slash at its end. Raises ConfigError for what is no http(s) address of a server."""
    parts = None
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if parts is None or not usable:
        raise ConfigError("no http(s) address of a server", hint="for example http://127.0.0.1:8000")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(
            "an address has no user, query or fragment here", hint="pass the key as key=…, or set DUALSIGHT_KEY"
        )
    return base_url.rstrip("/")


def settings(service: str, key: str | None, timeout_s: float) -> dict[str, Any]:
    """What httpx2.Client and httpx2.AsyncClient are made with. Raises MissingExtra without httpx2."""
    try:
        import httpx2
    except ImportError as error:
        raise MissingExtra(f"a client needs {error.name}", hint="pip install 'dualsight[client]'") from None
    return {
        "base_url": service,
        "headers": {"Authorization": f"Bearer {key}"} if key else None,
        "timeout": httpx2.Timeout(timeout_s, pool=None),
        # shorter than the server keeps an idle connection (5 s), which may close while it is being used again
        "limits": httpx2.Limits(keepalive_expiry=2.0),
        # a proxy is another machine: what is meant for this one does not go there
        "trust_env": not is_loopback(service),
    }


def arguments(request: Request) -> dict[str, Any]:
    """What a request is to httpx2. Files are numbered: their names stay with the user."""
    files = [("images", (str(index), content)) for index, content in enumerate(request.files)]
    return {
        "method": request.method,
        "url": request.path,
        "json": request.document,
        "data": {name: list(values) for name, values in request.fields.items()},
        "files": files or None,
    }


def reply_of(response: httpx2.Response) -> Reply:
    """A response, its body read, without its library."""
    return Reply(status=response.status_code, retry_after=response.headers.get("Retry-After"), body=response.content)


@contextmanager
def translated(service: str, timeout_s: float) -> Generator[None, None, None]:
    """What httpx2 raises in the block is a ServiceError."""
    import httpx2

    try:
        yield
    except httpx2.TimeoutException:
        raise ServiceError(
            f"no answer within {timeout_s:g} s", service=service, hint="pass a longer timeout_s"
        ) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ServiceError(
            f"cannot be reached, or broke off ({type(error).__name__})",
            service=service,
            hint="is `dualsight serve` running there?",
        ) from error
