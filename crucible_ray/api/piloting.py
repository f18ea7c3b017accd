"""A results folder as a pilot of the next experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crucible_ray.api.places import find_results, read_config, store_of
from crucible_ray.api.preparing import Prepared
from crucible_ray.api.waiting import wait
from crucible_ray.errors import SpecError, StatsError, UsageError
from crucible_ray.estimating.pilots import Pilot
from crucible_ray.metrics.registry import metric_of
from crucible_ray.settings import did_you_mean
from crucible_ray.stats.pilots import spread_of


def pilot_of(where: str | Path, *, metric: str = "accuracy", conditions: Sequence[str] = ()) -> Pilot:
    """What a run says of one metric under two of its conditions, finished or not.

    conditions: control and treatment; none: the baseline and the only other one. Raises UsageError.
    """
    from crucible_ray.api.loading import read_result
    from crucible_ray.reduction.stored import stored_table

    folder = find_results(where)
    plan, items = read_config(folder)
    run = wait(read_result(plan, items, folder, store_of(plan, folder)))
    control, treatment = _pair([each.name for each in plan.conditions], plan.analysis.baseline, conditions)
    declared = metric_of(plan, metric)
    if not declared.per_trial:
        raise UsageError(
            f"{metric} is no value of single trials: a pilot needs one that is, latency_mean for example."
        )
    table = stored_table(plan, run.table("results.parquet"))
    values = [table.values(declared.column, index) for index in (control, treatment)]
    try:
        spread = spread_of(*values)
    except StatsError as error:
        raise UsageError(f"{run.results_dir} is no pilot for {metric}: {error}.") from error
    costs = [table.values("cost_usd", index) for index in (control, treatment)]
    timed = [table.values("latency_ms", index) for index in (control, treatment)]
    return Pilot(
        experiment_id=plan.experiment_id,
        metric=metric,
        control=plan.conditions[control].name,
        treatment=plan.conditions[treatment].name,
        spread=spread,
        cost_usd=None
        if any(np.isnan(each).all() for each in costs)
        else sum(float(np.nanmean(each)) for each in costs),
        latency_s=None
        if any(np.isnan(each).all() for each in timed)
        else float(np.nanmean(np.stack(timed))) / 1000,
    )


def piloted(prepared: Prepared, where: str | Path) -> Prepared:
    """The same with what a run says of the spread under each hypothesis; its conditions have the same names there.

    Raises UsageError where it says something of none.
    """
    found, reasons = {}, []
    for asked in prepared.plan.hypotheses:
        try:
            found[asked.text] = pilot_of(where, metric=asked.metric, conditions=(asked.b, asked.a))
        except (UsageError, SpecError) as error:
            reasons.append(f'"{asked.text}": {error}')
    if not found:
        told = " ".join(reasons) or "It declares no hypothesis."
        raise UsageError(f"{where} is no pilot of {prepared.plan.name}. {told}")
    return dataclasses.replace(prepared, pilots=found)


def _pair(names: list[str], baseline: str | None, wanted: Sequence[str]) -> tuple[int, int]:
    """Control and treatment by their places. Raises UsageError."""
    for name in wanted:
        if name not in names:
            raise UsageError(f"the pilot has no condition {name!r}: {did_you_mean(name, names)}")
    first = names.index(baseline) if baseline is not None else 0
    if not wanted and len(names) == 2:
        return first, 1 - first
    if len(wanted) == 2 and wanted[0] != wanted[1]:
        return names.index(wanted[0]), names.index(wanted[1])
    raise UsageError(
        f"say which two of the pilot's conditions are compared, control first: --condition {names[0]} "
        f"--condition {names[-1]} (there are {', '.join(names)})."
    )
