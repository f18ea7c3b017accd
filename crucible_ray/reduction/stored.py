"""The rows of a finished folder as arrays again: what `results.parquet` holds, as the reduction wants it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crucible_ray.reduction.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

    from crucible_ray.experiment.plan import Plan
    from crucible_ray.records import Item

_COLUMNS = ["trial", "error", "correct", "latency_ms", "cost_usd", "consensus"]


def stored_table(plan: Plan, path: Path, items: Sequence[Item] = ()) -> Table:
    """The table of a plan's `results.parquet`. items: the plan's, which tell of clusters. Raises OSError."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = Table(plan, items)
    for batch in own_values(plan, path):
        table.add_own(batch)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=_COLUMNS):
            latency_us = pc.multiply(batch["latency_ms"], 1000.0)
            columns = [latency_us if name == "latency_ms" else batch[name] for name in _COLUMNS]
            names = ["latency_us" if name == "latency_ms" else name for name in _COLUMNS]
            table.add(pa.RecordBatch.from_arrays(columns, names=names))
    return table


def own_values(plan: Plan, path: Path) -> Iterator[pa.RecordBatch]:
    """`trial` and the columns of the author's own metrics, as far as a `results.parquet` has them. Raises OSError."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = [each.name for each in plan.own_metrics if each.name in file.schema_arrow.names]
        if names:
            yield from file.iter_batches(columns=["trial", *names])
