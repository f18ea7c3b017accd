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
        self.call_s = 0.0
        """From send to answer, summed over calls."""
        self.peak = 0
        """Trials in flight at most."""
        self.half_s = 0.0
        """When at least half as many as at the peak were last in flight."""
        self._in_flight: dict[int, int] = {}

    def add(self, table: pa.Table) -> None:
        """Count rows that are the first for their trial."""
        self.rows += table.num_rows
        recorded = int(pc.sum(pc.list_value_length(table["calls"])).as_py() or 0)
        self.calls += recorded - int(pc.sum(table["unsent"]).as_py() or 0)
        self.call_s += sum(_seconds_of(chunk.flatten()) for chunk in table["calls"].chunks)
        if table["error"].null_count < table.num_rows:
            for entry in pc.value_counts(table["error"].drop_null()).to_pylist():
                self.errors[entry["values"]] += entry["counts"]
        self.failed = sum(n for error, n in self.errors.items() if error not in ANSWERED)

    def hear(self, client: int, report: Report, *, now_s: float) -> None:
        """Add up what a client counted since its last report."""
        self._in_flight[client] = sum(report.in_flight)
        in_flight = sum(self._in_flight.values())
        self.peak = max(self.peak, in_flight)
        if in_flight and 2 * in_flight >= self.peak:
            self.half_s = now_s
        self.retries += report.retries
        self.throttled += report.throttled
        self.quota_wait_s += report.quota_wait_s
        self.lag_s = max(self.lag_s, report.lag_s)
        self.client_cpu_s[client, report.generation] = report.cpu_s


def _seconds_of(calls: pa.StructArray) -> float:
    spans = pc.subtract(pc.struct_field(calls, "ended_us"), pc.struct_field(calls, "started_us"))
    return (pc.sum(spans).as_py() or 0) / 1e6
