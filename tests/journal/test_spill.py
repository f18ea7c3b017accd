"""Sorting on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from crucible_ray.errors import DamagedEntry, StorageFailed
from crucible_ray.journal.spill import Ints, in_batches, sorted_on_disk

SCHEMA: pa.Schema = pa.schema([("key", pa.int64()), ("text", pa.string())])


def keyed(numbers: Ints) -> pa.Table:
    return pa.table([pa.array(numbers), pa.array([f"t{n}" for n in numbers])], schema=SCHEMA)


def thousands(keys: pa.ChunkedArray) -> Ints:
    return np.asarray(keys.to_numpy() // 1000, np.int64)


def test_rows_come_out_sorted_and_whole_and_the_scratch_folder_empty(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).permutation(50_000)
    tables = [keyed(numbers[k : k + 777]) for k in range(0, len(numbers), 777)]
    found = pa.concat_tables(sorted_on_disk(tables, SCHEMA, "key", thousands, tmp_path))
    assert found.equals(keyed(np.arange(50_000)))
    assert list(tmp_path.iterdir()) == []


def test_batches_are_cut_alike_however_the_tables_were() -> None:
    whole = keyed(np.arange(1000))
    for size in (1, 99, 100, 101, 1000):
        batches = list(in_batches((whole.slice(k, size) for k in range(0, 1000, size)), 100))
        assert [batch.num_rows for batch in batches] == [100] * 10
        assert pa.Table.from_batches(batches).equals(whole)
    assert [batch.num_rows for batch in in_batches([whole], 300)] == [300, 300, 300, 100]
    assert list(in_batches([whole.slice(0, 0)], 300)) == []


def test_a_scratch_folder_that_is_gone_ends_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="gone"):
        list(sorted_on_disk([keyed(np.arange(3))], SCHEMA, "key", thousands, tmp_path / "gone"))


def test_what_goes_wrong_with_the_source_is_passed_on_as_it_is(tmp_path: Path) -> None:
    def broken() -> list[pa.Table]:
        raise DamagedEntry("checkpoint_000001.parquet", "torn", "Mend it.")

    with pytest.raises(DamagedEntry):
        list(
            sorted_on_disk(
                (table for _ in range(1) for table in broken()), SCHEMA, "key", thousands, tmp_path
            )
        )
