"""What a provider's limits admit, to the request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crucible_ray.simulator.limits import (
    Arrivals,
    Limits,
    SlidingWindow,
    TokenBucket,
    sliding_max,
    sliding_min_full,
)

# Quarters are exact in binary, so that no boundary is a matter of rounding.
_times = st.lists(st.integers(0, 400).map(lambda quarter: quarter / 4), min_size=1, max_size=60).map(sorted)


def test_a_window_admits_its_count_and_says_exactly_when_the_next_fits() -> None:
    window = SlidingWindow(2, 10.0)
    assert [window.admit(0.0), window.admit(4.0), window.admit(5.0)] == [0.0, 0.0, 5.0]
    assert window.remaining(9.75) == 0
    assert window.admit(10.0) == 0.0
    assert window.admit(10.0) == 4.0


@given(_times, st.integers(1, 5))
def test_no_window_ever_holds_more_than_its_count_and_none_refuses_with_room(
    times: list[float], count: int
) -> None:
    window, admitted = SlidingWindow(count, 10.0), list[float]()
    for now_s in times:
        recent = sum(now_s - 10.0 < t for t in admitted)
        if window.admit(now_s) == 0.0:
            admitted.append(now_s)
            assert recent < count
        else:
            assert recent == count
    assert sliding_max(admitted, 10.0) <= count


def test_a_bucket_starts_full_empties_in_a_burst_and_refills_at_its_rate() -> None:
    bucket = TokenBucket(3.0, 0.5)
    assert [bucket.admit(100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 2.0]
    assert bucket.admit(101.0) == 1.0
    assert bucket.admit(102.0) == 0.0
    assert bucket.remaining(1_000.0) == 3


@given(_times)
def test_a_bucket_never_admits_more_than_its_size_and_refill(times: list[float]) -> None:
    bucket = TokenBucket(4.0, 0.25)
    admitted = [now_s for now_s in times if bucket.admit(now_s) == 0.0]
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= 4.0 + (admitted[last] - admitted[first]) * 0.25 + 1e-6


def test_whoever_waits_as_told_is_admitted() -> None:
    for limit in (SlidingWindow(7, 3.1), TokenBucket(2.0, 0.37)):
        now_s = 0.1
        for _ in range(200):
            wait_s = limit.admit(now_s)
            if wait_s:
                now_s += wait_s + 1e-9
                assert limit.admit(now_s) == 0.0


def test_each_key_has_a_counter_of_its_own_and_a_short_window_scales_the_rate() -> None:
    limits = Limits(120.0, "window", bucket_size=None, window_s=2.0)
    waits = {key: [limits.of(key).admit(0.0) for _ in range(5)] for key in ("x", "y")}
    assert waits == {key: [0.0, 0.0, 0.0, 0.0, 2.0] for key in ("x", "y")}


@given(_times)
def test_densest_and_sparsest_windows_match_a_count_over_every_window(times: list[float]) -> None:
    window_s = 5.0
    edges = [quarter / 8 for quarter in range(-80, 900)]
    counts = {a: sum(a < t <= a + window_s for t in times) for a in edges}
    assert sliding_max(times, window_s) == max(counts.values())
    full = [count for a, count in counts.items() if times[0] <= a and a + window_s <= times[-1]]
    assert sliding_min_full(times, window_s) == (min(full) if full else None)
    arrivals = Arrivals(window_s)
    for now_s in times:
        arrivals.add(now_s)
    assert arrivals.densest == sliding_max(times, window_s)


def test_times_that_span_no_window_have_no_sparsest_one() -> None:
    assert sliding_min_full([], 1.0) is None
    assert sliding_min_full([0.0, 0.5], 1.0) is None
    assert sliding_min_full([0.0, 0.1, 3.0], 1.0) == pytest.approx(0)
