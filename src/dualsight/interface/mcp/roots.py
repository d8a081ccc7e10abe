"""Which files an agent may have opened: those below folders that the operator named, links followed first."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dualsight.errors import ConfigError, UnreadableImage
from dualsight.image.source import Item


class Roots:
    """Folders that may be read, with all below them."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Raises ConfigError for what is no folder."""
        self.folders = tuple(_folder(folder) for folder in folders)

    def item(self, file_path: str) -> Item:
        """The file of an agent's path, under the agent's own name for it; a relative path is below a root.

        Raises UnreadableImage. Of what lies elsewhere the error says nothing, not even whether it is there.
        """
        for folder in self.folders:
            path = _resolved(folder / file_path)  # an absolute path stays as it is
            if path is not None and self._hold(path):
                return Item(name=file_path, content=path)
        raise UnreadableImage("is no file in a folder that this server may read", source=file_path, hint=self._hint)

    def holds(self, path: str) -> bool:
        """Whether a path, links followed, is that of a file below a root."""
        resolved = _resolved(Path(path))
        return resolved is not None and self._hold(resolved)

    def _hold(self, path: Path) -> bool:
        is_below = any(path.is_relative_to(folder) for folder in self.folders)
        return is_below and os.path.isfile(path)  # noqa: PTH113 - False where a folder on the way cannot be searched

    @property
    def _hint(self) -> str:
        if not self.folders:
            return "it may read none: its operator starts it with --root FOLDER"
        names = ", ".join(map(str, self.folders))
        return (
            f"give the path of a file below {names}; nothing is downloaded, and links that lead elsewhere are refused"
        )


def _folder(folder: Path) -> Path:
    path = _resolved(folder)
    if path is None or not path.is_dir():
        raise ConfigError(f"{folder}: is no folder", hint="--root names a folder that agents may read")
    return path


def _resolved(path: Path) -> Path | None:
    """The path without links and dots; None where it can be none, or leads in a circle."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: a circle of links
        return None
