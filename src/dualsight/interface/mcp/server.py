"""Tools → an MCP server, on stdio or on HTTP."""

from __future__ import annotations

import functools
import inspect
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import ToolAnnotations
from starlette.applications import Starlette

from dualsight import __version__
from dualsight.errors import ConfigError, DualsightError
from dualsight.interface.http.connection import Connection
from dualsight.interface.http.key_file import KeyFile
from dualsight.interface.http.keys import KeyCheck

CONNECTIONS = 64
GRACE_S = 10  # for calls in hand, once it is told to stop
_READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_INSTRUCTIONS = (
    "Medical images and texts in one embedding space (MedImageInsight). Research software: no output is a diagnosis, "
    "and none replaces a clinician. Begin with describe_model, which says where files may lie and what to say with "
    "every answer."
)


def build_server(tools: Iterable[Callable[..., Any]], notice: str = "") -> MCPServer[None]:
    """A server of these tools, which only read. Each is a typed function whose docstring is for agents.

    A DualsightError in one is told to the agent, with what to do; what else may be raised, only to the operator's log.
    notice: what to say with the model's answers.
    """
    server: MCPServer[None] = MCPServer(
        "dualsight",
        version=__version__,
        instructions=f"{_INSTRUCTIONS} {notice}".strip(),
        log_level="WARNING",  # at INFO the library writes the names of files that cannot be read
    )
    for tool in tools:
        server.add_tool(_telling(tool), description=inspect.getdoc(tool), annotations=_READ_ONLY)
    return server


def http_app(server: MCPServer[None], names: Iterable[str]) -> Starlette:
    """The server at /mcp, for requests to these names only: a page in somebody's browser cannot reach it by another
    (DNS rebinding). No call depends on an earlier one, so no session is kept.
    """
    names = list(names)
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[host for name in names for host in (name, f"{name}:*")],
        allowed_origins=[
            f"{scheme}://{name}{port}" for name in names for scheme in ("http", "https") for port in ("", ":*")
        ],
    )
    return server.streamable_http_app(stateless_http=True, json_response=True, transport_security=security)


def serve_http(server: MCPServer[None], *, host: str, port: int, keys: Path | None, names: Iterable[str]) -> None:
    """Serves until the process is told to stop, and says its address first on stderr. keys: see `KeyFile`.

    Raises ConfigError for an address that cannot be listened on, and for a key file as `KeyFile` does.
    """
    app = KeyCheck(http_app(server, names), None if keys is None else KeyFile(keys), local_only=False)
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"{host}, port {port}: cannot be listened on ({error.strerror})", hint="--port 0 takes any that is free"
        ) from None
    shown = f"[{host}]" if ":" in host else host
    print(f"listening on http://{shown}:{listener.getsockname()[1]}/mcp", file=sys.stderr, flush=True)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # a client's word about its address is no address
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _telling(tool: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(tool)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return tool(*arguments, **named)
        except DualsightError as error:
            raise ToolError(f"{error}. Hint: {error.hint}" if error.hint else str(error)) from None

    return call
