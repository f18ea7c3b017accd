"""Where a model stands alone and in an ensemble too: whether both stand on the same replies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crucible_ray.experiment.plan import ConditionPlan, Plan
from crucible_ray.reduction.analysis import Analysis

_NAMED = 3


def separate_draws(plan: Plan, analysis: Analysis) -> str | None:
    """Says that a model's accuracy alone and as a member are of separate draws; None where no model has both.

    Where both conditions took replies of earlier runs these may be the same ones, and nothing is said.
    """
    if plan.share_replies:
        return None
    unsent = {name: each.completeness.unsent for name, each in analysis.conditions.items()}
    found = [pair for pair in _pairs(plan) if not (unsent.get(pair[0]) and unsent.get(pair[2]))]
    if not found:
        return None
    named = [f"{alone} and the member {member} of {ensemble}" for alone, member, ensemble in found[:_NAMED]]
    more = f" (and {len(found) - _NAMED} more pairs)" if len(found) > _NAMED else ""
    return (
        f"{'; '.join(named)}{more}: the same request, asked anew for each, so these are separate draws and differ by "
        "sampling; share_replies=true would ask once for both, which costs less, takes this sampling out of their "
        "comparison, and counts no latency of a shared reply."
    )


def _pairs(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """(condition, member, ensemble) that ask the same and read it alike."""
    for alone in plan.conditions:
        if alone.kind != "model":
            continue
        for ensemble in plan.conditions:
            if ensemble.kind != "ensemble":
                continue
            for index, call in enumerate(ensemble.calls):
                if _asked(ensemble, index) == _asked(alone, 0):
                    yield alone.name, call.model.name, ensemble.name
                    break


def _asked(condition: ConditionPlan, index: int) -> tuple[Any, ...]:
    """What makes an answer of a call: request and reading."""
    call = condition.calls[index]
    request = call.model, call.temperature, call.max_tokens, call.extra, condition.prompts[index]
    return *request, condition.parses[index], condition.normalize
