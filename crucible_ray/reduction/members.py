"""The members of an ensemble scored by their own answers: the best single one stands beside the vote."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crucible_ray.reduction.analysis import Member
from crucible_ray.reduction.conditions import proportion
from crucible_ray.stats.result import Floats

if TYPE_CHECKING:
    from crucible_ray.experiment.plan import ConditionPlan, Plan

MemberScore = Callable[[int, int, int, str, str | None], int]
"""(condition, member, item, reply's text) -> 1 or 0: what it would have scored alone; unreadable scores 0."""

_ALL = slice(None)


class Members:
    """Per ensemble and member, whether each answer was right: one number per member's call."""

    def __init__(self, plan: Plan, score: MemberScore) -> None:
        self._plan, self._score = plan, score
        blocks = plan.items * plan.repeats
        self._correct = {
            index: np.full((blocks, len(condition.calls)), np.nan)
            for index, condition in enumerate(plan.conditions)
            if condition.kind == "ensemble"
        }

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the nested calls of one batch; of a member's calls the last that succeeded counts."""
        trials = batch.column("trial").to_numpy(zero_copy_only=False)
        for index, correct in self._correct.items():
            rows = np.flatnonzero(trials % len(self._plan.conditions) == index)
            if rows.size:
                blocks = trials[rows] // len(self._plan.conditions)
                self._take(index, correct, blocks, batch.column("calls").take(pa.array(rows)))

    def _take(self, index: int, correct: Floats, blocks: Floats, calls: pa.ListArray) -> None:
        owners = pc.list_parent_indices(calls).to_numpy(zero_copy_only=False)
        flat = calls.flatten()
        outcome, member, text, finish, read, detail = (
            pc.struct_field(flat, field)
            for field in ("outcome", "call", "text", "finish_reason", "read", "detail")
        )
        # An empty reply whose tokens ran out is missing data, as it is for the trial.
        cut_short = pc.and_(pc.equal(text, ""), pc.fill_null(pc.equal(finish, "length"), False))
        kept = pc.and_(pc.equal(outcome, "ok"), pc.and_(pc.is_valid(text), pc.invert(cut_short)))
        # A reply that its author's own parser failed on says nothing of the member either.
        kept = pc.and_(kept, pc.is_null(detail))
        # What stood in for a member says nothing of the member.
        kept = pc.and_(kept, pc.less(member, correct.shape[1]))
        chosen = np.flatnonzero(pc.fill_null(kept, False).to_numpy(zero_copy_only=False))
        at = pa.array(chosen)
        values = (each.take(at).to_pylist() for each in (member, text, read))
        seen: dict[tuple[int, int, str, str | None], int] = {}
        for block, position, reply, own in zip(blocks[owners[chosen]].tolist(), *values, strict=True):
            key = (position, block // self._plan.repeats, reply, own)
            score = seen.get(key)
            if score is None:
                score = seen[key] = self._score(index, *key)
            correct[block, position] = score

    def of(self, index: int, alpha: float, items: slice = _ALL) -> tuple[dict[str, Member], str | None]:
        """The members of one condition by name, and which is the most accurate (the first among equals)."""
        if index not in self._correct:
            return {}, None
        shape = (self._plan.items, self._plan.repeats)
        condition = self._plan.conditions[index]
        found = {
            name: Member(
                model=call.model.model,
                accuracy=proportion(self._correct[index][:, position].reshape(shape)[items], alpha),
            )
            for position, (name, call) in enumerate(zip(_names(condition), condition.calls, strict=True))
        }
        scored = {
            name: member.accuracy.value for name, member in found.items() if member.accuracy.value is not None
        }
        return found, max(scored, key=scored.__getitem__) if scored else None


def _names(condition: ConditionPlan) -> list[str]:
    """Model names; the second of one name is `name#2`."""
    names: list[str] = []
    for call in condition.calls:
        count = sum(earlier.split("#")[0] == call.model.name for earlier in names)
        names.append(call.model.name if count == 0 else f"{call.model.name}#{count + 1}")
    return names
