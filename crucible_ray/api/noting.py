"""What should be known before a run, in words: nothing that is wrong, but perhaps not what was meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crucible_ray.experiment.plan import DatasetPlan, Plan

_LONG_S = 3600.0
"""A call that may take this long was perhaps meant in milliseconds."""


def shortfalls(asked: Sequence[Mapping[str, Any]], datasets: Sequence[DatasetPlan]) -> tuple[str, ...]:
    """Samples that are larger than what they are drawn from: all of it is asked then."""
    return tuple(
        f"{wanted['sample_size']:,} items are asked for; the dataset {dataset.name} holds {dataset.items:,}"
        + (" that its filter leaves." if wanted["filter"] is not None else ".")
        for wanted, dataset in zip(asked, datasets, strict=True)
        if wanted["source"] is not None and (wanted["sample_size"] or 0) > dataset.items
    )


def long_timeouts(plan: Plan) -> tuple[str, ...]:
    """Timeouts that look like milliseconds."""
    seconds = {call.timeout_s for condition in plan.conditions for call in condition.calls}
    return tuple(
        f"timeout_s is in seconds: {each:,.10g} of them are {each / 3600:.3g} hours."
        for each in sorted(seconds)
        if each > _LONG_S
    )
