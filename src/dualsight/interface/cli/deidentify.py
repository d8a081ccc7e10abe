"""`--deidentify`: results, errors and remarks of a command under hashed names. Without a key all stay as they are."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from dualsight.image.file_info import FileInfo
    from dualsight.task.classify import Classification
    from dualsight.task.embed import Embedded, Failed

T = TypeVar("T", "Embedded | Failed", "Classification | Failed")

Deidentify = Annotated[
    bool,
    typer.Option(
        "--deidentify",
        help="UIDs and names of files only as hashes, with the secret key in DUALSIGHT_DEIDENTIFY_KEY or in the file "
        "that DUALSIGHT_DEIDENTIFY_KEY_FILE names",
    ),
]


def read_key_if(wanted: bool) -> bytes | None:
    """The user's key, None where it is not wanted. Raises ConfigError."""
    if not wanted:
        return None
    from dualsight.image.deidentify import read_key

    return read_key(os.environ)


def hide_results(stream: Iterable[T], key: bytes | None) -> Iterator[T]:
    """The results of a command, before anything is made of them."""
    if key is None:
        yield from stream
        return
    from dualsight.image.deidentify import deidentified, deidentified_error, hashed_name
    from dualsight.task.embed import Failed

    for result in stream:
        name = hashed_name(result.source, key)
        if isinstance(result, Failed):
            yield replace(result, source=name, error=deidentified_error(result.error, key))
        else:
            yield replace(result, source=name, meta=deidentified(result.meta, key))


def hide_info(info: FileInfo, key: bytes | None) -> FileInfo:
    """What is told of a file."""
    if key is None:
        return info
    from dualsight.image.deidentify import deidentified_info

    return deidentified_info(info, key)


def hide_name(name: str, key: bytes | None) -> str:
    """What to call a file."""
    if key is None:
        return name
    from dualsight.image.deidentify import hashed_name

    return hashed_name(name, key)


@contextmanager
def hide_errors(key: bytes | None) -> Generator[None, None, None]:
    """Errors that end the command, and name a file."""
    from dualsight.errors import ImageError

    try:
        yield
    except ImageError as error:
        if key is None:
            raise
        from dualsight.image.deidentify import deidentified_error

        raise deidentified_error(error, key) from None
    except OSError as error:
        if key is None or error.filename is None:
            raise
        raise OSError(error.errno, error.strerror, hide_name(str(error.filename), key)) from None
