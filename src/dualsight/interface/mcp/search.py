"""The tool that looks into an index of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from dualsight.errors import TextError
from dualsight.image.source import container_of
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.index_view import check_columns, visible_rows
from dualsight.interface.mcp.pictures import FilePath
from dualsight.interface.mcp.roots import Roots
from dualsight.store.hits import SCORE, Hits
from dualsight.store.index import Index
from dualsight.store.query import Query


@dataclass(frozen=True, kw_only=True)  # without slots: the SDK takes them for default values
class Hit:
    """A row that was found. score: a cosine, 1 for the same. file_path: what the other tools take, where they may."""

    score: float
    source: str
    file_path: str | None
    fields: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Found:
    """The nearest rows, and among how many."""

    n_rows: int
    hits: list[Hit]


class IndexTools:
    """What an agent may ask of an index. Methods are the tools; their docstrings are for agents."""

    def __init__(self, index: Index, roots: Roots) -> None:
        """index: opened with the model that made it. Raises StoreError where there is none, or it is another's."""
        self._index = index
        self._roots = roots
        _ = index.about, index.model

    @property
    def tools(self) -> tuple[Callable[..., Any], ...]:
        """What an agent may call."""
        return (self.search_images,)

    def search_images(
        self,
        text: Annotated[str | None, Field(description="what to look for, in words")] = None,
        file_path: FilePath | None = None,
        unlike: Annotated[str | None, Field(description="what the hits should not be, in words")] = None,
        where: Annotated[
            str, Field(description="a filter such as modality = 'CT' and rows > 100; describe_model lists the columns")
        ] = "",
        k: Annotated[int, Field(ge=1, le=100, description="how many hits")] = 10,
    ) -> Found:
        """The pictures of the index that are most like a text, a picture, or both, nearest first.

        Likeness is the model's, not a finding: hits look alike to it. Research software: never a diagnosis.
        """
        if text is None and file_path is None:
            raise TextError("nothing to look for", hint="give text, file_path or both")
        ServerLimits().check_texts([text or "", unlike or ""])
        check_columns(self._index, where)
        query = Query(
            texts=() if text is None else (text,),
            images=() if file_path is None else (self._roots.item(file_path),),
            unlike=() if unlike is None else (unlike,),
        )
        hits = self._index.search(query=query, where=where, k=k)
        return Found(n_rows=hits.n_rows, hits=self._rows(hits))

    def _rows(self, hits: Hits) -> list[Hit]:
        return [
            Hit(
                score=row.pop(SCORE),
                source=row.pop("source"),
                file_path=self._openable(path),
                fields={name: value for name, value in row.items() if value is not None},
            )
            for row, path in zip(visible_rows(hits), hits.column("path"), strict=True)
        ]

    def _openable(self, path: str | None) -> str | None:
        """The path, where the other tools would open it: of an archive's member it is the archive's."""
        return path if path is not None and self._roots.holds(path) and container_of(Path(path)) is None else None
