"""Gates: what a run has to reach, as `accuracy[a] < 0.8` says when it does not, and against an earlier run."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from crucible_ray import stats
from crucible_ray.errors import StatsError, UsageError
from crucible_ray.metrics.registry import METRICS, Metric, metric_of
from crucible_ray.reduction.analysis import Analysis, Condition
from crucible_ray.reduction.table import Table
from crucible_ray.settings import did_you_mean
from crucible_ray.stats.result import Floats

if TYPE_CHECKING:
    from crucible_ray.experiment.plan import Plan

_RELATIONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_FORM: Final = re.compile(
    r"\s*(?P<what>\w+)\s*(?:\[(?P<condition>.+)\])?\s*(?P<relation><=|>=|==|!=|<|>)\s*(?P<bound>\S+)\s*"
)
_OF_A_CONDITION: Final = "completeness"
"""Answered trials over planned ones."""
_OF_THE_RUN: Final = "cost_usd"
_NO_QUALITY: Final = frozenset({"latency_mean", "cost_per_query", "consensus"})
"""Metrics that a baseline does not judge: they differ from run to run by themselves; `--fail-if` is for them."""


class Gate(Struct, frozen=True):
    """A condition under which a run fails."""

    text: str
    what: str
    """A metric, `completeness` or `cost_usd`."""
    condition: str | None
    relation: str
    bound: float


class GateResult(Struct, frozen=True, kw_only=True):
    """How one gate came out."""

    text: str
    passed: bool
    """False also where there was nothing to judge by."""
    value: float | None
    """What was compared with the bound; against a baseline the difference, now - then."""
    detail: str


@dataclass(frozen=True)
class Earlier:
    """The run that this one is compared with."""

    name: str
    """How it was named."""
    plan: Plan
    table: Table
    ids: tuple[str, ...]
    """Item ids, in the order of its table."""


def parse_gates(texts: Iterable[str], plan: Plan) -> tuple[Gate, ...]:
    """Gates as they are written: `metric[condition] < number`. Raises UsageError with every fault."""
    gates: list[Gate] = []
    problems: list[str] = []
    for text in texts:
        try:
            gates.append(_gate(text, plan))
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise UsageError("\n".join(problems))
    return tuple(gates)


def with_gates(plan: Plan, gates: Sequence[Gate]) -> Plan:
    """The plan, its metrics those that gates ask about too."""
    asked = [gate.what for gate in gates if gate.what not in (_OF_A_CONDITION, _OF_THE_RUN)]
    return replace(plan, metrics=tuple(dict.fromkeys((*plan.metrics, *asked))))


def judge(gates: Sequence[Gate], analysis: Analysis, cost_usd: float | None) -> tuple[GateResult, ...]:
    """Whether each gate holds. One that cannot be judged does not."""
    return tuple(_judged(gate, analysis, cost_usd) for gate in gates)


def check_earlier(earlier: Earlier, plan: Plan, ids: Sequence[str]) -> None:
    """Refuse an earlier run that has nothing in common with this one. Raises UsageError."""
    shared = {each.name for each in plan.conditions} & {each.name for each in earlier.plan.conditions}
    if not shared:
        raise UsageError(f"the baseline {earlier.name} has no condition of this experiment's names.")
    if not set(ids) & set(earlier.ids):
        raise UsageError(f"the baseline {earlier.name} has no item of this experiment's ids.")
    if not _judged_metrics(plan):
        raise UsageError("a baseline judges accuracy or a metric of yours: the experiment has neither.")


def judge_against(
    earlier: Earlier, plan: Plan, table: Table, ids: Sequence[str], *, alpha: float
) -> tuple[GateResult, ...]:
    """Each condition that both runs have, paired by item id and repeat: is it worse beyond its interval?"""
    then = {each.name: index for index, each in enumerate(earlier.plan.conditions)}
    places = {item: place for place, item in enumerate(earlier.ids)}
    at = np.array([places.get(item, -1) for item in ids])
    counts = f"{int((at >= 0).sum())} items in both, {int((at < 0).sum())} only here, "
    counts += f"{len(set(earlier.ids) - set(ids))} only there"
    if set(ids) != set(earlier.ids):
        counts += "; warning: the items are not the same, and only those in both are compared"
    found = []
    for index, condition in enumerate(plan.conditions):
        for metric in _judged_metrics(plan) if condition.name in then else ():
            known = metric.name in METRICS or metric.name in [own.name for own in earlier.plan.own_metrics]
            before = np.full((len(ids), plan.repeats), np.nan)
            if known:
                before = _aligned(earlier.table.values(metric.column, then[condition.name]), at, plan.repeats)
            now = table.values(metric.column, index)
            name = f"{metric.name}[{condition.name}] not worse than {earlier.name}"
            found.append(_regression(name, metric, now, before, counts, alpha))
    return tuple(found)


def _gate(text: str, plan: Plan) -> Gate:
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"gate {text!r}: write it as metric[condition] < number, such as accuracy[a] < 0.8.")
    what, condition = found["what"], found["condition"]
    try:
        bound = float(found["bound"])
    except ValueError:
        raise UsageError(f"gate {text!r}: {found['bound']!r} is no number.") from None
    if bound != bound:
        raise UsageError(
            f"gate {text!r}: {found['bound']!r} is no number, and no value is above or below it."
        )
    known = [*METRICS, *(own.name for own in plan.own_metrics), _OF_A_CONDITION, _OF_THE_RUN]
    if what not in known:
        raise UsageError(f"gate {text!r}: there is no metric {what!r}: {did_you_mean(what, known)}")
    names = [each.name for each in plan.conditions]
    if what == _OF_THE_RUN:
        if condition is not None:
            raise UsageError(f"gate {text!r}: {what} is of the whole run: leave out [{condition}].")
    elif condition is None and len(names) == 1:
        condition = names[0]
    elif condition is None:
        raise UsageError(f"gate {text!r}: say of which condition: {what}[{names[0]}].")
    elif condition not in names:
        raise UsageError(
            f"gate {text!r}: no condition is called {condition!r}: {did_you_mean(condition, names)}"
        )
    return Gate(text.strip(), what, condition, found["relation"], bound)


def _judged(gate: Gate, analysis: Analysis, cost_usd: float | None) -> GateResult:
    value = cost_usd if gate.condition is None else _value(gate.what, analysis.conditions[gate.condition])
    if value is None:
        return GateResult(text=gate.text, passed=False, value=None, detail="there is no value to judge by")
    fails = _RELATIONS[gate.relation](value, gate.bound)
    return GateResult(text=gate.text, passed=not fails, value=value, detail=f"it is {value:.6g}")


def _value(what: str, condition: Condition) -> float | None:
    if what == _OF_A_CONDITION:
        return condition.completeness.answered / max(1, condition.completeness.planned)
    return condition.metrics[what].value


def _judged_metrics(plan: Plan) -> list[Metric]:
    found = [metric_of(plan, name) for name in plan.metrics]
    return [each for each in found if each.per_trial and each.name not in _NO_QUALITY]


def _aligned(values_IR: Floats, at: np.ndarray, repeats: int) -> Floats:
    """The earlier values in the order of our items, NaN where it has none; shape [items, repeats] of ours."""
    aligned = np.full((len(at), repeats), np.nan)
    shared = min(repeats, values_IR.shape[1])
    aligned[at >= 0, :shared] = values_IR[at[at >= 0], :shared]
    return aligned


def _regression(
    name: str, metric: Metric, now: Floats, before: Floats, counts: str, alpha: float
) -> GateResult:
    alone = np.isnan(now) | np.isnan(before)  # a repeat that only one run has says nothing of a difference
    now, before = np.where(alone, np.nan, now), np.where(alone, np.nan, before)
    if not alone.all() and bool(
        (now == before)[~alone].all()
    ):  # no spread, so no interval, and none is needed
        return GateResult(text=name, passed=True, value=0.0, detail=f"the same in every trial; {counts}")
    try:
        result = stats.compare(
            before, now, paired=True, kind=metric.kind, alpha=alpha, checks=False, naive=False
        )
    except StatsError as nothing:
        return GateResult(
            text=name, passed=False, value=None, detail=f"cannot be judged: {nothing}; {counts}"
        )
    low, high = result.ci_low, result.ci_high
    if low is None or high is None:  # every item differs by the same
        estimate = result.estimate or 0.0
        better = estimate > 0 if metric.better == "higher" else estimate < 0
        detail = f"difference {estimate:+.4g} in every item, so there is no interval; {counts}"
        return GateResult(text=name, passed=better, value=estimate, detail=detail)
    worse = high < 0 if metric.better == "higher" else low > 0
    detail = f"difference {result.estimate:+.4g} [{low:.4g}, {high:.4g}]; {counts}"
    return GateResult(text=name, passed=not worse, value=result.estimate, detail=detail)
