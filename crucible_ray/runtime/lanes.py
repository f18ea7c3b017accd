"""Conditions that share a limit queue together; a blocked provider stalls no other lane."""

from __future__ import annotations

from collections.abc import Sequence

from crucible_ray.experiment.plan import ConditionPlan

Lanes = tuple[tuple[int, ...], ...]


def lanes_of(conditions: Sequence[ConditionPlan]) -> Lanes:
    """The connected components of conditions by the limit groups that they call, in order of first appearance.

    A function may call any of them, so where there is one, all conditions go together.
    """
    if any(condition.function is not None for condition in conditions):
        return (tuple(range(len(conditions))),)
    merged: list[tuple[set[int], set[tuple[str, str]]]] = []
    for index, condition in enumerate(conditions):
        members = {index}
        groups = {(call.model.base_url, call.model.limit_group) for call in condition.everybody}
        apart = []
        for other_members, other_groups in merged:
            if groups & other_groups:
                members |= other_members
                groups |= other_groups
            else:
                apart.append((other_members, other_groups))
        merged = [*apart, (members, groups)]
    return tuple(sorted(tuple(sorted(members)) for members, _ in merged))
