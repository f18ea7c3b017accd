"""Sorting what memory does not hold: rows go to files by ranges of their key, then each file is sorted alone.

A database's external sort was tried first: DuckDB 2.0 under a memory limit fails on rows with nested calls as
soon as their texts exceed it. Keys here spread evenly, so the textbook's distribution sort is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crucible_ray.errors import StorageFailed

Ints = NDArray[np.int64]

BUCKETS = 256
"""Files open at once; a 256th of the data is what has to fit into memory."""
_GATHER_BYTES = 64 << 20
"""Small tables are gathered up to this before they are dealt out: pieces stay large enough to be cheap."""
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def sorted_on_disk(
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    key: str,
    bucket_of: Callable[[pa.ChunkedArray], Ints],
    scratch: Path,
) -> Iterator[pa.Table]:
    """All rows of `tables`, sorted by the column `key`, bucket after bucket; equal keys in no set order.

    `bucket_of`: keys to buckets from 0, at most about BUCKETS of them, shape [n]; never falling as the key
    rises. Files in `scratch` go as they are read. Raises StorageFailed, and what reading `tables` raises.
    """
    paths: dict[int, Path] = {}
    with _storage_of(scratch), ExitStack() as stack:
        writers: dict[int, pa.RecordBatchWriter] = {}
        for table in _gathered(tables):
            for bucket, piece in _dealt(table, bucket_of(table[key])):
                if bucket not in writers:
                    paths[bucket] = scratch / f"{key}_{bucket:03d}.arrow"
                    made = pa.ipc.new_stream(str(paths[bucket]), schema, options=_OPTIONS)
                    writers[bucket] = stack.enter_context(made)
                writers[bucket].write_table(piece.cast(schema))
    for _, path in sorted(paths.items()):
        with _storage_of(scratch):
            with pa.OSFile(str(path)) as file:
                table = pa.ipc.open_stream(file).read_all()
            path.unlink()
        yield table.sort_by(key)


def in_batches(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of exactly `rows`, the last one excepted, however they were cut before."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        if count >= rows:
            whole = pa.concat_tables(held)
            cut = count - count % rows
            yield from (_one_batch(whole.slice(k, rows)) for k in range(0, cut, rows))
            held, count = [whole.slice(cut)], count - cut
    if count:
        yield _one_batch(pa.concat_tables(held))


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]


def _gathered(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    size = 0
    for table in tables:
        held.append(table)
        size += table.nbytes
        if size >= _GATHER_BYTES:
            yield pa.concat_tables(held)
            held, size = [], 0
    if held:
        yield pa.concat_tables(held)


def _dealt(table: pa.Table, buckets: Ints) -> Iterator[tuple[int, pa.Table]]:
    """(bucket, its rows) for every bucket that has any."""
    if not len(buckets):
        return
    order = np.argsort(buckets, kind="stable")
    table = table.take(pa.array(order))
    present, starts = np.unique(buckets[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    for bucket, start, end in zip(present.tolist(), starts.tolist(), ends.tolist(), strict=True):
        yield bucket, table.slice(start, end - start)


@contextmanager
def _storage_of(scratch: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(str(scratch), error.strerror or str(error)) from error
