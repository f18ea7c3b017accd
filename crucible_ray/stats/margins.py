"""Tests against a margin: equivalence by two one-sided tests, non-inferiority, superiority; read off an interval.

| outcome | design | test and interval, each the other's dual |
| --- | --- | --- |
| 0 and 1 | paired | Tango's score test at the margin |
| 0 and 1 | independent | Miettinen and Nurminen's score test (Statistics in Medicine 4, 1985) |
| numbers | paired | Student's t on the differences |
| numbers | independent | Welch's t |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical, normal_cdf
from crucible_ray.stats.inputs import finite_margin, is_binary, pairs, two_samples
from crucible_ray.stats.paired import clustered_difference, tango_limits, tango_score
from crucible_ray.stats.result import Floats, Interval, TestResult, format_p
from crucible_ray.stats.verdicts import Verdict, verdict

_WORDS = {
    "supported": "is supported",
    "refuted": "is refuted",
    "reversed": "is reversed: the treatment is lower",
    "not_decided": "is not decided",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginResult(TestResult):
    """A test of treatment - control against one margin or two; `alpha` is one minus the interval's confidence."""

    __test__ = False

    claim: str
    """What the p-value's alternative and the verdict are about."""
    verdict: Verdict
    """Read off the interval: supported, refuted, reversed or not_decided."""

    @property
    def interpretation(self) -> str:
        """One sentence in words."""
        words = f'"{self.claim}" {_WORDS[self.verdict]}: difference {self.estimate:+.4g}'
        return (
            f"{words}, {100 * (1 - self.alpha):.4g} % interval {self.ci_low:+.4g} to {self.ci_high:+.4g}, "
            f"one-sided {format_p(self.p_value if self.p_value is not None else 1.0)}."
        )


class _Judge(NamedTuple):
    """A difference that can be tested against any value."""

    name: str
    estimate: float
    statistic: Callable[[float], float]
    """Of the null that the difference is this; falls in its argument."""
    interval: Callable[[float], Interval]
    df: float | None
    n: int
    assumptions: tuple[str, ...]
    notes: tuple[str, ...] = ()


def tost(
    control: ArrayLike,
    treatment: ArrayLike,
    margin: float | tuple[float, float],
    *,
    paired: bool = False,
    alpha: float = 0.05,
) -> MarginResult:
    """Equivalence: treatment - control lies inside (-margin, margin), or (low, high) (Schuirmann 1987).

    Two one-sided tests at alpha; p is the larger of theirs, and the interval the one at 1 - 2 alpha, inside the
    margins exactly where p < alpha. The variant is chosen by the table above. Raises StatsError on fewer than two
    values, unequal lengths of pairs, no spread, or margins that are no range.
    """
    ends = margin if isinstance(margin, tuple) else (margin, margin)
    low, high = (finite_margin(end, binary=False) for end in ends)
    if not isinstance(margin, tuple):
        low = -high
    if not low < high:
        raise StatsError(f"equivalence needs a range; {low:g} to {high:g} is none")
    judge = _judge(control, treatment, paired, (low, high))
    above, below = judge.statistic(low), judge.statistic(high)
    p_value = max(_upper(above, judge.df), _upper(-below, judge.df))
    middle, half = (low + high) / 2, (high - low) / 2
    interval = judge.interval(2 * alpha)
    found = verdict(interval.low - middle, interval.high - middle, "equivalence", half)
    statistic = above if abs(above) < abs(below) else below
    claim = f"the difference lies between {low:g} and {high:g}"
    return _result(judge, "tost", (statistic, p_value, interval, 2 * alpha), claim, found)


def non_inferiority(
    control: ArrayLike, treatment: ArrayLike, margin: float, *, paired: bool = False, alpha: float = 0.05
) -> MarginResult:
    """The treatment is worse by less than `margin` (> 0), where more is better: treatment - control > -margin.

    p is one-sided, held against alpha / 2 = .025, so that the verdict is read off the two-sided interval at 1 -
    alpha. Raises StatsError as `tost` does.
    """
    if not finite_margin(margin, binary=False) > 0:
        raise StatsError(f"a non-inferiority margin is above 0; {margin:g} is not: superiority has margin 0")
    judge = _judge(control, treatment, paired, (margin,))
    return _one_sided(judge, "non_inferiority", margin, alpha)


def superiority(
    control: ArrayLike,
    treatment: ArrayLike,
    margin: float = 0.0,
    *,
    paired: bool = False,
    alpha: float = 0.05,
) -> MarginResult:
    """The treatment is better by more than `margin`: treatment - control > margin.

    p is one-sided, held against alpha / 2 = .025, as in `non_inferiority`. Raises StatsError as `tost` does.
    """
    if finite_margin(margin, binary=False) < 0:
        raise StatsError(f"a superiority margin is 0 or more; for {margin:g} ask for non_inferiority")
    judge = _judge(control, treatment, paired, (margin,))
    return _one_sided(judge, "superiority", margin, alpha)


def _one_sided(judge: _Judge, relation: str, margin: float, alpha: float) -> MarginResult:
    bound = margin if relation == "superiority" else -margin
    statistic, interval = judge.statistic(bound), judge.interval(alpha)
    found = verdict(interval.low, interval.high, relation, margin)
    numbers = (statistic, _upper(statistic, judge.df), interval, alpha)
    return _result(judge, relation, numbers, f"the difference is above {bound:g}", found)


def _result(
    judge: _Judge, what: str, numbers: tuple[float, float, Interval, float], claim: str, found: Verdict
) -> MarginResult:
    statistic, p_value, interval, alpha = numbers
    return MarginResult(
        test=f"{what}_{judge.name}",
        statistic=statistic,
        df=judge.df,
        p_value=p_value,
        estimate=judge.estimate,
        ci_low=interval.low,
        ci_high=interval.high,
        n=judge.n,
        assumptions=judge.assumptions,
        notes=judge.notes,
        alpha=alpha,
        claim=claim,
        verdict=found,
    )


def _judge(control: ArrayLike, treatment: ArrayLike, paired: bool, margins: tuple[float, ...]) -> _Judge:
    before, after, notes = (pairs if paired else two_samples)(control, treatment)
    if is_binary(before, after):
        for margin in margins:
            finite_margin(margin, binary=True)
        judge = _tango(before, after) if paired else _miettinen(before, after)
        return judge._replace(notes=notes)
    if paired:
        judge = _of_t(*_student(before, after), ("the mean difference is near normal",))
        return judge._replace(notes=notes)
    independent = ("all values are independent of one another", "the means are near normal")
    return _of_t(*_welch(before, after), independent)._replace(notes=notes)


def _of_t(name: str, estimate: float, se: float, df: float, n: int, assumptions: tuple[str, ...]) -> _Judge:
    return _Judge(
        name=name,
        estimate=estimate,
        statistic=lambda delta: (estimate - delta) / se,
        interval=lambda alpha: Interval(
            estimate - critical(alpha, df) * se, estimate + critical(alpha, df) * se
        ),
        df=df,
        n=n,
        assumptions=assumptions,
    )


def _student(before: Floats, after: Floats) -> tuple[str, float, float, float, int]:
    result = clustered_difference(after - before)
    if result.statistic is None or result.ci_high is None or result.df is None or result.estimate is None:
        raise StatsError("every pair has the same difference: there is no spread to judge a margin by")
    se = (result.ci_high - result.estimate) / critical(result.alpha, result.df)
    return "paired_t", result.estimate, se, result.df, result.n


def _welch(before: Floats, after: Floats) -> tuple[str, float, float, float, int]:
    parts = [float(values.var(ddof=1)) / len(values) for values in (before, after)]
    squared = sum(parts)
    if squared <= 1e-28 * max(float(np.abs(values).max()) for values in (before, after)) ** 2:
        raise StatsError("neither sample has any spread: there is nothing to judge a margin by")
    df = squared**2 / sum(part**2 / (len(v) - 1) for part, v in zip(parts, (before, after), strict=True))
    estimate = math.fsum(after) / len(after) - math.fsum(before) / len(before)
    return "welch_t", estimate, math.sqrt(squared), df, len(before) + len(after)


def _tango(before: Floats, after: Floats) -> _Judge:
    n = len(before)
    gains, losses = float((after > before).sum()), float((after < before).sum())

    def statistic(delta: float) -> float:
        return float(tango_score(*(np.asarray(value, np.float64) for value in (gains, losses, n, delta))))

    def interval(alpha: float) -> Interval:
        low, high = tango_limits(gains, losses, n, alpha=alpha)
        return Interval(float(low), float(high))

    independent = ("pairs are independent of one another",)
    return _Judge("tango", (gains - losses) / n, statistic, interval, None, n, independent)


def _miettinen(before: Floats, after: Floats) -> _Judge:
    counts = (float(after.sum()), len(after), float(before.sum()), len(before))

    def statistic(delta: float) -> float:
        return score_of_difference(*counts, delta=delta)

    def interval(alpha: float) -> Interval:
        z = critical(alpha)
        return Interval(_bisect(statistic, z), _bisect(statistic, -z))

    estimate = counts[0] / counts[1] - counts[2] / counts[3]
    independent = ("all values are independent of one another",)
    n = len(before) + len(after)
    return _Judge("miettinen_nurminen", estimate, statistic, interval, None, n, independent)


def score_of_difference(successes: float, n: float, others: float, m: float, *, delta: float) -> float:
    """Miettinen and Nurminen's statistic of successes / n - others / m at a true difference `delta`.

    With their factor N / (N - 1); the shares are estimated under `delta` by the closed root of a cubic.
    """
    total = n + m
    third = ((n + 2 * m) * delta - total - successes - others) / (3 * total)
    linear = ((m * delta - total - 2 * others) * delta + successes + others) / total
    constant = others * delta * (1 - delta) / total
    c = third**3 - linear * third / 2 + constant / 2
    b = math.copysign(math.sqrt(max(third**2 - linear / 3, 0.0)), c)
    angle = (math.pi + math.acos(min(max(c / b**3, -1.0), 1.0))) / 3 if b else math.pi / 2
    other = min(max(2 * b * math.cos(angle) - third, 0.0, -delta), 1.0, 1 - delta)
    share = min(max(other + delta, 0.0), 1.0)
    variance = (share * (1 - share) / n + other * (1 - other) / m) * total / (total - 1)
    away = successes / n - others / m - delta
    if variance <= 0:
        return math.copysign(math.inf, away) if away else 0.0
    return away / math.sqrt(variance)


def _bisect(statistic: Callable[[float], float], target: float) -> float:
    low, high = -1.0, 1.0
    for _ in range(64):
        middle = (low + high) / 2
        low, high = (middle, high) if statistic(middle) > target else (low, middle)
    return (low + high) / 2


def _upper(statistic: float, df: float | None) -> float:
    """The upper tail of a z statistic, or of t where `df` is given."""
    if df is None:
        return normal_cdf(-statistic)
    from scipy.special import stdtr

    return float(stdtr(df, -statistic))
