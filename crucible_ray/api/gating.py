"""Gates around a run: read and checked before it costs anything, judged when its results are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crucible_ray.api.preparing import Prepared
from crucible_ray.api.result import RunResult
from crucible_ray.reduction.gates import (
    Earlier,
    Gate,
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

    def judged(self, result: RunResult, ids: Sequence[str]) -> RunResult:
        """The result with how each gate came out."""
        found = judge(self.asked, result.analysis, result.cost_usd)
        if self.earlier is not None:
            table = stored_table(result.plan, result.table("results.parquet"))
            alpha = round(1 - result.plan.analysis.confidence, 12)
            found += judge_against(self.earlier, result.plan, table, ids, alpha=alpha)
        return replace(result, gates=found)


def gates_of(
    prepared: Prepared, fail_if: Sequence[str], baseline: tuple[str, RunResult, tuple[str, ...]] | None
) -> tuple[Prepared, Gates]:
    """The gates, and the experiment with the metrics that they ask about.

    baseline: how it was named, what it holds, its items' ids; it is read whole here, since a run of the same
    experiment writes over it. Raises UsageError.
    """
    asked = parse_gates(fail_if, prepared.plan)
    prepared = replace(prepared, plan=with_gates(prepared.plan, asked))
    if baseline is None:
        return prepared, Gates(asked)
    name, result, ids = baseline
    earlier = Earlier(name, result.plan, stored_table(result.plan, result.table("results.parquet")), ids)
    check_earlier(earlier, prepared.plan, [item.id for item in prepared.items])
    return prepared, Gates(asked, earlier)
