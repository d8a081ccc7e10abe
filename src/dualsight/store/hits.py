"""What a search found, as a typed table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dualsight.errors import MissingExtra

if TYPE_CHECKING:
    import pandas

SCORE = "score"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hits:
    """The nearest rows of an index, by falling score.

    table: all columns of the index but the vector, and first `score`: the cosine, -1…1, of the query with the row.
    is_exact: every row was compared; otherwise an approximate index chose which. n_rows: of the index.
    """

    table: pa.Table
    is_exact: bool
    n_rows: int

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def scores(self) -> list[float]:
        """The cosines."""
        return list(self.table[SCORE].to_pylist())

    def column(self, name: str) -> list[Any]:
        """One column's values. Raises KeyError for one that is not there."""
        return list(self.table[name].to_pylist())

    def to_arrow(self) -> pa.Table:
        """The table."""
        return self.table

    def to_pandas(self) -> pandas.DataFrame:
        """The table as pandas has it. Raises MissingExtra without pandas."""
        try:
            return self.table.to_pandas()
        except ImportError as error:
            raise MissingExtra("pandas is not installed", hint="pip install pandas, or use to_arrow()") from error
