"""Search: exact against approximate on a million vectors; findings of phantoms by text and by picture.

    python benchmarks/search.py vectors --rows 1000000 --folder DIR      # recall, latency, build time, memory
    python benchmarks/search.py phantoms --db DB                         # precision@10, exact beside approximate

`vectors` draws `--rows` synthetic vectors of 1,024 numbers in 2,000 clusters, since vectors of pictures lie in
clusters and uniform ones have no near neighbours to find: a centre, 64 directions that all clusters share, and a
little noise, of unit length. They are written to disk and read from there; what the system keeps of files in memory
is not dropped between queries. `phantoms` wants an index of what `dualsight phantom` drew, with its columns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from lancedb.table import Table

from dualsight.engine.memory import peak_bytes
from dualsight.store import lance
from dualsight.store.check import APPROXIMATE_FROM
from dualsight.store.evaluate import evaluate
from dualsight.store.index import Index
from dualsight.store.schema import VECTOR, About, table_schema
from dualsight.store.search import tuned

DIMENSIONS, CLUSTERS, SHARED, A_WRITE = 1024, 2_000, 64, 10_000


def clustered(rows: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Unit vectors, float32 [A_WRITE, DIMENSIONS] at a time."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((CLUSTERS, DIMENSIONS), np.float32)
    shared = rng.standard_normal((SHARED, DIMENSIONS), np.float32)
    for start in range(0, rows, A_WRITE):
        n = min(A_WRITE, rows - start)
        vectors = centres[rng.integers(CLUSTERS, size=n)]
        vectors += 0.12 * rng.standard_normal((n, SHARED), np.float32) @ shared
        vectors += 0.3 * rng.standard_normal((n, DIMENSIONS), np.float32)
        yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write(folder: Path, rows: int) -> None:
    """A table of them, with the columns of an index."""
    about = About(model="synthetic", fingerprint="none", dimensions=DIMENSIONS)
    schema = table_schema(about, {})
    table = lance.create_table(folder, schema)

    def batches() -> Iterator[pa.RecordBatch]:
        start = 0
        for vectors in clustered(rows):
            n = len(vectors)
            known = {
                "id": pa.array([f"{start + i:032x}" for i in range(n)]),
                VECTOR: pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIMENSIONS),
                "kind": pa.array(["image"] * n),
            }
            columns = [known.get(field.name, pa.nulls(n, field.type)) for field in schema]
            yield pa.record_batch(columns, schema=schema)
            start += n

    table.add(pa.RecordBatchReader.from_batches(schema, batches()))


def megabytes() -> float:
    """The most memory this process has held."""
    return peak_bytes() / 2**20


def vectors(folder: Path, rows: int, queries: int) -> None:
    """Recall and latency of the approximate index."""
    index = Index(folder)
    if not lance.has_table(folder):
        start = time.perf_counter()
        folder.mkdir(parents=True)
        write(folder, rows)
        print(f"written: {rows:,} × {DIMENSIONS} in {time.perf_counter() - start:.0f} s")
    start = time.perf_counter()
    built = index.optimize(approximate_from=0)
    print(f"built and tuned in {time.perf_counter() - start:.0f} s: {built}; peak {megabytes():.0f} MB")
    done = index.check(n_queries=queries)
    print(
        f"recall@{done.k} {done.recall:.4f} over {done.n_queries} queries; exact {done.exact_ms:.1f} ms, approximate "
        f"{done.approximate_ms:.1f} ms: {done.exact_ms / done.approximate_ms:.1f} times as fast; "
        f"{index.info().n_bytes / 2**30:.2f} GiB on disk, peak {megabytes():.0f} MB"
    )


def phantoms(db: Path, queries: int, k: int = 10) -> None:
    """Precision@k: the share of hits that show what the text says, or what the query's picture shows."""
    index = Index.open(db)
    print(f"{len(index):,} rows")
    if not index.info().is_approximate:
        print("approximate index:", index.optimize(approximate_from=0))
    table = lance.open_table(db)
    assert "finding" in table.schema.names, "an index of phantoms: dualsight index add phantoms/captions.csv --db DB"
    for exact in (True, False):
        text, picture = by_text(table, index, k, exact), by_picture(table, k, exact, queries)
        print(f"{'exact' if exact else 'approximate'}: precision@{k} {text:.3f} by text, {picture:.3f} by picture")


def by_text(table: Table, index: Index, k: int, exact: bool) -> float:
    """Mean over all captions with a finding of the share of k hits with that modality and finding."""
    rows = lance.read_columns(table, ["caption", "modality", "finding"], "`finding` IS NOT NULL").to_pylist()
    shares = []
    for caption, truth in {row["caption"]: (row["modality"], row["finding"]) for row in rows}.items():
        hits = index.search(caption, k=k, exact=exact)
        pairs = zip(hits.column("modality"), hits.column("finding"), strict=True)
        shares.append(np.mean([pair == truth for pair in pairs]))
    return float(np.mean(shares))


def by_picture(table: Table, k: int, exact: bool, queries: int) -> float:
    """Macro mean over pictures with a finding of the share of k hits, itself left out, with that finding."""
    how = None if exact else tuned(table)
    return evaluate(table, "finding", ks=[k], n_queries=queries, how=how).precisions[0]


def main() -> None:
    """Runs one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["vectors", "phantoms"])
    parser.add_argument("--rows", type=int, default=APPROXIMATE_FROM)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--db", type=Path)
    asked = parser.parse_args()
    if asked.what == "vectors":
        vectors(asked.folder, asked.rows, asked.queries)
    else:
        phantoms(asked.db, asked.queries)


if __name__ == "__main__":
    main()
