"""What a decoder and its parent say to each other: two lengths, a JSON object and bytes.

JSON, because reading a pickle is running a program, and the decoder is where a hostile file would take hold.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any

READY = b"dualsight decoder\n"  # what a decoder says first, and in no message
_LENGTHS = struct.Struct(">IQ")  # of the JSON object, of the bytes after it


def send(stream: IO[bytes], message: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Writes a message; `stream` may keep a part of it until it is flushed."""
    text = json.dumps(message).encode("ascii")
    stream.write(_LENGTHS.pack(len(text), len(body)) + text)
    stream.write(body)


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next message; None if the other end has closed, be it in the midst of one."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    n_text, n_body = _LENGTHS.unpack(lengths)
    text, body = stream.read(n_text), stream.read(n_body)
    if len(text) < n_text or len(body) < n_body:
        return None
    return _JSON.decode(text.decode("ascii")), body


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists only; what is sent here has tuples only."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


_JSON = json.JSONDecoder(object_hook=_with_tuples)
