"""Tables in memory as records: Arrow, pandas and polars, told by what they can do, none of them imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crucible_ray.errors import DatasetError


def is_table(source: object) -> bool:
    """Whether `rows` can read it."""
    return any(hasattr(source, name) for name in ("to_arrow", "to_batches")) or _is_frame(source)


def rows(table: Any) -> Iterator[Mapping[str, Any]]:
    """One mapping a row, its cells as the table has them. Raises DatasetError for two columns of one name."""
    if hasattr(table, "to_arrow"):
        table = table.to_arrow()
    if hasattr(table, "to_batches"):
        for batch in table.to_batches():
            yield from batch.to_pylist()
    elif hasattr(table, "to_pylist"):
        yield from table.to_pylist()
    else:
        columns = [str(name) for name in table.columns]
        refuse_twice(columns, "dataset")
        for row in table.itertuples(index=False, name=None):
            yield dict(zip(columns, row, strict=True))


def refuse_twice(columns: Sequence[str], where: str) -> None:
    """Nobody can tell which of two columns of one name is meant. Raises DatasetError."""
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise DatasetError(
            f"{where}: {', '.join(map(repr, twice))} names more than one column. Rename or drop one."
        )


def _is_frame(source: object) -> bool:
    """A pandas frame, or an Arrow record batch."""
    return (hasattr(source, "itertuples") and hasattr(source, "columns")) or (
        hasattr(source, "to_pylist") and hasattr(source, "schema")
    )


def plain(cell: Any) -> Any:
    """A cell without numpy's and pandas' own types; None where pandas marks it as missing."""
    if hasattr(cell, "tolist"):
        cell = cell.tolist()
    if type(cell).__name__ in ("NAType", "NaTType"):
        return None
    return None if isinstance(cell, float) and cell != cell else cell
