"""What came in so far, and since when little was in flight."""

from __future__ import annotations

import pyarrow as pa
import pytest

from crucible_ray.records import Report
from crucible_ray.runtime.tally import Tally
from tests.reduction.rows import batches, row


def report(in_flight: int) -> Report:
    return Report(
        number=1,
        generation=0,
        rows=b"",
        unstarted=(0,),
        in_flight=(in_flight,),
        spent_usd=(),
        released_usd=(),
        wanted_usd=(),
    )


def test_the_tail_begins_when_fewer_than_half_of_the_peak_are_in_flight_over_all_clients() -> None:
    tally = Tally()
    for now_s, client, in_flight in ((1, 0, 10), (2, 1, 10), (3, 0, 2), (4, 1, 8), (5, 1, 7), (6, 0, 0)):
        tally.hear(client, report(in_flight), now_s=float(now_s))
    assert (tally.peak, tally.half_s) == (20, 4.0)


def test_the_time_of_calls_is_summed_over_rows() -> None:
    call = {"outcome": "ok", "started_us": 1_000_000, "ended_us": 1_500_000}
    rows = [row(k, calls=[call] * (k + 1), unsent=0) for k in range(4)]
    tally = Tally()
    tally.add(pa.Table.from_batches(batches(rows, 3)))
    assert (tally.rows, tally.calls) == (4, 10)
    assert tally.call_s == pytest.approx(5.0)
