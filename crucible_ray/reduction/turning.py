"""A difference the other way round: b - a of a - b."""

from __future__ import annotations

from typing import TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from crucible_ray.reduction.analysis import Comparison, FixedSample, Naive
from crucible_ray.reduction.decisions import Adjusted

_Part = TypeVar("_Part", Comparison, Naive, FixedSample)


def turned(held: Comparison, fresh: Comparison) -> Comparison:
    """The comparison that an analysis holds, with a and b exchanged: its decision, family and what stands beside it.

    fresh: the same by itself, computed that way round; effect sizes, statistic and words come from there, unless the
    run could stop early, where the analysis has none.
    """
    told = replace(held, a=held.b, b=held.a) if held.fixed is not UNSET else fresh
    worst, best = across(held.worst, held.best)
    return replace(
        _turned(held, told),
        p_value=held.p_value,
        worst=worst,
        best=best,
        naive=held.naive and _turned(held.naive, held.naive),
        withheld=held.withheld,
        exploratory=held.exploratory,
        family=held.family,
        adjusted=held.adjusted and turned_adjusted(held.adjusted),
        fixed=held.fixed if held.fixed is UNSET else _turned(held.fixed, held.fixed),
    )


def turned_adjusted(adjusted: Adjusted) -> Adjusted:
    """The same decision of b - a."""
    low, high = across(adjusted.ci_low, adjusted.ci_high)
    return replace(adjusted, ci_low=low, ci_high=high)


def across(low: float | None, high: float | None) -> tuple[float | None, float | None]:
    """An interval of a - b as one of b - a."""
    return negative(high), negative(low)


def negative(value: float | None) -> float | None:
    """A difference, or an end of its interval, the other way round."""
    return None if value is None else 0.0 - value  # never -0.0


def _turned(held: _Part, into: _Part) -> _Part:
    """`into`, with estimate and interval of `held` the other way round."""
    low, high = across(held.ci_low, held.ci_high)
    return replace(into, estimate=negative(held.estimate), ci_low=low, ci_high=high)
