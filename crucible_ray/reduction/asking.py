"""What is asked of `crucible_ray.stats` about two conditions: the kind of outcome from the metric, the design from the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crucible_ray import stats
from crucible_ray.metrics.registry import Metric, metric_of
from crucible_ray.reduction.table import Table
from crucible_ray.stats.comparing_quantiles import compare_quantiles
from crucible_ray.stats.comparing_ratios import compare_ratios
from crucible_ray.stats.inputs import means_of
from crucible_ray.stats.result import Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crucible_ray.experiment.plan import Plan

_POOLED = "datasets are pooled, since clusters are the unit: what lies between datasets counts as noise"


@dataclass(frozen=True, slots=True)
class Pair:
    """One metric of two conditions, a - b; conditions by position."""

    metric: str
    a: int
    b: int


def pair_of(plan: Plan, metric: str, a: str, b: str) -> Pair:
    """The pair of two conditions that are named."""
    names = [each.name for each in plan.conditions]
    return Pair(metric, names.index(a), names.index(b))


class Asker:
    """Asks about the pairs of one run; what was asked before is not computed again."""

    def __init__(self, plan: Plan, table: Table) -> None:
        self.plan, self.table = plan, table
        self._answers: dict[tuple[Pair, float, float, bool], stats.Comparison] = {}
        self.alpha = round(1 - plan.analysis.confidence, 12)

    def metric(self, name: str) -> Metric:
        """The metric of that name. Raises SpecError."""
        return metric_of(self.plan, name)

    def names(self, pair: Pair) -> tuple[str, str]:
        """Of a and b."""
        return self.plan.conditions[pair.a].name, self.plan.conditions[pair.b].name

    def values(self, name: str, condition: int) -> Floats:
        """A metric's values of one condition, shape [items, repeats]; +inf where a latency is censored."""
        declared = self.metric(name)
        if declared.quantile is not None:
            return self.table.latencies(condition)
        return self.table.values(declared.column, condition)

    def ask(
        self, pair: Pair, alpha: float | None = None, *, margin: float = 0.0, whole: bool = False
    ) -> stats.Comparison:
        """a - b at 1 - alpha, the experiment's own where none is given; p is against the margin.

        whole: with the naive answer, tests of assumptions and other tests beside it. Raises StatsError where nothing
        can be compared.
        """
        asked = pair, self.alpha if alpha is None else alpha, margin, whole
        if asked not in self._answers:
            self._answers[asked] = self._answer(*asked)
        return self._answers[asked]

    def _answer(self, pair: Pair, level: float, margin: float, whole: bool) -> stats.Comparison:
        declared, table, analysis = self.metric(pair.metric), self.table, self.plan.analysis
        if declared.quantile is not None:
            return compare_quantiles(
                table.latencies(pair.b),
                table.latencies(pair.a),
                declared.quantile,
                clusters=table.clusters,
                margin=margin,
                resamples=analysis.bootstrap_iterations,
                seed=self.plan.seed,
                alpha=level,
            )
        if declared.over is not None:
            sides = [
                (table.values(declared.column, index), table.values(declared.over, index))
                for index in (pair.b, pair.a)
            ]
            return compare_ratios(
                *sides,
                clusters=table.clusters,
                margin=margin,
                resamples=analysis.bootstrap_iterations,
                seed=self.plan.seed,
                alpha=level,
            )
        return stats.compare(
            table.values(declared.column, pair.b),
            table.values(declared.column, pair.a),
            paired=True,
            clusters=table.clusters,
            strata=self.strata,
            test="auto" if analysis.auto_select_test else "clustered_difference",
            kind=declared.kind,
            margin=margin,
            alpha=level,
            checks=whole and analysis.check_assumptions,
            naive=whole,
        )

    @property
    def strata(self) -> NDArray[np.int64] | None:
        """The dataset of each item, where there are several and items are the unit."""
        return None if self.table.clusters is not None else self.table.strata

    def design_notes(self) -> tuple[str, ...]:
        """What the design leaves out."""
        both = self.table.clusters is not None and self.table.strata is not None
        return (_POOLED,) if both else ()

    def items(self, pair: Pair) -> int:
        """Items with a value under both conditions."""
        found = [~np.isnan(self.values(pair.metric, index)).all(axis=1) for index in (pair.a, pair.b)]
        return int((found[0] & found[1]).sum())

    def means(self, pair: Pair) -> tuple[Floats, Floats]:
        """Item means of b and of a, over the items that have both; shape [items] each."""
        found = means_of(*(self.values(pair.metric, index) for index in (pair.b, pair.a)))
        both = ~np.isnan(found[0]) & ~np.isnan(found[1])
        return found[0][both], found[1][both]
