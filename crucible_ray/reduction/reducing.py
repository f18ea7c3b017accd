"""The whole way from kept rows to an `Analysis`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

from crucible_ray.errors import StatsError
from crucible_ray.metrics.registry import metric_of
from crucible_ray.metrics.silence import Silences
from crucible_ray.reduction.analysis import Analysis, Condition, DatasetResult, Sequential
from crucible_ray.reduction.asking import Asker
from crucible_ray.reduction.comparisons import compare, compare_part
from crucible_ray.reduction.conditions import condition
from crucible_ray.reduction.detail import Topics, by_consensus, by_topic, spreads, values_of
from crucible_ray.reduction.families import held_together
from crucible_ray.reduction.groups import groups_of
from crucible_ray.reduction.missing import missing_data
from crucible_ray.reduction.stopped import read
from crucible_ray.reduction.table import Table
from crucible_ray.reduction.variance import variances

if TYPE_CHECKING:
    import pyarrow as pa

    from crucible_ray.experiment.plan import Plan
    from crucible_ray.experiment.registering import Preregistration
    from crucible_ray.records import Item
    from crucible_ray.reduction.members import Members, MemberScore

_ALL = slice(None)


def reduce(
    plan: Plan,
    batches: Iterable[pa.RecordBatch],
    *,
    member_score: MemberScore | None = None,
    items: Sequence[Item] = (),
    own: Iterable[pa.RecordBatch] = (),
    preregistration: Preregistration | None = None,
) -> Analysis:
    """Analyse the kept rows of a run, one row per trial at most; trials without a row are pending.

    member_score: scores one ensemble member's reply by itself, `(condition, member, item, text, read) -> 1 or 0`; without
    it ensembles are reported without their members. items: the plan's, for what depends on them (warnings of equal
    replies). own: `trial` and the values of the author's own metrics. Memory: a few floats per trial.
    Raises SpecError for an unknown metric, StatsError for an unknown correction, or clusters without items.
    """
    for name in (*plan.metrics, *(hypothesis.metric for hypothesis in plan.hypotheses)):
        metric_of(plan, name)  # refused here, before the rows are read
    if plan.analysis.cluster is not None and not items:
        raise StatsError("clusters are read off the items: reduce(..., items=) needs them")
    table, silences, members = _read(plan, batches, own, items, member_score)
    asker = Asker(plan, table)
    comparisons, hypotheses = compare(asker)
    sequential: Sequential | UnsetType = UNSET
    if plan.stop_when is not None and plan.hypotheses:
        sequential, comparisons, hypotheses = read(plan, table, comparisons, hypotheses)
    groups = groups_of(asker)
    comparisons, families = held_together(asker, comparisons, hypotheses, groups)
    topics = Topics(items)
    conditions = _conditions(asker, members, topics)
    baseline = plan.analysis.baseline or plan.conditions[0].name
    return Analysis(
        experiment_id=plan.experiment_id,
        name=plan.name,
        simulated=plan.simulated is not None,
        items=plan.items,
        repeats=plan.repeats,
        confidence=plan.analysis.confidence,
        correction=plan.analysis.correction,
        baseline=baseline,
        conditions=conditions,
        comparisons=comparisons,
        hypotheses=hypotheses,
        families=families,
        groups=groups,
        datasets=_datasets(asker, members, topics) if len(plan.datasets) > 1 else {},
        values=values_of(conditions, comparisons, baseline),
        warnings=tuple(silences.found()),
        missing=missing_data(plan, table, items, comparisons),
        preregistration=preregistration,
        variance=variances(plan, table, comparisons),
        sequential=sequential,
    )


def _read(
    plan: Plan,
    batches: Iterable[pa.RecordBatch],
    own: Iterable[pa.RecordBatch],
    items: Sequence[Item],
    member_score: MemberScore | None,
) -> tuple[Table, Silences, Members | None]:
    """What the rows leave: numbers, what makes scores say less, members' scores."""
    table, silences = Table(plan, items), Silences(plan, items)
    members: Members | None = None
    if member_score is not None:
        from crucible_ray.reduction.members import Members

        members = Members(plan, member_score)
    for batch in batches:
        for reader in (table, silences, members):
            if reader is not None:
                reader.add(batch)
    for batch in own:
        table.add_own(batch)
    return table, silences, members


def _conditions(
    asker: Asker, members: Members | None, topics: Topics, items: slice = _ALL
) -> dict[str, Condition]:
    """By name. items: which of the plan's items the asker's table holds."""
    plan, table, alpha = asker.plan, asker.table, asker.alpha
    conditions = {}
    for index, declared in enumerate(plan.conditions):
        result = msgspec.structs.replace(
            condition(plan, table, index, alpha),
            spread=spreads(table, index),
            topics=by_topic(table, index, topics, items) if topics.names else {},
            levels=by_consensus(table, index) if declared.vote is not None else (),
        )
        if members is not None:
            found, best = members.of(index, alpha, items)
            result = msgspec.structs.replace(result, members=found, best_member=best)
        conditions[declared.name] = result
    return conditions


def _datasets(whole: Asker, members: Members | None, topics: Topics) -> dict[str, DatasetResult]:
    """Each dataset by itself: its items stand together."""
    results, first = {}, 0
    for each in whole.plan.datasets:
        asker = Asker(whole.plan, whole.table.part(first, each.items))
        results[each.name] = DatasetResult(
            items=each.items,
            conditions=_conditions(asker, members, topics, slice(first, first + each.items)),
            comparisons=compare_part(asker),
        )
        first += each.items
    return results
