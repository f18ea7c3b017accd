"""What came in so far, for people to watch."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from crucible_ray.records import Report
from crucible_ray.runtime.trial import ANSWERED


class Tally:
    """Counts over all clients and generations of one session."""

    def __init__(self) -> None:
        self.rows = 0
        self.failed = 0
        self.errors: Counter[str] = Counter()
        self.calls = 0
        self.retries = 0
        self.throttled = 0
        self.quota_wait_s = 0.0
        self.lag_s = 0.0
        self.deaths = 0
        self.handed_back = 0
        self.client_cpu_s: dict[tuple[int, int], float] = {}

    def add(self, table: pa.Table) -> None:
        """Count rows that are the first for their trial."""
        self.rows += table.num_rows
        recorded = int(pc.sum(pc.list_value_length(table["calls"])).as_py() or 0)
        self.calls += recorded - int(pc.sum(table["unsent"]).as_py() or 0)
        if table["error"].null_count < table.num_rows:
            for entry in pc.value_counts(table["error"].drop_null()).to_pylist():
                self.errors[entry["values"]] += entry["counts"]
        self.failed = sum(n for error, n in self.errors.items() if error not in ANSWERED)

    def hear(self, client: int, report: Report) -> None:
        """Add up what a client counted since its last report."""
        self.retries += report.retries
        self.throttled += report.throttled
        self.quota_wait_s += report.quota_wait_s
        self.lag_s = max(self.lag_s, report.lag_s)
        self.client_cpu_s[client, report.generation] = report.cpu_s
