"""`Index`: an archive's vectors with what each is of, in one folder. What `dualsight.Index` is."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from dualsight.errors import StoreError
from dualsight.image.source import scan
from dualsight.store import check, lance
from dualsight.store.add import Event, Run, add_images, add_texts
from dualsight.store.clusters import Clusters, Layout, cluster
from dualsight.store.duplicates import Duplicate, duplicates
from dualsight.store.embed_units import EmbedUnits, embed_here
from dualsight.store.evaluate import KS, Features, Precision, evaluate, evaluate_features
from dualsight.store.filter_tree import render
from dualsight.store.filters import parse
from dualsight.store.hits import Hits
from dualsight.store.manifest import read_manifests
from dualsight.store.query import Query, query_vector
from dualsight.store.ray.cluster import Cluster
from dualsight.store.report import Info, Report, Tally, Version
from dualsight.store.schema import About, check_user_columns, filter_columns, key_check, read_about, user_columns
from dualsight.store.search import search, tuned
from dualsight.store.settings import TEXT_SETTINGS, Settings
from dualsight.store.writer import Writer
from dualsight.task.model import Model, load

if TYPE_CHECKING:
    from lancedb.table import Table

BATCH_ROWS = 1_024


class Index:
    """Vectors of one model, kept in a folder and searched. Several threads and processes may use one at a time.

    folder: a path, or an address in an object store (`s3://BUCKET/…`, `gs://BUCKET/…`), with credentials from the
    environment. model: who embeds, a `Model` or what `dualsight.load` takes; it is loaded when something is to be
    embedded, and must be the one that the index was made with.
    """

    def __init__(self, folder: str | Path, model: Model | str | Path = "demo") -> None:
        self.folder = lance.place_of(folder)
        self._model = model
        self._where = None if isinstance(model, Model) else model

    @classmethod
    def open(cls, folder: str | Path, *, model: Model | str | Path = "demo") -> Index:
        """The index in a folder; where there is none, `add` makes one. Raises StoreError for a table of others."""
        index = cls(folder, model)
        if lance.has_table(index.folder):
            _ = index.about
        return index

    @property
    def about(self) -> About:
        """Whose vectors these are. Raises StoreError where there is no index."""
        return read_about(self._table().schema, str(self.folder))

    @property
    def model(self) -> Model:
        """The model, loaded. Raises StoreError if the index was made with another, CheckpointError, EngineError."""
        if not isinstance(self._model, Model):
            self._model = load(self._model)
        if lance.has_table(self.folder):
            _check_model(self._model, self.about, self.folder)
        return self._model

    def __len__(self) -> int:
        return self._table().count_rows()

    def add(
        self,
        sources: str | Path | Sequence[str | Path] = (),
        *,
        texts: Sequence[str] = (),
        settings: Settings | None = None,
        columns: Sequence[str] | None = None,
        key: bytes | None = None,
        prune: bool = False,
        cluster: Cluster | None = None,
    ) -> Report:
        """Embeds what is not there yet, and adds it; `iter_add` as one call."""
        tally = Tally()
        adding = self.iter_add(
            sources, texts=texts, settings=settings, columns=columns, key=key, prune=prune, cluster=cluster
        )
        while True:
            try:
                tally.count(next(adding))
            except StopIteration as end:
                n_pruned: int = end.value
                break
        return Report(
            n_added=tally.n_added,
            n_rows=tally.n_rows,
            n_present=tally.n_present,
            n_pruned=n_pruned,
            failed=tuple(tally.failed),
        )

    def iter_add(
        self,
        sources: str | Path | Sequence[str | Path] = (),
        *,
        texts: Sequence[str] = (),
        settings: Settings | None = None,
        columns: Sequence[str] | None = None,
        key: bytes | None = None,
        prune: bool = False,
        cluster: Cluster | None = None,
    ) -> Generator[Event, None, int]:
        """Embeds what is not there yet and adds it, telling of each unit; returns how many rows were pruned.

        sources: whatever `dualsight.image.scan` takes. texts: to be found as well. columns: those of a .csv to keep
        beside its pictures; all without it, none with a key. key: names, UIDs and content only as keyed hashes (see
        `dualsight.image.deidentify`); an index has one key or none. prune: rows made with the same settings whose
        content is in none of `sources` any more are taken out, once all of these were found. cluster: pictures are
        opened and embedded there, and not in this process; its machines must have sources and model at the same paths.
        Raises StoreError for an index of another model or key, for a column that cannot be, and where `prune` is asked
        for and something was out of reach; ConfigError; EngineError for a cluster that cannot be used.
        """
        settings = settings or Settings()
        places = [sources] if isinstance(sources, str | Path) else list(sources)
        model = self.model
        about = self._about_to_be(model, key)
        if key is not None and texts:
            raise StoreError("texts cannot be de-identified", hint="add them to an index without --deidentify")
        manifest = read_manifests(places, columns if columns is not None or key is None else ())
        check_user_columns(manifest.types, self._table().schema if lance.has_table(self.folder) else None)
        writer = Writer(self.folder, about, manifest.types)
        run = Run(
            embed=self._embed_units(settings, key, cluster),
            settings=settings,
            manifest=manifest,
            key=key,
            known=writer.known(settings.as_json()),
        )
        yield from add_images(run, scan(places, limits=settings.reading.limits), writer)
        yield from add_texts(model, texts, writer.known(TEXT_SETTINGS), writer)
        return self._pruned(run, writer) if prune else 0

    def _embed_units(self, settings: Settings, key: bytes | None, cluster: Cluster | None) -> EmbedUnits:
        """Who embeds: this process, or a cluster, where each encoder loads the model from where it was loaded here."""
        if cluster is None:
            return embed_here(self.model, settings, key)
        from dualsight.store.ray.embed import embed_on_cluster

        return embed_on_cluster(cluster, self.model, self._where, settings, key)

    def _pruned(self, run: Run, writer: Writer) -> int:
        if not run.is_complete or not run.seen:
            why = "some files could not be read" if run.seen else "no picture was found"
            raise StoreError(f"{self.folder}: nothing is pruned, because {why}", hint="is the folder mounted?")
        return writer.prune(run.settings.as_json(), run.seen)

    def search(
        self,
        text: str | None = None,
        *,
        query: Query | None = None,
        where: str = "",
        k: int = 10,
        per: str | None = None,
        rerank: bool = False,
        exact: bool = False,
    ) -> Hits:
        """The k nearest rows to a text, or to a `Query` of texts, pictures and volumes; see `search.search`.

        Raises StoreError, FilterError, ImageError, TextError.
        """
        if (text is None) == (query is None):
            raise StoreError("search takes a text or a Query", hint='index.search("chest x-ray")')
        query = query or Query(texts=(text or "",))
        table = self._table()
        vector = query_vector(query, lambda: self.model)
        if vector.shape != (self.about.dimensions,):
            raise StoreError(f"a vector of {vector.size} numbers, and the index has {self.about.dimensions}")
        kind = "volume" if query.volumes else None
        return search(table, vector, k=k, where=where, kind=kind, per=per, rerank=rerank, exact=exact)

    def info(self) -> Info:
        """What it holds."""
        table = self._table()
        kinds = lance.read_columns(table, ["kind"])["kind"].value_counts().to_pylist()
        names = [index.name for index in table.list_indices()]
        stats = table.index_stats(names[0]) if names else None
        return Info(
            about=self.about,
            n_rows=table.count_rows(),
            kinds={one["values"]: one["counts"] for one in sorted(kinds, key=itemgetter("counts"), reverse=True)},
            user_columns=tuple(user_columns(table.schema)),
            version=table.version,
            n_bytes=lance.n_bytes(self.folder),
            is_approximate=tuned(table) is not None,
            n_unindexed=stats.num_unindexed_rows if stats else 0,
        )

    def optimize(self, *, approximate_from: int = check.APPROXIMATE_FROM) -> check.Recall | None:
        """Joins small files, and from so many rows on builds the approximate index; its recall, None without one.

        States older than a week are given up. Raises StoreError where the index cannot be tuned.
        """
        table = self._table()
        table.optimize()
        return check.build(table) if table.count_rows() >= max(approximate_from, 256) else None

    def check(self, *, n_queries: int = 100, k: int = 10) -> check.Recall:
        """The recall of approximate search beside exact search. Raises StoreError without an approximate index."""
        return check.check(self._table(), n_queries=n_queries, k=k)

    def evaluate(
        self,
        label: str,
        *,
        ks: Sequence[int] = KS,
        n_queries: int = 1_000,
        apart: str | None = None,
        features: Features | None = None,
    ) -> Precision:
        """Precision@k of search against the labels in a column; see `evaluate.evaluate`, and `evaluate_features`."""
        if features is not None:
            return evaluate_features(self._table(), label, features, ks=ks, n_queries=n_queries, apart=apart)
        return evaluate(self._table(), label, ks=ks, n_queries=n_queries, apart=apart)

    def clusters(
        self, *, n_clusters: int | None = None, layout: Layout = "pca", where: str = "", max_points: int = 2_000
    ) -> Clusters:
        """Groups of rows that are alike, and their map; see `clusters.cluster`."""
        return cluster(self._table(), n_clusters=n_clusters, layout=layout, where=where, max_points=max_points)

    def duplicates(self, *, cosine: float = 0.99, where: str = "") -> Iterator[Duplicate]:
        """Pairs of rows that are nearly the same; see `duplicates.duplicates`."""
        return duplicates(self._table(), cosine=cosine, where=where)

    def versions(self) -> list[Version]:
        """The states that can be restored, oldest first."""
        return [
            Version(number=one["version"], time=one["timestamp"], n_rows=int(one["metadata"].get("total_rows", 0)))
            for one in self._table().list_versions()
        ]

    def restore(self, version: int) -> None:
        """Makes an earlier state the newest one; those between stay. Raises StoreError for one that is not there."""
        if version not in {one.number for one in self.versions()}:
            raise StoreError(f"{self.folder}: no version {version}", hint="`dualsight index versions` lists them")
        with lance.writing(self.folder):
            table = self._table()
            table.checkout(version)
            table.restore()

    def batches(self, where: str = "") -> Iterable[pa.RecordBatch]:
        """All rows with their vectors, a batch at a time; with the table's schema and metadata."""
        table = self._table()
        query = table.search()
        if where:
            query = query.where(render(parse(where, filter_columns(table.schema))))
        return query.limit(None).to_batches(batch_size=BATCH_ROWS)

    @property
    def schema(self) -> pa.Schema:
        """The columns, and in its metadata which model made the vectors."""
        return self._table().schema

    def _table(self) -> Table:
        return lance.open_table(self.folder)

    def _about_to_be(self, model: Model, key: bytes | None) -> About:
        """What the table says or is going to say. Raises StoreError for a key that is not the table's."""
        dimensions = model.config.dual.projection
        new = About(model=model.name, fingerprint=model.fingerprint, dimensions=dimensions, key_check=key_check(key))
        if lance.has_table(self.folder) and self.about.key_check != new.key_check:
            have = "plain names" if self.about.key_check is None else "names under hashes"
            want = "plain ones" if key is None else "hashes" if self.about.key_check is None else "those of another key"
            raise StoreError(
                f"{self.folder}: holds {have}, and {want} would be added", hint="keep them in an index of their own"
            )
        return new


def _check_model(model: Model, about: About, folder: lance.Place) -> None:
    if model.fingerprint != about.fingerprint:
        problem = (
            f"{folder}: its vectors are of the model {about.model} ({about.fingerprint[:12]}…), and not of "
            f"{model.name} ({model.fingerprint[:12]}…): they cannot be compared"
        )
        raise StoreError(problem, hint=f"--model {about.model}, or an index of its own")
