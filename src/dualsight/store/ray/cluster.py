"""Ray, joined or started: the only module of the store that imports it.

A cluster of this machine's own listens on 127.0.0.1 alone, asks for a token that nobody else has, tells nobody that
it is there, and leaves no file behind. What travels in any Ray cluster are pickles: whoever may speak in it may run
programs in it.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from dualsight.engine.processor import n_cores
from dualsight.errors import ConfigError, EngineError, MissingExtra

_OBJECTS_BYTES, _OBJECTS_A_CORE = 192 << 20, 64 << 20  # for pictures on their way; what is over it goes to disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where the work is done.

    address: HOST:PORT of a running Ray cluster; without it the one that RAY_ADDRESS names, or else one on this machine
    that lasts as long as the work. encoder_cores: processor cores of each encoder on machines without a GPU; without
    it all but one, which opens pictures. On machines with GPUs each has an encoder, and all cores open pictures.
    """

    address: str | None = None
    encoder_cores: int | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError for an address or a number that cannot be meant."""
        if self.address is not None and "://" in self.address:
            raise ConfigError(f"{self.address}: not HOST:PORT", hint="run dualsight on a machine of the cluster")
        if self.encoder_cores is not None and self.encoder_cores < 1:
            raise ConfigError(f"an encoder of {self.encoder_cores} cores", hint="from 1 on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Where a worker belongs, and what it has there. node: Ray's name of the machine."""

    node: str
    cpus: int
    gpus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who works where."""

    openers: tuple[Seat, ...]
    encoders: tuple[Seat, ...]


def plan(nodes: Sequence[Mapping[str, Any]], encoder_cores: int | None) -> Plan:
    """Seats for all cores and GPUs of the machines that `ray.nodes()` lists. Raises EngineError if there are none."""
    openers: list[Seat] = []
    encoders: list[Seat] = []
    for node in nodes:
        name, cpus, gpus = node["NodeID"], *(int(node["Resources"].get(kind, 0)) for kind in ("CPU", "GPU"))
        if not node["Alive"] or not cpus:
            continue
        if gpus:
            encoders += [Seat(node=name, cpus=0, gpus=1)] * gpus
            openers += [Seat(node=name, cpus=1)] * cpus
        elif cpus == 1:
            encoders.append(Seat(node=name, cpus=0))  # beside the opener, on the one core
            openers.append(Seat(node=name, cpus=1))
        else:
            cores = min(encoder_cores or cpus, cpus - 1)
            n = (cpus - 1) // cores
            encoders += [Seat(node=name, cpus=cores)] * n
            openers += [Seat(node=name, cpus=1)] * (cpus - n * cores)
    if not encoders:
        raise EngineError("the Ray cluster has no processor core to work with")
    return Plan(openers=tuple(openers), encoders=tuple(encoders))


@contextmanager
def joined(cluster: Cluster) -> Generator[Any, None, None]:
    """The library, connected; a cluster that was started for it is ended with the block.

    Where the caller has connected Ray already, that connection is used and stays. Raises MissingExtra, EngineError.
    """
    address = cluster.address or os.environ.get("RAY_ADDRESS")
    ray = _imported(is_local=address is None)
    if ray.is_initialized():
        yield ray
        return
    with ExitStack() as stack:
        options: dict[str, Any] = {}
        if address is None:
            size = _OBJECTS_BYTES + _OBJECTS_A_CORE * n_cores()
            folder = stack.enter_context(_folder())
            stack.enter_context(_environment(_private()))
            options = {"num_cpus": n_cores(), "object_store_memory": size, "_temp_dir": folder}
        stack.callback(ray.shutdown)  # before its folder goes
        _init(ray, address=address or "local", **options)
        yield ray


def _init(ray: Any, *, address: str, **options: Any) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)  # it tells of each start
    quiet = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
    for attempts_left in (1, 0):
        try:
            with warnings.catch_warnings():  # in a child of this process, which becomes another program at once
                warnings.filterwarnings("ignore", "lancedb fork support", RuntimeWarning)
                ray.init(address=address, **quiet, **options)
            return
        except Exception as error:  # Ray raises that very class where a machine is too busy to start it in 30 s
            ray.shutdown()
            if address == "local" and attempts_left:
                continue
            where = "on this machine" if address == "local" else f"at {address}"
            reason = str(error).partition("\n")[0]
            hint = "`ray status` asks a cluster how it is"
            raise EngineError(f"no Ray cluster {where}: {reason}", hint=hint) from error


def _imported(*, is_local: bool) -> Any:
    """The library; of a cluster of this machine's own, so that it listens on the loopback address alone."""
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"} if is_local else {}  # what those systems have; read at import
    try:
        with _environment(loopback):
            import ray

            import_module("ray.exceptions")
    except ImportError as error:
        raise MissingExtra("a cluster needs Ray", hint="pip install 'dualsight[ray]'") from error
    return ray


@cache
def _private() -> dict[str, str]:
    """Settings of a cluster of this process's own; those that the user has set stay."""
    return {
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }


@contextmanager
def _environment(settings: Mapping[str, str]) -> Generator[None, None, None]:
    """Variables of this process and those that it starts, where they are not set; for the length of the block."""
    new = [name for name in settings if name not in os.environ]
    os.environ.update({name: settings[name] for name in new})
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


@contextmanager
def _folder() -> Generator[str, None, None]:
    """A folder of this user's alone, with a short name: sockets in it may have a hundred characters."""
    short = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - a name in it that is drawn, mode 700
    with tempfile.TemporaryDirectory(prefix="dualsight-ray-", dir=short, ignore_cleanup_errors=True) as folder:
        yield folder
