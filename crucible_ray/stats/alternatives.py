"""A result read against a margin, or on one side: p from a formula where there is one, else off the interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical, two_sided_p
from crucible_ray.stats.inputs import direction
from crucible_ray.stats.result import TestResult

_SYMMETRIC = {"student_t", "welch_t", "paired_t", "clustered_t", "stratified_t", "cluster_t", "benchmark_t"}
"""Tests whose interval is the estimate and as much on either side."""


def towards(result: TestResult, against: Callable[[float], float], side: str, margin: float) -> TestResult:
    """The same result with p against the margin, on the side of the alternative."""
    if result.p_value is None or result.estimate is None:
        return result
    if result.ci_low is None or result.ci_high is None:
        raise StatsError(f"{result.test} has no interval to read a margin or a side off: leave out margin=")
    p_value = result.p_value if margin == 0.0 else against(margin)
    above = result.estimate > margin
    statistic = result.statistic
    if margin != 0.0 and statistic is not None and result.symbol is None and 0 < p_value < 1:
        statistic = math.copysign(critical(p_value, result.df), 1.0 if above else -1.0)
    elif margin != 0.0:
        statistic = None
    if side != "two-sided":
        agrees = above == (side == "greater")
        p_value = p_value / 2 if agrees else 1 - p_value / 2
    size = f"{margin:+.4g}" if margin else "0"
    says = {
        "two-sided": (f"The difference is not {size}", f"A difference of {size} is not excluded"),
        "greater": (f"The difference is above {size}", f"The data do not show a difference above {size}"),
        "less": (f"The difference is below {size}", f"The data do not show a difference below {size}"),
    }[side]
    return replace(result, p_value=p_value, statistic=statistic, alternative=direction(side), says=says)


def p_against(run: Callable[[float], TestResult], result: TestResult, margin: float) -> float:
    """The level at which the interval's end lies at the margin."""
    from scipy.optimize import brentq

    estimate = result.estimate
    assert estimate is not None
    assert result.ci_low is not None
    assert result.ci_high is not None
    if estimate == margin:
        return 1.0
    if result.test in _SYMMETRIC:
        error = (result.ci_high - result.ci_low) / 2 / critical(result.alpha, result.df)
        return two_sided_p((estimate - margin) / error, result.df)

    def gap(log_level: float) -> float:
        found = run(math.exp(log_level))
        end = found.ci_low if estimate > margin else found.ci_high
        if end is None:  # beyond every margin
            return -abs(estimate - margin)
        return end - margin if estimate > margin else margin - end

    least, most = math.log(1e-12), math.log(1 - 1e-9)
    if gap(least) >= 0:
        return 1e-12
    if gap(most) <= 0:
        return 1.0
    return math.exp(float(brentq(gap, least, most, xtol=1e-12)))
