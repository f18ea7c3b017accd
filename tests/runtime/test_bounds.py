"""What bound a run, by the numbers that say so."""

from __future__ import annotations

from typing import Any

import pytest

from crucible_ray.runtime.bounds import Load, bound_by

QUIET: dict[str, Any] = {"driven_s": 10.0, "calls": 1000, "call_s": 500.0, "peak": 48}


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({}, "calls in flight (about 50 at a time) and how long each takes (0.5 s)"),
        ({"driven_s": 0.2}, "nothing that so short a run would show (0.2 s of asking)"),
        ({"calls": 0}, "nothing: no call was needed"),
        ({"calls": 0, "cut_short": True}, "nothing was asked yet"),
        ({"throttled": 30}, "the provider's refusals (30 x 429 in 1,000 calls)"),
        (
            {"throttled": 5, "quota_wait_s": 120.0},
            "the provider's limit (12 calls waited for a slot on average)",
        ),
        (
            {"quota_wait_s": 120.0, "own_rate": 50.0},
            "the experiment's rate limit (50 a second) or the provider's limit (12 calls waited for a slot on average)",
        ),
        (
            {"quota_wait_s": 739.0, "at_once": ("gpt (20)", "haiku (5)"), "limited": False},
            "max_concurrency of gpt (20), haiku (5) (73.9 calls waited for a slot on average)",
        ),
        (
            {"quota_wait_s": 120.0, "at_once": ("gpt (20)",), "limited": True},
            "max_concurrency of gpt (20) or the provider's limit (12 calls waited for a slot on average)",
        ),
        (
            {"quota_wait_s": 120.0, "at_once": ("gpt (20)",), "limited": False, "throttled": 1},
            "max_concurrency of gpt (20) or the provider's limit (12 calls waited for a slot on average)",
        ),
        ({"call_s": 2_000.0}, "calls in flight (about 200 at a time) and how long each takes (2 s)"),
        ({"quota_wait_s": 4.0}, "calls in flight (about 50 at a time) and how long each takes (0.5 s)"),
        (
            {"client_cpu_s": 18.0, "clients": 2},
            "our CPU (clients were busy 90 % of the time): more clients (--clients) would help",
        ),
        (
            {"client_cpu_s": 18.0, "clients": 2, "cores": 2},
            "our CPU (clients were busy 90 % of the time): another machine would help",
        ),
        (
            {"client_cpu_s": 9.0, "in_process": True, "cores": 4},
            "our CPU (clients were busy 90 % of the time): Ray with more clients (no --in-process) would help",
        ),
        (
            {"client_cpu_s": 9.0, "in_process": True, "cores": 1},
            "our CPU (clients were busy 90 % of the time): another machine would help",
        ),
        (
            {"calls": 5, "call_s": 0.027, "driven_s": 11.0},
            "what stands around calls, as starting clients and recording (all calls together took 0.027 s of 11.0 s)",
        ),
        ({"tail_s": 4.0}, "the tail (the last 4.0 s of 10.0 s with fewer than half of 48 trials in flight)"),
        ({"finishing_s": 30.0}, "scoring and writing results (30.0 s, against 10.0 s of asking)"),
    ],
)
def test_the_one_thing_that_held_a_run_up_is_named_with_its_numbers(how: dict[str, Any], told: str) -> None:
    assert bound_by(Load(**(QUIET | how))) == told
