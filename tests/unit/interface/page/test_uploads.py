from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dualsight.errors import QueueFull, RequestTooLarge, UnreadableImage
from dualsight.interface.page.uploads import Uploads


async def _chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def _left_halfway() -> AsyncIterator[bytes]:
    yield b"half"
    raise ConnectionError


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def test_who_holds_the_token_holds_the_file(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, file_bytes=10, total_bytes=20)
    token = asyncio.run(uploads.receive(_chunks(b"ab", b"", b"c"), "../../Doe^Jane.png"))
    upload = uploads.find(token)
    assert upload.path.read_bytes() == b"abc" and upload.path.parent == tmp_path
    assert upload.name == "../../Doe^Jane.png" and "Doe" not in str(upload.path)
    assert len(token) > 40
    for guess in ("", token[:-1], str(upload.path), "../" + token):
        with pytest.raises(UnreadableImage, match="no longer here"):
            uploads.find(guess)
    uploads.forget(token)
    uploads.forget(token)
    assert not _files(tmp_path)
    with pytest.raises(UnreadableImage):
        uploads.find(token)


def test_too_much_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, file_bytes=10, total_bytes=15)
    with pytest.raises(RequestTooLarge, match="a file of more than 10 bytes"):
        asyncio.run(uploads.receive(_chunks(b"a" * 9, b"bb"), "large"))
    with pytest.raises(ConnectionError):
        asyncio.run(uploads.receive(_left_halfway(), "left"))
    assert not _files(tmp_path)
    first = asyncio.run(uploads.receive(_chunks(b"a" * 10), "first"))
    with pytest.raises(QueueFull):
        asyncio.run(uploads.receive(_chunks(b"b" * 6), "second"))
    uploads.forget(first)
    asyncio.run(uploads.receive(_chunks(b"b" * 6), "second"))  # what was refused or deleted takes no room


def test_what_nobody_asks_for_is_deleted(tmp_path: Path) -> None:
    now = 0.0
    uploads = Uploads(tmp_path, file_bytes=10, total_bytes=20, keep_s=100, clock=lambda: now)
    used = asyncio.run(uploads.receive(_chunks(b"used"), "used"))
    asyncio.run(uploads.receive(_chunks(b"old"), "old"))
    now = 60.0
    uploads.find(used)
    now = 120.0
    uploads.forget_old()
    assert [file.read_bytes() for file in _files(tmp_path)] == [b"used"]
    now = 161.0
    uploads.forget_old()
    assert not _files(tmp_path)
