"""A real DICOMweb server for a test: Orthanc of Debian, with its own folder, port, user and password."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

USER = "reader"
UNPACKED = Path(sys.prefix, "orthanc")  # by `make .venv/.orthanc`
PLUGIN = "usr/share/orthanc/plugins/libOrthancDicomWeb.so"
BOUNDARY = "dualsight-test"


@dataclass(frozen=True)
class Orthanc:
    """A running server. url: of its DICOMweb service, with http://."""

    url: str
    password: str = field(default_factory=secrets.token_urlsafe)

    def store(self, *files: Path) -> None:
        """Pushes DICOM files as they are (STOW-RS, PS3.18 10.5)."""
        parts = [
            b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % (BOUNDARY.encode(), file.read_bytes())
            for file in files
        ]
        answer = httpx2.post(
            f"{self.url}/studies",
            content=b"".join(parts) + b"--%s--\r\n" % BOUNDARY.encode(),
            headers={
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
                "Accept": "application/dicom+json",
            },
            auth=(USER, self.password),
            trust_env=False,
            timeout=60,
        )
        refused = answer.json().get("00081198", {}).get("Value", [])  # Failed SOP Sequence
        assert answer.status_code == 200 and not refused, answer.text


@contextmanager
def serving(folder: Path) -> Iterator[Orthanc]:
    """Orthanc answers until the block ends; what it stores and its log are in `folder`."""
    program, root = _find()
    orthanc = Orthanc(f"http://127.0.0.1:{_free_port()}/dicom-web")
    configuration = folder / "orthanc.json"
    configuration.touch(mode=0o600)
    configuration.write_text(json.dumps(_configuration(orthanc, folder, root)))
    with subprocess.Popen(
        [program, configuration], env=_environment(root), stderr=subprocess.PIPE, text=True
    ) as process:
        log = _Log(process)
        try:
            log.started.wait(60)
            if process.poll() is not None or not log.started.is_set():
                pytest.fail("Orthanc did not start:\n" + "".join(log.lines))
            yield orthanc
        finally:
            process.terminate()
            log.thread.join(60)


class _Log:
    """What a process says, read all the time; its last words are kept."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: deque[str] = deque(maxlen=50)
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._read, args=(process,))
        self.thread.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stderr or ():
            self.lines.append(line)
            if "Orthanc has started" in line:
                self.started.set()
        self.started.set()  # it has ended: nothing is left to wait for


def _find() -> tuple[Path, Path]:
    """The program, and the root under which its plugin lies."""
    installed = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    for program, root in ((UNPACKED / "usr/sbin/Orthanc", UNPACKED), (Path(installed or ""), Path("/"))):
        if program.is_file() and (root / PLUGIN).is_file():
            return program, root
    pytest.fail(
        "no Orthanc: `make .venv/.orthanc` unpacks it on Debian; elsewhere install Orthanc and its DICOMweb plugin"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _configuration(orthanc: Orthanc, folder: Path, root: Path) -> dict[str, object]:
    return {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": httpx2.URL(orthanc.url).port,
        "HttpBindAddresses": ["127.0.0.1"],  # unknown to Debian 12's 1.10.1: it refuses other machines by the next line
        "RemoteAccessAllowed": False,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: orthanc.password},
        "Plugins": [str(root / PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }


def _environment(root: Path) -> dict[str, str]:
    """Where its libraries and dictionary are, if they are not the machine's."""
    libraries = ":".join(map(str, root.glob("usr/lib/*-linux-gnu")))
    dictionaries = ":".join(map(str, root.glob("usr/share/libdcmtk*/dicom.dic")))
    return (
        dict(os.environ)
        if root == Path("/")
        else os.environ | {"LD_LIBRARY_PATH": libraries, "DCMDICTPATH": dictionaries}
    )
