"""Restart intensity."""

from __future__ import annotations

from crucible_ray.runtime.supervision import RestartBudget, Verdict


def test_third_crash_inside_the_window_exhausts_the_restart_budget() -> None:
    budget = RestartBudget(max_restarts=2, window_s=60.0)
    verdicts = [budget.on_crash(now_s=t) for t in (0.0, 10.0, 20.0)]
    assert verdicts == [Verdict.RESTART, Verdict.RESTART, Verdict.GIVE_UP]


def test_crashes_older_than_the_window_are_forgotten() -> None:
    budget = RestartBudget(max_restarts=2, window_s=60.0)
    verdicts = [budget.on_crash(now_s=t) for t in (0.0, 30.0, 60.0, 89.0, 121.0)]
    assert verdicts == [Verdict.RESTART] * 3 + [Verdict.GIVE_UP, Verdict.RESTART]


def test_without_restarts_the_first_crash_is_one_too_many() -> None:
    assert RestartBudget(max_restarts=0, window_s=60.0).on_crash(now_s=0.0) is Verdict.GIVE_UP
