"""What stands beside a comparison: effect sizes, checks of assumptions, other tests, and what its design could have found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from crucible_ray import stats
from crucible_ray.errors import StatsError
from crucible_ray.metrics.registry import Metric
from crucible_ray.reduction.asking import Asker, Pair
from crucible_ray.reduction.decisions import Check, Other, Size
from crucible_ray.stats.inputs import is_binary
from crucible_ray.stats.precision import achieved_power, detectable_difference, standard_error
from crucible_ray.stats.result import Floats, TestResult

OF_GROUPS = ("eta_squared", "omega_squared", "epsilon_squared", "kendalls_w", "cramers_v")
"""Effect sizes that any number of conditions may have."""
_FEW_UNITS = 2


def sizes_of(asker: Asker, pair: Pair) -> tuple[Size, ...]:
    """The effect sizes that were asked for, or what suits the outcome; none of quantiles and ratios of totals."""
    declared = asker.metric(pair.metric)
    if not declared.per_trial:
        return ()
    control, treatment = asker.means(pair)
    wanted = asker.plan.analysis.effect_sizes or _usual(declared, control, treatment)
    return tuple(size(measure, (control, treatment), asker.alpha) for measure in wanted)


def size(measure: str, groups: Sequence[Floats], alpha: float) -> Size:
    """One effect size of item means, by its name; where the data have none, why."""
    how: dict[str, Any] = {"paired": True} if measure == "rank_biserial" else {}
    function: Callable[..., stats.Effect] = getattr(stats, measure)
    try:
        if min(map(len, groups)) < _FEW_UNITS:
            raise StatsError("it needs two items or more")
        found = function(*(_counts(groups) if measure == "cramers_v" else groups), alpha=alpha, **how)
    except StatsError as nothing:
        return Size(measure=measure, value=None, notes=(str(nothing),))
    return Size(
        measure=measure,
        value=found.value,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        magnitude=found.magnitude,
        method=found.method,
        notes=found.notes,
    )


def _usual(declared: Metric, control: Floats, treatment: Floats) -> tuple[str, ...]:
    if declared.kind == "ordinal":
        return ("cliffs_delta", "rank_biserial")
    if declared.kind == "binary" and is_binary(control, treatment):
        return ("cohens_h",)
    return ("cohens_d", "cohens_dz")


def _counts(groups: Sequence[Floats]) -> tuple[list[list[int]]]:
    if not is_binary(*groups):
        raise StatsError("it is of outcomes of 0 and 1, one an item")
    return ([[int(each.sum()), int(len(each) - each.sum())] for each in groups],)


def checks_of(found: stats.Comparison, names: tuple[str, str]) -> tuple[Check, ...]:
    """The tests of assumptions. names: of a and b."""
    return tuple(
        Check(
            test=each.test,
            of=f"item means of {names[0]} and {names[1]}" if each.test == "levene" else "item differences",
            statistic=each.statistic,
            symbol=each.symbol,
            df=each.df,
            df_error=each.df_error,
            p_value=each.p_value,
            n=each.n,
            apa=each.apa(),
        )
        for each in found.checks
    )


def others_of(found: stats.Comparison) -> tuple[Other, ...]:
    """Other tests of the same difference."""
    return tuple(
        Other(test=each.test, p_value=each.p_value, method="; ".join(each.notes))
        for each in found.beside
        if each.p_value is not None
    )


def detectable_of(found: TestResult, power: float) -> float | None:
    """The smallest true difference that this design finds with `power`; None where there is no interval."""
    if found.ci_low is None or found.ci_high is None:
        return None
    error = standard_error(found.ci_low, found.ci_high, df=found.df, alpha=found.alpha)
    return detectable_difference(error, df=found.df, power=power, alpha=found.alpha)


def power_of(found: TestResult) -> float | None:
    """Achieved power: a function of p. None where there is no p."""
    return None if found.p_value is None else achieved_power(found.p_value, alpha=found.alpha)
