"""A manifest's vectors for a command: from a file, or made now, with a bar and each failure told by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dualsight.interface.cli.stderr import show_error, show_progress

if TYPE_CHECKING:
    from dualsight.image.reading import Reading
    from dualsight.learn.embedded import EmbeddedManifest
    from dualsight.learn.manifest import Manifest
    from dualsight.task.model import Model


def vectors_of(model: Model, file: Path | None, reading: Reading) -> Callable[[Manifest], EmbeddedManifest]:
    """What gives a manifest its vectors: those of a file that `embed` wrote, or else made anew."""
    if file is None:
        return lambda manifest: _embed(model, manifest, reading)
    from dualsight.learn.embedded import match
    from dualsight.learn.vector_file import read_vectors

    stored = read_vectors(file)
    return lambda manifest: match(manifest, stored, fingerprint=model.fingerprint)


def _embed(model: Model, manifest: Manifest, reading: Reading) -> EmbeddedManifest:
    """The vectors of a manifest's pictures; those that cannot be used are in `failed`, and on stderr."""
    from dualsight.learn.embedded import collect, pictures

    stream = model.embed(pictures(manifest), reading=reading)
    shown = show_progress(stream, "embedding", total=len(manifest.examples))
    embedded = collect(manifest, shown, width=model.config.dual.projection)
    for error in embedded.failed:
        show_error(str(error), error.hint)
    return embedded
