"""Gates around a run: read and checked before it costs anything, judged when its results are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crucible_ray.api.blinding import hides
from crucible_ray.api.loading import read_result
from crucible_ray.api.places import find_results, read_config, store_of
from crucible_ray.api.result import RunResult
from crucible_ray.errors import UsageError
from crucible_ray.experiment.plan import Plan
from crucible_ray.metrics import METRICS
from crucible_ray.records import Item
from crucible_ray.reduction.gates import (
    Earlier,
    Gate,
    GateResult,
    check_earlier,
    judge,
    judge_against,
    parse_gates,
    with_gates,
)
from crucible_ray.reduction.stored import stored_table


@dataclass(frozen=True)
class Gates:
    """What a run is judged by."""

    asked: tuple[Gate, ...] = ()
    earlier: Earlier | None = None

    def judged(self, result: RunResult, items: Sequence[Item]) -> RunResult:
        """The result with how each gate came out. Raises UsageError where it lacks a metric that one asks about."""
        if hides(result.analysis):
            waits = [each.text for each in self.asked] + (["baseline"] if self.earlier is not None else [])
            detail = "the run is blind until all its trials are in"
            gates = tuple(GateResult(text=each, passed=False, value=None, detail=detail) for each in waits)
            return replace(result, gates=gates)
        there = {name for each in result.analysis.conditions.values() for name in each.metrics}
        if lacking := [gate.text for gate in self.asked if gate.what in METRICS and gate.what not in there]:
            raise UsageError(f"{result.results_dir} does not report what is asked: {', '.join(lacking)}.")
        found = judge(self.asked, result.analysis, result.cost_usd)
        if self.earlier is not None:
            table = stored_table(result.plan, result.table("results.parquet"))
            alpha = round(1 - result.plan.analysis.confidence, 12)
            found += judge_against(self.earlier, result.plan, table, [item.id for item in items], alpha=alpha)
        return replace(result, gates=found)


async def asked_gates(
    plan: Plan,
    items: Sequence[Item],
    fail_if: str | Sequence[str],
    baseline: str | Path | None,
    output_dir: str | Path | None = None,
) -> tuple[Plan, Gates]:
    """The gates, checked, and the plan with the metrics that they ask about.

    baseline: a results folder or an id in `output_dir`; it is read whole here, since a run of the same experiment
    writes over it. Raises UsageError, JournalError.
    """
    asked = parse_gates((fail_if,) if isinstance(fail_if, str) else fail_if, plan)
    plan = with_gates(plan, asked)
    if baseline is None:
        return plan, Gates(asked)
    folder = find_results(baseline, output_dir)
    then, of_then = read_config(folder)
    result = await read_result(then, of_then, folder, store_of(then, folder))
    table = stored_table(result.plan, result.table("results.parquet"))
    earlier = Earlier(folder.name, result.plan, table, tuple(item.id for item in of_then))
    check_earlier(earlier, plan, [item.id for item in items])
    return plan, Gates(asked, earlier)
