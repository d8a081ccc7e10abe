"""What this machine and this installation offer. Looks, and changes nothing."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from dualsight import __version__

OFFLINE = ("HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """An optional part of the package."""

    name: str
    installed: bool
    packages: tuple[str, ...]

    @property
    def command(self) -> str:
        """What installs it."""
        return f"pip install 'dualsight[{self.name}]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """The packaged demonstration checkpoint; `problem` says why it cannot be used."""

    folder: str
    fingerprint: str | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything that `doctor` tells. Sizes in bytes; None where the system does not say."""

    dualsight: str
    python: str
    system: str
    torch: str
    threads: int
    cpus: int
    devices: tuple[str, ...]
    engine: str
    extras: tuple[Extra, ...]
    codecs: dict[str, tuple[str, ...]]
    memory_total: int | None
    memory_available: int | None
    disk_free: dict[str, int]
    demo: Demo
    cache: str
    variables: dict[str, str]


def look() -> Machine:
    """Looks at everything; imports torch and pydicom."""
    import torch

    from dualsight.engine.memory import memory

    cache = hub_cache()
    total, available = memory()
    return Machine(
        dualsight=__version__,
        python=f"{platform.python_version()} ({sys.executable})",
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        devices=devices(),
        engine=f"torch {torch.__version__.split('+')[0]}, float32, cpu",
        extras=extras(),
        codecs=codecs(),
        memory_total=total,
        memory_available=available,
        disk_free={str(folder): shutil.disk_usage(_existing(folder)).free for folder in (Path.cwd(), cache)},
        demo=demo(),
        cache=str(cache),
        variables={name: os.environ[name] for name in OFFLINE if name in os.environ},
    )


def devices() -> tuple[str, ...]:
    """Names of the devices that torch can compute on."""
    import torch

    found = ["cpu"]
    found += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    found += ["mps"] if torch.backends.mps.is_available() else []
    return tuple(found)


def extras() -> tuple[Extra, ...]:
    """The optional parts that the package's own metadata declares."""
    try:
        package = metadata.distribution("dualsight")
    except metadata.PackageNotFoundError:  # run from a source folder
        return ()
    found: list[Extra] = []
    for name in package.metadata.get_all("Provides-Extra") or ():
        marker = re.compile(rf"extra\s*==\s*['\"]{re.escape(name)}['\"]")
        needed = tuple(_package_name(line) for line in package.requires or () if marker.search(line))
        found.append(Extra(name=name, installed=all(map(_is_installed, needed)), packages=needed))
    return tuple(found)


def _package_name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    return match.group() if match else requirement


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def codecs() -> dict[str, tuple[str, ...]]:
    """Compressed encoding → the libraries here that decode it; none: such files cannot be read."""
    from PIL import features
    from pydicom import uid
    from pydicom.pixels.decoders.base import get_decoder

    syntaxes = (
        uid.JPEGBaseline8Bit,
        uid.JPEGExtended12Bit,
        uid.JPEGLossless,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.JPEGLSNearLossless,
        uid.JPEG2000Lossless,
        uid.JPEG2000,
        uid.HTJ2KLossless,
        uid.HTJ2K,
        uid.RLELossless,
    )
    found = {f"DICOM {syntax.keyword}": _plugins(get_decoder(syntax).available_plugins) for syntax in syntaxes}
    for name, feature in {
        "JPEG": "jpg",
        "JPEG 2000": "jpg_2000",
        "TIFF": "libtiff",
        "WebP": "webp",
        "AVIF": "avif",
    }.items():
        found[name] = ("pillow",) if features.check(feature) else ()
    return found


def _plugins(available: Iterable[str]) -> tuple[str, ...]:
    """GDCM is never asked: it ends the process on some damaged files."""
    return tuple(name for name in available if name != "gdcm")


def hub_cache() -> Path:
    """Where huggingface_hub keeps what it downloads."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(os.environ.get("HF_HUB_CACHE") or HF_HUB_CACHE)


def demo() -> Demo:
    """The packaged demonstration checkpoint, loaded."""
    from dualsight.checkpoint.layout import demo_folder
    from dualsight.checkpoint.load import load_checkpoint
    from dualsight.errors import CheckpointError, ConfigError

    try:
        fingerprint = load_checkpoint("demo").fingerprint
    except (CheckpointError, ConfigError) as error:
        return Demo(folder=str(demo_folder()), fingerprint=None, problem=str(error))
    return Demo(folder=str(demo_folder()), fingerprint=fingerprint, problem=None)


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())
