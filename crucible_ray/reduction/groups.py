"""Three conditions or more: whether they differ at all, then all against the baseline or every two, as one family."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crucible_ray import stats
from crucible_ray.errors import StatsError
from crucible_ray.metrics.registry import metric_of
from crucible_ray.reduction.asking import Asker
from crucible_ray.reduction.beside import OF_GROUPS, size
from crucible_ray.reduction.comparisons import NOT_COMPARED
from crucible_ray.reduction.decisions import Group, GroupPair, Size
from crucible_ray.stats.inputs import means_of
from crucible_ray.stats.result import Floats

if TYPE_CHECKING:
    from crucible_ray.experiment.plan import Plan


def groups_of(asker: Asker) -> tuple[Group, ...]:
    """Every declared metric that is a mean, over all conditions; nothing where there are two.

    Quantiles and ratios of totals have no test over all: their pairs are held together by Holm's steps.
    """
    plan = asker.plan
    if len(plan.conditions) < 3:
        return ()
    names = [name for name in plan.metrics if metric_of(plan, name).per_trial and name not in NOT_COMPARED]
    return tuple(_group(asker, name) for name in names)


def _group(asker: Asker, name: str) -> Group:
    plan, analysis = asker.plan, asker.plan.analysis
    values = {each.name: asker.values(name, k) for k, each in enumerate(plan.conditions)}
    against = None if analysis.pairs == "all" else analysis.baseline or plan.conditions[0].name
    try:
        found = stats.compare_groups(
            values,
            paired=True,
            clusters=asker.table.clusters,
            strata=asker.strata,
            baseline=against,
            kind=asker.metric(name).kind if analysis.auto_select_test else "continuous",
            alpha=asker.alpha,
        )
    except StatsError as nothing:
        return Group(metric=name, test=None, reason=str(nothing), against=against)
    overall = found.overall
    return Group(
        metric=name,
        test=overall.test,
        statistic=overall.statistic,
        df=overall.df,
        df_error=overall.df_error,
        p_value=overall.p_value,
        apa=overall.apa(),
        reason=found.reason,
        against=against,
        method=found.family.correction,
        pairs=tuple(
            GroupPair(
                a=each.a,
                b=each.b,
                estimate=each.estimate,
                test=each.test,
                p_value=each.p_value,
                p_adjusted=each.p_adjusted,
                ci_low=each.ci_low,
                ci_high=each.ci_high,
            )
            for each in found.family
        ),
        sizes=_sizes(plan, list(values.values()), overall.test, asker.alpha),
        naive_p=None if found.naive is None else found.naive.p_value,
        notes=(*overall.notes, *found.notes),
    )


def _sizes(plan: Plan, values: list[Floats], test: str, alpha: float) -> tuple[Size, ...]:
    means = np.column_stack(means_of(*values))
    complete = means[~np.isnan(means).any(axis=1)]
    asked = [each for each in plan.analysis.effect_sizes if each in OF_GROUPS]
    wanted = asked or (["kendalls_w"] if test == "friedman" else [])
    return tuple(size(measure, list(complete.T), alpha) for measure in wanted)
