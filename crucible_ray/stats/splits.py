"""Items against repeats: what reaches a power at least cost, and what the same money finds best.

A repeat averages away what varies within an item, an item also what varies between items (Miller 2024, arXiv
2411.00640): the variance of one item's mean difference is between + within / repeats. So where items cost nothing
but their calls, more items are never worse than more repeats, and repeats pay where items run out, or where an item
costs money of its own (to write, to label). Without `icc` (and `rho` for pairs) repeats count as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from crucible_ray.errors import StatsError
from crucible_ray.stats.planning import MOST_ITEMS
from crucible_ray.stats.prospects import items_for_support, support_power

MOST_REPEATS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A number of items, each asked so often under each condition."""

    items: int
    """In each group where groups are independent."""
    repeats: int
    cost: float
    """items * (item_cost + repeats * repeat_cost)."""
    power: float


def least_cost(
    *,
    effect: float,
    relation: str = "superiority",
    margin: float = 0.0,
    power: float = 0.8,
    design: str = "paired_binary",
    alpha: float = 0.05,
    item_cost: float = 0.0,
    repeat_cost: float = 1.0,
    max_items: int | None = None,
    max_repeats: int = MOST_REPEATS,
    **how: Any,
) -> Split:
    """The cheapest items and repeats that support a hypothesis with this power.

    item_cost: of one item, however often it is asked; repeat_cost: of asking it once more under all conditions; both
    in one currency. max_items: how many there are. how: what `power` takes (discordant, p, sd, icc, rho). Of equal
    costs the fewest repeats. Raises StatsError where nothing within the limits reaches the power, and says what
    comes nearest.
    """
    _check(item_cost, repeat_cost, max_items, max_repeats)
    asked = {"relation": relation, "margin": margin, "effect": effect, "design": design, "alpha": alpha}
    best: Split | None = None
    for repeats in _repeats(how, design, max_repeats):
        spread = {**how, "repeats": repeats}
        items = items_for_support(power=power, **asked, **spread)  # type: ignore[arg-type]
        if items is None:
            raise StatsError(f"a true difference of {effect:g} never clears a margin of {margin:g}")
        if max_items is not None and items > max_items:
            continue
        found = _split(items, repeats, item_cost, repeat_cost, asked, how)
        if best is None or found.cost < best.cost * (1 - 1e-12):
            best = found
    if best is None:
        assert max_items is not None
        most = _split(max_items, _repeats(how, design, max_repeats)[-1], item_cost, repeat_cost, asked, how)
        raise StatsError(
            f"{max_items:,} items reach a power of {most.power:.2f} at most, with {most.repeats} repeats: "
            f"{power:g} takes more items, a larger effect, or a smaller margin"
        )
    return best


def best_split(
    *,
    budget: float,
    effect: float,
    relation: str = "superiority",
    margin: float = 0.0,
    design: str = "paired_binary",
    alpha: float = 0.05,
    item_cost: float = 0.0,
    repeat_cost: float = 1.0,
    max_items: int | None = None,
    max_repeats: int = MOST_REPEATS,
    **how: Any,
) -> Split:
    """What finds the effect with the highest power for at most `budget`; of equals the cheapest, then the fewest
    repeats. Arguments as `least_cost` has them. Raises StatsError where the money pays for no design."""
    _check(item_cost, repeat_cost, max_items, max_repeats)
    asked = {"relation": relation, "margin": margin, "effect": effect, "design": design, "alpha": alpha}
    found = []
    for repeats in range(1, max_repeats + 1):
        items = min(
            math.floor(budget / (item_cost + repeats * repeat_cost) * (1 + 1e-12)), max_items or MOST_ITEMS
        )
        if items >= (1 if design.endswith("binary") else 2):
            found.append(_split(items, repeats, item_cost, repeat_cost, asked, how))
    if not found:
        raise StatsError(f"{budget:g} pays for no item: one asked once costs {item_cost + repeat_cost:g}")
    return max(found, key=lambda each: (round(each.power, 9), -each.cost, -each.repeats))


def _split(
    items: int, repeats: int, item_cost: float, repeat_cost: float, asked: dict[str, Any], how: dict[str, Any]
) -> Split:
    return Split(
        items=items,
        repeats=repeats,
        cost=items * (item_cost + repeats * repeat_cost),
        power=support_power(n=items, **asked, **{**how, "repeats": repeats}),
    )


def _repeats(how: dict[str, Any], design: str, most: int) -> range:
    """What is worth trying: repeats that nothing is known of count as one."""
    known = how.get("icc") is not None and (how.get("rho") is not None or not design.startswith("paired"))
    return range(1, most + 1 if known else 2)


def _check(item_cost: float, repeat_cost: float, max_items: int | None, max_repeats: int) -> None:
    if not (item_cost >= 0 and repeat_cost > 0 and math.isfinite(item_cost + repeat_cost)):
        raise StatsError(
            f"item_cost is {item_cost:g}, repeat_cost is {repeat_cost:g}; the first is 0 or more, the second above 0"
        )
    if (max_items is not None and max_items < 1) or max_repeats < 1:
        raise StatsError(f"max_items is {max_items}, max_repeats is {max_repeats}; each is 1 or more")
