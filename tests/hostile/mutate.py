"""Sound files → damaged ones: each decided by a kind's name and a number alone, so that it can be made again."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

Change = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


class Field(NamedTuple):
    """An unsigned number in a file, whose damage says more than a random byte's: a length, a size, a tag."""

    offset: int
    size: int
    order: str  # "big" or "little"


def damaged(
    seeds: Sequence[bytes],
    random: random.Random,
    fields: Callable[[bytes], list[Field]],
    tokens: Sequence[bytes],
    signature: int,
    pixels: bytes,
) -> bytes:
    """One of the seeds with one to six changes.

    fields: where its numbers lie. tokens: bytes with a meaning in it. signature: so many bytes tell what it is, and
    mostly stay: a file that is none of ours is soon refused. pixels: what they begin with; every third change is
    behind it, where headers do not matter.
    """
    data = random.choice(seeds)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        if random.random() < 0.4:
            data = _change_field(data, random, fields(data))
            continue
        kept = signature if random.random() < 0.95 else 0
        if pixels and random.random() < 0.33:
            kept = max(kept, data.find(pixels) + len(pixels))
        rest = data[kept:]
        if tokens and random.random() < 0.2:
            rest = _overwrite(rest, random, random.choice(tokens))
        else:
            rest = random.choice(CHANGES)(rest, random, [seed[kept:] for seed in seeds])
        data = data[:kept] + rest
    return data


def _change_field(data: bytes, random: random.Random, fields: list[Field]) -> bytes:
    inside = [field for field in fields if field.offset + field.size <= len(data)]
    if not inside:
        return data
    offset, size, order = random.choice(inside)
    value = int.from_bytes(data[offset : offset + size], order)  # type: ignore[arg-type]
    top = (1 << 8 * size) - 1
    near = (value - 1, value + 1, value * 2, value // 2, value ^ (1 << random.randrange(8 * size)))
    special = (0, 1, 2, 3, 255, top, top // 2, top // 2 + 1, len(data), 10_000, random.randint(0, top))
    changed = random.choice((*near, *special, *_floats(size, order))) & top
    return data[:offset] + changed.to_bytes(size, order) + data[offset + size :]  # type: ignore[arg-type]


def _floats(size: int, order: str) -> tuple[int, ...]:
    """What the bytes of NaN, infinity and the like are as whole numbers."""
    if size not in (4, 8):
        return ()
    code = "<" if order == "little" else ">"
    numbers = (float("nan"), float("inf"), -1.0, 1e-30, 1e30)
    return tuple(int.from_bytes(struct.pack(code + "fd"[size // 8], n), order) for n in numbers)  # type: ignore[arg-type]


def _overwrite(data: bytes, random: random.Random, token: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + token + data[at + random.choice((0, len(token))) :]


def _flip_bits(data: bytes, random: random.Random, seeds: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 4, 16))):
        at = _somewhere(data, random)
        if at < len(data):
            changed[at] ^= 1 << random.randrange(8)
    return bytes(changed)


def _fill_run(data: bytes, random: random.Random, seeds: Sequence[bytes]) -> bytes:
    at, length = _somewhere(data, random), random.choice((1, 2, 4, 16, 64))
    run = random.choice((b"\0" * length, b"\xff" * length, b"\x80" * length, random.randbytes(length)))
    return data[:at] + run + data[at + length :]


def _truncate(data: bytes, random: random.Random, seeds: Sequence[bytes]) -> bytes:
    return data[: random.choice((random.randrange(len(data) + 1), max(0, len(data) - random.randrange(1, 40))))]


def _delete(data: bytes, random: random.Random, seeds: Sequence[bytes]) -> bytes:
    at = _somewhere(data, random)
    return data[:at] + data[at + random.choice((1, 2, 4, 8, 64)) :]


def _insert(data: bytes, random: random.Random, seeds: Sequence[bytes]) -> bytes:
    at = _somewhere(data, random)
    return data[:at] + random.randbytes(random.choice((1, 2, 4, 8, 64))) + data[at:]


def _repeat(data: bytes, random: random.Random, seeds: Sequence[bytes]) -> bytes:
    at, length = _somewhere(data, random), random.choice((8, 64, 512))
    return data[:at] + data[at : at + length] * random.choice((1, 2, 50)) + data[at:]


def _splice(data: bytes, random: random.Random, seeds: Sequence[bytes]) -> bytes:
    other = random.choice(seeds)
    return data[: _somewhere(data, random)] + other[_somewhere(other, random) :]


def _change_digits(data: bytes, random: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Another number in words, as text headers and DICOM's decimal strings have them."""
    found = [match.span() for match in re.finditer(rb"\d+", data[:4096])]
    if not found:
        return data
    start, end = random.choice(found)
    numbers = (
        b"0",
        b"-1",
        b"1",
        b"9" * (end - start),
        b"65536",
        b"4294967296",
        b"1e999",
        b"nan",
        b"99999999999999999999",
    )
    return data[:start] + random.choice(numbers) + data[end:]


def _somewhere(data: bytes, random: random.Random) -> int:
    """A position, every second time among the first bytes: headers are short and matter most."""
    return min(random.randrange(random.choice((len(data), 200)) + 1), len(data))


CHANGES: tuple[Change, ...] = (
    _flip_bits,
    _flip_bits,
    _fill_run,
    _truncate,
    _delete,
    _insert,
    _repeat,
    _splice,
    _change_digits,
)
