"""What an analysis says while names are hidden: labels in their own order, and nothing that would tell one."""

from __future__ import annotations

import msgspec

from crucible_ray.experiment.blinding import Blind
from crucible_ray.reduction.analysis import Analysis, Condition, Spend

_NOTHING = Spend(answered_usd=0.0, failed_usd=0.0, unpriced=0)


def hidden_analysis(found: Analysis, blind: Blind) -> Analysis:
    """The analysis of a hidden plan, without costs, latencies and the order of the conditions."""
    names = sorted(found.conditions, key=_place)
    return msgspec.structs.replace(
        found,
        blind=blind,
        conditions={name: _bare(found.conditions[name]) for name in names},
        comparisons=tuple(sorted(found.comparisons, key=lambda each: (each.metric, _place(each.a)))),
        warnings=tuple(sorted(found.warnings, key=lambda each: (each.kind, _place(each.condition)))),
        families=None,
        groups=(),
        datasets={},
        values=(),
        missing=None,
        variance={},
    )


def _bare(condition: Condition) -> Condition:
    spread = {name: each for name, each in condition.spread.items() if name == "accuracy"}
    return msgspec.structs.replace(condition, spend=_NOTHING, spread=spread, levels=(), members={})


def _place(label: str) -> tuple[int, str]:
    return len(label), label
