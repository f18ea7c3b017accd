"""How much work a client should hold."""

from __future__ import annotations

import pytest

from crucible_ray.runtime.pacing import Pace


def test_an_idle_client_gets_its_window_and_a_little_to_follow() -> None:
    pace = Pace(64)
    assert 64 < pace.wanted(0, 0) <= 128


def test_a_client_with_enough_in_its_queue_gets_nothing() -> None:
    pace = Pace(64)
    assert pace.wanted(pace.low_water + 1, 64) == 0
    assert pace.wanted(pace.low_water, 64) > 0


def test_even_the_smallest_window_gets_one_trial() -> None:
    assert Pace(1).wanted(0, 0) >= 1
    assert Pace(1).wanted(0, 1) >= 1


def test_the_queue_grows_with_the_rate_at_which_trials_finish() -> None:
    pace = Pace(8)
    low, wanted = pace.low_water, pace.wanted(0, 8)
    for second in range(20):
        pace.on_report(1000, now_s=float(second))
    assert pace.low_water == pytest.approx(250, rel=0.1)
    assert pace.wanted(0, 8) == pytest.approx(1000, rel=0.1)
    assert (pace.low_water, pace.wanted(0, 8)) > (low, wanted)


def test_a_rate_that_falls_is_forgotten_within_seconds() -> None:
    pace = Pace(8)
    for second in range(10):
        pace.on_report(1000, now_s=float(second))
    for second in range(10, 20):
        pace.on_report(0, now_s=float(second))
    assert pace.low_water < 5


def test_reports_of_the_same_moment_do_not_make_a_rate() -> None:
    pace, fresh = Pace(8), Pace(8)
    for _ in range(3):
        pace.on_report(1000, now_s=5.0)
    assert pace.low_water == fresh.low_water
