"""A manifest's vectors for a command: made now, with a bar, and each failure told by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dualsight.interface.cli.stderr import show_error, show_progress

if TYPE_CHECKING:
    from dualsight.image.reading import Reading
    from dualsight.learn.embedded import EmbeddedManifest
    from dualsight.learn.manifest import Manifest
    from dualsight.task.model import Model


def embed_shown(model: Model, manifest: Manifest, reading: Reading) -> EmbeddedManifest:
    """The vectors of a manifest's pictures; those that cannot be used are in `failed`, and on stderr."""
    from dualsight.learn.embedded import collect, pictures

    stream = model.embed(pictures(manifest), reading=reading)
    shown = show_progress(stream, "embedding", total=len(manifest.examples))
    embedded = collect(manifest, shown, width=model.config.dual.projection)
    for error in embedded.failed:
        show_error(str(error), error.hint)
    return embedded
