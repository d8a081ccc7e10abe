"""Sockets and processes: one application in this process, or several workers on one socket.

socket ──▶ supervisor ──▶ worker, worker, …   each with the model mapped from the same file
           (uvicorn's: a worker that dies is replaced; SIGHUP replaces them one by one)
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import ssl
import tempfile
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from dualsight.errors import ConfigError
from dualsight.image.quiet import be_quiet
from dualsight.interface.http import logs
from dualsight.interface.http.app import Settings, create_app, load_all, open_index
from dualsight.interface.http.connection import Connection
from dualsight.interface.http.key_file import KeyFile
from dualsight.interface.http.keys import is_loopback
from dualsight.interface.http.metrics import SHARED_FOLDER

DRAIN_S = 10  # beyond the deadline, for answers to be sent
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server listens, and with how many processes."""

    host: str = "127.0.0.1"
    port: int = 8000  # 0: any that is free; the log says which
    workers: int = 1
    tls_cert: Path | None = None
    tls_key: Path | None = None


def check(place: Place, settings: Settings, *, insecure: bool) -> None:
    """Raises DualsightError for a server that should not start: what is wrong is told here, not by each worker.

    That is one that others could reach and that asks for no key, half of a TLS pair, or what cannot be loaded.
    """
    if not is_loopback(place.host) and settings.keys is None and not insecure:
        raise ConfigError(
            f"{place.host} can be reached by others, and no key is asked for",
            hint="--keys FILE (`dualsight keys add NAME --keys FILE` makes it), or --insecure",
        )
    if (place.tls_cert is None) != (place.tls_key is None):
        raise ConfigError("TLS needs both a certificate and a key", hint="--tls-cert FILE --tls-key FILE")
    if place.tls_cert is not None and place.tls_key is not None:
        _check_tls(place.tls_cert, place.tls_key)
    if settings.keys is not None:
        KeyFile(settings.keys)
    if settings.page and place.workers > 1:
        raise ConfigError("the page needs one worker: a visitor's requests must meet", hint="leave --workers out")
    model, _ = load_all(settings)
    open_index(settings, model)


def _check_tls(cert: Path, key: Path) -> None:
    """Raises ConfigError unless these are a certificate and its key."""
    for file in (cert, key):
        if not file.is_file():
            raise ConfigError(f"{file}: no such file", hint="both are PEM files")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except ssl.SSLError:
        raise ConfigError(f"{cert} and {key} are no certificate and its key", hint="both are PEM files") from None
    except OSError as error:
        raise ConfigError(f"{cert} and {key}: cannot be read ({error.strerror})", hint="both are PEM files") from None


def serve(place: Place, settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; then takes no more connections and answers what it has accepted."""
    with _bound(place) as listener:
        config = _config(place, settings)
        config.configure_logging()
        scheme = "https" if place.tls_cert else "http"
        address = f"[{place.host}]" if ":" in place.host else place.host
        url = f"{scheme}://{address}:{listener.getsockname()[1]}"
        _log.info("serving", extra={"fields": {"url": url, "model": settings.model, "workers": place.workers}})
        if place.workers == 1:
            uvicorn.Server(config).run([listener])
            return
        with tempfile.TemporaryDirectory(prefix="dualsight-metrics-") as folder:
            os.environ[SHARED_FOLDER] = folder  # read by the workers when they import prometheus_client
            Multiprocess(config, [listener]).run()


def _bound(place: Place) -> socket.socket:
    """The socket; it takes connections once a worker listens. Raises ConfigError where the place is taken."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((place.host, place.port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"{place.host}, port {place.port}: cannot be listened on ({error.strerror or error})",
            hint="--port 0 takes one that is free",
        ) from None
    listener.set_inheritable(True)
    return listener


def _application(settings: Settings) -> FastAPI:
    """The application. A worker ends with its supervisor: left alone, it would hold the socket for ever."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:

        def follow() -> None:
            supervisor.join()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=follow, daemon=True).start()
    be_quiet()  # to switch the noise off and on again takes a tenth of the time in which a picture is opened
    return create_app(settings)


def _config(place: Place, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        partial(_application, settings),
        factory=True,
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=logs.CONFIG,
        access_log=False,
        workers=place.workers,
        proxy_headers=False,  # a client's word about its address is no address
        server_header=False,
        limit_concurrency=settings.limits.connections,
        timeout_graceful_shutdown=round(settings.limits.deadline_s) + DRAIN_S,
        timeout_worker_healthcheck=60,  # loading and long encodings are no death
        ssl_certfile=place.tls_cert,
        ssl_keyfile=place.tls_key,
    )
