"""`blind`: conditions under neutral labels until the analysis is fixed, so that nobody watches a favourite.

Labels are drawn by the seed, so their order says nothing of the conditions'. What would tell a label by itself is left
out while names are hidden: what a condition is, what it costs, how long it takes, which hypothesis speaks of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.experiment.grid import derive
from crucible_ray.experiment.plan import ConditionPlan, Plan, PromptPlan
from crucible_ray.experiment.registering import Registration

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WITHHELD: Final = "withheld: the run is blind"


class Blind(Struct, frozen=True, kw_only=True):
    """Of a blind run: whether names are hidden yet, and which label was which."""

    hidden: bool
    labels: dict[str, str] = {}
    """By label the condition's name; empty while names are hidden."""
    after_trials: int | None = None
    """Trials that had a row when names were told before all had; None: all had, or they are hidden."""


def labels(plan: Plan) -> dict[str, str]:
    """By condition its neutral label, `condition A` and so on, drawn by the seed."""
    drawn = sorted((each.name for each in plan.conditions), key=lambda name: derive(plan.seed, "blind", name))
    found = {name: f"condition {_letters(k)}" for k, name in enumerate(drawn)}
    return {each.name: found[each.name] for each in plan.conditions}


def _letters(number: int) -> str:
    """A to Z, then AA and so on."""
    ahead, last = divmod(number, len(_LETTERS))
    return (_letters(ahead - 1) if ahead else "") + _LETTERS[last]


def standing(plan: Plan, registrations: Sequence[Registration], *, trials: int) -> Blind | None:
    """Whether names are hidden, trials having a row; None: the run is not blind."""
    if not plan.blind:
        return None
    told = next((each.after_trials for each in registrations if each.unblinded), None)
    if told is None and trials < plan.trials:
        return Blind(hidden=True)
    by_label = {label: name for name, label in labels(plan).items()}
    return Blind(hidden=False, labels=dict(sorted(by_label.items())), after_trials=told)


def hidden(plan: Plan) -> Plan:
    """The same grid with labels for names, and nothing that would tell one.

    Conditions keep their places, trials their numbers. Hypotheses, own metrics and own analysis wait, latency and cost
    as well; the first label is compared with.
    """
    names = labels(plan)
    return replace(
        plan,
        description="",
        conditions=tuple(_bare(each, names[each.name]) for each in plan.conditions),
        hypotheses=(),
        metrics=tuple(name for name in plan.metrics if name == "accuracy"),
        own_metrics=(),
        analysis=replace(plan.analysis, baseline=min(names.values(), key=_place), custom=None),
    )


def _place(label: str) -> tuple[int, str]:
    return len(label), label


def _bare(condition: ConditionPlan, label: str) -> ConditionPlan:
    return ConditionPlan(
        name=label,
        kind="hidden",
        calls=(),
        prompt=PromptPlan(),
        parse=condition.parse,
        normalize=condition.normalize,
    )


def in_order(plan: Plan) -> Plan:
    """A hidden plan with its conditions by label, for people: their places would tell the names."""
    return replace(plan, conditions=tuple(sorted(plan.conditions, key=lambda each: _place(each.name))))


def without_names(text: str, plan: Plan) -> str:
    """A line for people without the names of a blind plan's conditions; not by label, since what is told may be one's own."""
    if not plan.blind:
        return text
    names = sorted((each.name for each in plan.conditions), key=len, reverse=True)
    pattern = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names)
    return re.sub(pattern, "a condition", text)
