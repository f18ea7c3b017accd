"""What comparisons after several groups share: which pairs there are, and how they become a family."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from crucible_ray.errors import StatsError
from crucible_ray.stats.families import Pair, correct
from crucible_ray.stats.result import Floats

Names = Sequence[str] | None
Places = list[tuple[int, int]]


class Contrast(NamedTuple):
    """a - b, its standard error and the degrees of freedom of that (None: normal)."""

    a: int
    b: int
    estimate: float
    se: float
    df: float | None

    @property
    def statistic(self) -> float | None:
        return self.estimate / self.se if self.se > 0 else None


def paired_up(
    contrasts: Sequence[Contrast],
    plain: Sequence[float | None],
    adjusted: Sequence[float | None],
    halves: Sequence[float | None],
    labels: list[str],
) -> tuple[Pair, ...]:
    return tuple(
        Pair(
            a=labels[c.a],
            b=labels[c.b],
            estimate=c.estimate,
            statistic=c.statistic,
            p_value=p_value,
            p_adjusted=p_adjusted,
            ci_low=None if half is None else c.estimate - half,
            ci_high=None if half is None else c.estimate + half,
        )
        for c, p_value, p_adjusted, half in zip(contrasts, plain, adjusted, halves, strict=True)
    )


def corrected(p_values: Sequence[float | None], method: str) -> list[float | None]:
    """`correct` over the p-values that are there."""
    there = [p for p in p_values if p is not None]
    adjusted = iter(correct(there, method).tolist())
    return [None if p is None else next(adjusted) for p in p_values]


def pooled(values: Sequence[Floats]) -> float:
    within = math.fsum(math.fsum((group - group.mean()) ** 2) for group in values)
    largest = max(float(np.abs(group).max()) for group in values)
    variance = within / (sum(map(len, values)) - len(values))
    return 0.0 if variance <= (1e-14 * largest) ** 2 else variance


def gap(values: Sequence[Floats], a: int, b: int) -> float:
    return math.fsum(values[a]) / len(values[a]) - math.fsum(values[b]) / len(values[b])


def all_pairs(k: int) -> Places:
    return [(a, b) for b, a in combinations(range(k), 2)]


def against(k: int, base: int) -> Places:
    return [(a, base) for a in range(k) if a != base]


def labelled(names: Names, k: int) -> list[str]:
    labels = (
        [f"group {number}" for number in range(1, k + 1)] if names is None else [str(name) for name in names]
    )
    if len(labels) != k or len(set(labels)) != k:
        raise StatsError(f"{k} groups need {k} different names; these are {', '.join(labels)}")
    return labels


def place(baseline: int | str, labels: list[str]) -> int:
    if isinstance(baseline, str):
        if baseline not in labels:
            raise StatsError(f"no group {baseline!r} to be the baseline: {', '.join(labels)}")
        return labels.index(baseline)
    if not 0 <= baseline < len(labels):
        raise StatsError(f"baseline {baseline} is no place from 0 to {len(labels) - 1}")
    return baseline
