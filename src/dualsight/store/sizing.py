"""How many machines for how long, and how large: arithmetic from what was measured of one machine and one table.

    pictures a second of a machine = min(cores that open / open_s, encoders / encode_s)
    hours = pictures / (machines × that), and not less than the driver needs to name them all

Bytes and seconds below are of vectors of 1,024 numbers, measured as benchmarks/README.md says; they scale with the
dimensions where the formula says so. Memory of other databases is by their own published rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from dualsight.errors import ConfigError

ROW_BYTES = 121  # beside the vector: names, path, three UIDs, settings, compressed
INDEX_ROW_BYTES = 18  # beside a bit a dimension (RaBitQ)
DRIVER_RATE = 850.0  # files a second that one driver names, gives out and commits
BUILD_S = 0.88e-3  # of two cores, a row: the approximate index, tuning included
EXACT_S = 7.7e-6  # of two cores, a row: one exact query, read from a disk
QUERY_RATE = 20.0  # queries a second of one process on two cores, approximate, a million rows
KNOWN_BYTES = 100  # of the driver's memory: the hash of a picture that is there
BYTES = 4  # of a number


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One of those that embed.

    cores: of its processor. encoders: GPUs, or on a processor usually 1. encoder_cores: that each takes from the cores;
    0 for a GPU. encode_s: seconds of one encoder for a picture. open_s: seconds of one core to fetch, open and resize
    one.
    """

    cores: int
    encoders: int = 1
    encoder_cores: int = 0
    encode_s: float
    open_s: float

    def __post_init__(self) -> None:
        """Raises ConfigError for a machine without a core that opens pictures, and for no time at all."""
        if self.cores - self.encoders * self.encoder_cores < 1 or self.encoders < 1:
            raise ConfigError(f"{self.encoders} encoders of {self.encoder_cores} cores leave none of {self.cores}")
        if not (self.encode_s > 0 and self.open_s > 0):
            raise ConfigError("a picture takes time to open and to encode", hint="measure both")

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return min((self.cores - self.encoders * self.encoder_cores) / self.open_s, self.encoders / self.encode_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What so many pictures come to; hours of one machine, bytes.

    hours: until all are embedded, by `n_machines`. machine_hours: of all of them together. driver_bytes: what it knows
    of. table_bytes: rows and vectors; twice that for the week in which `optimize` keeps the state before.
    index_bytes: of the approximate index, which answers quickly while it fits into memory. build_hours: for it, on two
    cores. exact_s: a query without it. qdrant_bytes: of memory, vectors in it, by Qdrant's own rule.
    """

    n_pictures: int
    n_machines: int
    hours: float
    machine_hours: float
    driver_bytes: int
    table_bytes: int
    index_bytes: int
    build_hours: float
    exact_s: float
    qdrant_bytes: int

    def limits(self, *, memory_bytes: int, queries_s: float) -> tuple[str, ...]:
        """Why a database with shards and replicas (Milvus, Qdrant) would take over; empty while an index will do.

        memory_bytes: of the machine that searches. queries_s: asked in a second.
        """
        reasons: list[str] = []
        if self.build_hours > 24:
            reasons.append(f"the approximate index takes {self.build_hours:,.0f} hours to build, by one process")
        if self.index_bytes > memory_bytes:
            gigabytes, memory = self.index_bytes / 1e9, memory_bytes / 1e9
            reasons.append(f"it has {gigabytes:,.0f} GB, and the machine {memory:,.0f} GB of memory")
        if queries_s > QUERY_RATE:
            reasons.append(f"{queries_s:,.0f} queries a second, where a process answers some {QUERY_RATE:.0f}")
        return tuple(reasons)


def size(n_pictures: int, machine: Machine, *, n_machines: int = 1, dimensions: int = 1024) -> Size:
    """What so many pictures cost, embedded by `n_machines` like `machine`. Raises ConfigError for none."""
    if n_pictures < 1 or n_machines < 1:
        raise ConfigError(f"{n_pictures:,} pictures on {n_machines:,} machines")
    seconds = n_pictures / min(n_machines * machine.rate, DRIVER_RATE)
    scale = dimensions / 1024
    return Size(
        n_pictures=n_pictures,
        n_machines=n_machines,
        hours=seconds / 3600,
        machine_hours=seconds / 3600 * n_machines,
        driver_bytes=n_pictures * KNOWN_BYTES,
        table_bytes=n_pictures * (BYTES * dimensions + ROW_BYTES),
        index_bytes=round(n_pictures * (dimensions / 8 + INDEX_ROW_BYTES)),
        build_hours=n_pictures * BUILD_S * scale / 3600,
        exact_s=n_pictures * EXACT_S * scale,
        qdrant_bytes=round(n_pictures * dimensions * BYTES * 1.5),
    )
