"""`--item` and `--condition`: a part of an experiment. Its trials are run; the others stay pending, for a later run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from crucible_ray.api.preparing import Prepared
from crucible_ray.errors import UsageError
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.trials import TrialSet
from crucible_ray.records import Item
from crucible_ray.settings import did_you_mean

_CHUNK = 1 << 16


class Part:
    """Some items and conditions of an experiment. Raises UsageError for names that it does not have."""

    def __init__(
        self, plan: Plan, items: Sequence[Item], ids: Sequence[str] = (), conditions: Sequence[str] = ()
    ) -> None:
        """`ids`, `conditions`: none named is all of them."""
        names = [condition.name for condition in plan.conditions]
        known = [item.id for item in items]
        problems = _unknown("item", ids, known) + _unknown("condition", conditions, names)
        if problems:
            raise UsageError(" ".join(problems))
        self._plan = plan
        self.items = _places(known, ids)
        self.conditions = _places(names, conditions)
        self.whole = bool(self.items.all() and self.conditions.all())

    def contains(self, trials: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of `trials` are in it; shape [n]."""
        block, condition = np.divmod(trials, len(self.conditions))
        inside: NDArray[np.bool_] = self.items[block // self._plan.repeats] & self.conditions[condition]
        return inside

    def without(self, done: TrialSet) -> TrialSet:
        """`done`, and every trial outside: what is not to be run now."""
        if self.whole:
            return done
        found = TrialSet()
        for start in range(0, self._plan.trials, _CHUNK):
            trials = np.arange(start, min(self._plan.trials, start + _CHUNK), dtype=np.int64)
            found.add(trials[~self.contains(trials) | done.contains(trials)])
        return found


def narrowed(prepared: Prepared, ids: Sequence[str] = (), conditions: Sequence[str] = ()) -> Prepared:
    """The part alone, to be looked at: its requests, cost and power. What runs is the whole, with Options.items."""
    plan = prepared.plan
    part = Part(plan, prepared.items, ids, conditions)
    if part.whole:
        return prepared
    items = tuple(item for item, inside in zip(prepared.items, part.items, strict=True) if inside)
    kept = np.flatnonzero(part.conditions).tolist()
    chosen = tuple(plan.conditions[k] for k in kept)
    names = {condition.name for condition in chosen}
    baseline = plan.analysis.baseline if plan.analysis.baseline in names else None
    smaller = replace(
        plan,
        items=len(items),
        conditions=chosen,
        datasets=(),
        hypotheses=tuple(each for each in plan.hypotheses if {each.a, each.b} <= names),
        analysis=replace(plan.analysis, baseline=baseline),
    )
    longest = tuple(prepared.longest[k] for k in kept)
    return dataclasses.replace(prepared, plan=smaller, items=items, longest=longest)


def _unknown(what: str, wanted: Iterable[str], known: list[str]) -> list[str]:
    missing = [name for name in wanted if name not in known]
    return [f"There is no {what} {name!r}: {_hint(name, known)}" for name in missing]


def _hint(name: str, known: list[str]) -> str:
    """The nearest name; of many names not all."""
    hint = did_you_mean(name, known)
    return (
        hint
        if hint.startswith("did") or len(known) <= 10
        else f"there are {len(known):,}, {known[0]!r} the first."
    )


def _places(known: list[str], wanted: Sequence[str]) -> NDArray[np.bool_]:
    chosen = set(wanted)
    return np.array([not chosen or name in chosen for name in known], np.bool_)
