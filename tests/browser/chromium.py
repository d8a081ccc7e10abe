"""Chromium of Debian, headless, in a process of its own; and a proxy that sees whatever it would ask other machines."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

UNPACKED = Path(sys.prefix, "chromium")  # by `make .venv/.chromium`
DICTIONARY = "redirector.gvt1.com"  # where Chromium by itself fetches one for spelling; no switch turns that off
QUIET = (
    "--no-sandbox",  # tests may run as root
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--no-pings",
    "--component-updater=disable-pings,url-source=http://127.0.0.1:9/",  # Debian's asks all the same
    "--gaia-url=http://127.0.0.1:9/",
    # instead of Playwright's own list: what asks Google about forms, the time, translations, hints and devices
    "--disable-features=AutofillServerCommunication,NetworkTimeServiceQuerying,Translate,OptimizationHints,MediaRouter,"
    "HttpsUpgrades",
    f"--host-resolver-rules=MAP {DICTIONARY} ~NOTFOUND",
)


@contextmanager
def browsing(proxy: str) -> Iterator[Browser]:
    """A browser whose requests to any machine but this one go to `proxy`; that for a dictionary finds no address."""
    program, environment = _find()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program,
            env=environment,
            args=list(QUIET),
            proxy={"server": proxy, "bypass": f"127.0.0.1,{DICTIONARY}"},
        )
        try:
            yield browser
        finally:
            browser.close()


class Recorder:
    """A proxy that lets nothing through, and remembers what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                try:
                    self.asked.append(connection.recv(4096).partition(b"\r\n")[0].decode("latin-1"))
                    connection.sendall(b"HTTP/1.1 502 Recorded\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                except OSError:
                    self.asked.append("nothing said")


def _find() -> tuple[Path, dict[str, str | float | bool]]:
    """The program, and the environment in which it finds its libraries and letters."""
    own = UNPACKED / "usr/lib/chromium/chromium"
    if own.is_file():
        places = ("usr/lib/*-linux-gnu", "lib/*-linux-gnu", "usr/lib/*-linux-gnu/pulseaudio")
        libraries = [folder for place in places for folder in UNPACKED.glob(place)]
        found = {"LD_LIBRARY_PATH": ":".join(map(str, libraries)), "XDG_DATA_HOME": str(UNPACKED / "usr/share")}
        if (UNPACKED / "etc/fonts").is_dir():  # not where the machine has letters of its own
            found["FONTCONFIG_PATH"] = str(UNPACKED / "etc/fonts")
        return own, {**os.environ, **found}
    installed = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if installed is None:
        pytest.fail("no Chromium: `make .venv/.chromium` unpacks it on Debian; elsewhere install it as `chromium`")
    return Path(installed), dict(os.environ)
