"""A manifest's pictures → one vector an example, by a model or from a file that `dualsight embed` wrote.

manifest ──pictures──▶ items ──Model.embed──▶ stream ──collect──▶ EmbeddedManifest
                       StoredVectors ─────────────────match──────▶
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import ImageError, VectorsError
from dualsight.image.reading import Reading
from dualsight.image.source import Item
from dualsight.learn.manifest import Example, Manifest
from dualsight.learn.vector_file import StoredVectors
from dualsight.task.embed import Embedded, Failed
from dualsight.task.model import Model

NAMED = 3  # how many pictures a message names
SAME = 1e-2  # distance of unit vectors up to which they are of one picture: batches round differently


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddedManifest:
    """Examples with their vectors.

    manifest: those that have one. vectors: float32 [n, D], row i of manifest.examples[i]. failed: an error for each
    picture that could not be used; its example is left out.
    """

    manifest: Manifest
    vectors: NDArray[np.float32]
    failed: tuple[ImageError, ...] = ()

    def truth(self) -> NDArray[np.bool_]:
        """Bool [n, k]: which of manifest.labels are true of each example."""
        column = {label: number for number, label in enumerate(self.manifest.labels)}
        truth = np.zeros((len(self.vectors), len(column)), np.bool_)
        for row, example in enumerate(self.manifest.examples):
            truth[row, [column[label] for label in example.labels]] = True
        return truth


def embed_manifest(
    model: Model, manifest: Manifest, *, reading: Reading | None = None, batch_size: int = 8
) -> EmbeddedManifest:
    """Vectors of a manifest's pictures, one a file; pictures that cannot be used are in `failed`."""
    stream = model.embed(pictures(manifest), reading=reading or Reading(), batch_size=batch_size)
    return collect(manifest, stream, width=model.config.dual.projection)


def pictures(manifest: Manifest) -> Iterator[Item]:
    """The files of a manifest, in its order, to be embedded one vector each."""
    return (Item(name=str(example.path), content=example.path) for example in manifest.examples)


def collect(manifest: Manifest, stream: Iterable[Embedded | Failed], *, width: int) -> EmbeddedManifest:
    """The results of `pictures(manifest)`, each beside its example. width: D."""
    kept: list[Example] = []
    vectors: list[NDArray[np.float32]] = []
    failed: list[ImageError] = []
    for result in stream:
        if isinstance(result, Failed):
            failed.append(result.error)
        else:
            kept.append(manifest.examples[result.index])
            vectors.append(result.vector)
    return EmbeddedManifest(
        manifest=replace(manifest, examples=tuple(kept)),
        vectors=np.stack(vectors) if vectors else np.empty((0, width), np.float32),
        failed=tuple(failed),
    )


def match(manifest: Manifest, stored: StoredVectors, *, fingerprint: str) -> EmbeddedManifest:
    """A manifest with vectors that were made before; examples without one are refused, other vectors left.

    A source is an example's if it is its path, or its path as seen from the manifest's folder.
    A file that a table names twice was embedded twice, and any of its vectors will do.
    Raises VectorsError for vectors of another model, different ones of one picture, and examples without one.
    """
    check_fingerprint(stored, fingerprint)
    rows = _rows(stored)
    found = [_row_of(example, manifest.path.parent, rows) for example in manifest.examples]
    missing = [example for example, row in zip(manifest.examples, found, strict=True) if row is None]
    if missing:
        names = ", ".join(str(example.path) for example in missing[:NAMED])
        more = ", …" if len(missing) > NAMED else ""
        problem = f"no vector for {len(missing):,} of {len(found):,} pictures of {manifest.path}: {names}{more}"
        raise VectorsError(f"{stored.path}: {problem}", hint=f"dualsight embed {manifest.path} -o {stored.path}")
    return EmbeddedManifest(manifest=manifest, vectors=stored.vectors[[row for row in found if row is not None]])


def _rows(stored: StoredVectors) -> dict[Path, int]:
    """The first row of each source. Raises VectorsError where another row of it has another vector."""
    rows: dict[Path, int] = {}
    for row, source in enumerate(map(Path, stored.sources)):
        first = rows.setdefault(source, row)
        far = np.linalg.norm(stored.vectors[row] - stored.vectors[first]) if row != first else 0.0
        if far > SAME:
            hint = "embed with --per image: one vector a file"
            raise VectorsError(f"{stored.path}: different vectors of {source}", hint=hint)
    return rows


def check_fingerprint(stored: StoredVectors, fingerprint: str) -> None:
    """Raises VectorsError unless the model of that fingerprint made the vectors."""
    if stored.fingerprint != fingerprint:
        problem = f"made by the model {stored.fingerprint[:12]}…, and this is {fingerprint[:12]}…"
        raise VectorsError(f"{stored.path}: {problem}", hint="give that model with --model, or embed again")


def _row_of(example: Example, folder: Path, rows: dict[Path, int]) -> int | None:
    if example.path in rows:
        return rows[example.path]
    return rows.get(example.path.relative_to(folder)) if example.path.is_relative_to(folder) else None
