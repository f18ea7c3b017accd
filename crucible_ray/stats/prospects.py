"""Before the run: how likely each hypothesis is to be supported, and how many items that takes.

A verdict reads an interval (`stats.verdicts`): superiority by a margin lies above it, non-inferiority above its
negative, equivalence between the two, on the interval of two one-sided tests. The formulas are `stats.planning`'s;
`exact_support` counts out the default rule on one repeat of a 0/1 outcome instead: McNemar's score test and
Tango's interval, without a verdict below the fewest differing items.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from crucible_ray.errors import StatsError
from crucible_ray.stats.decision import fewest_decidable
from crucible_ray.stats.distributions import critical, normal_quantile
from crucible_ray.stats.paired import tango_score
from crucible_ray.stats.planning import fewest, power
from crucible_ray.stats.verdicts import interval_alpha

RELATIONS = ("superiority", "non_inferiority", "equivalence")
MOST_EXACT = 20_000
"""Items up to which counts are enumerated; beyond them the formula stands alone."""
_REACH = 6.5
"""Standard deviations of a count that are enumerated on either side: what lies beyond weighs less than 1e-9."""
_STEPS = 12


def support_power(
    relation: str,
    margin: float,
    *,
    n: int,
    effect: float,
    design: str = "paired_binary",
    alpha: float = 0.05,
    **how: Any,
) -> float:
    """The probability that a hypothesis is supported, where the true difference is `effect`.

    relation: `superiority`, `non_inferiority` or `equivalence`; margin: never negative. design and how (discordant,
    p, sd, icc, rho, repeats): as `power` takes them. Raises StatsError as `power` does, and on another relation.
    """
    level = interval_alpha(alpha, relation)
    if relation == "superiority":
        return power(design, n=n, effect=effect, alpha=level, margin=margin, **how)
    if relation == "non_inferiority":
        return power(design, n=n, effect=effect, alpha=level, margin=-margin, **how)
    _known(relation)
    if abs(effect) >= margin:
        return 0.0
    # Both sides have to be cleared. Each is a one-sided test; seen from the lower one, the true difference and
    # the distance to either margin are what matters, so the upper side is the lower of the mirrored difference.
    sides = [_one_side(design, n, effect, side * margin, level, how) for side in (-1.0, 1.0)]
    return max(0.0, math.fsum(sides) - 1)


def _one_side(design: str, n: int, effect: float, margin: float, alpha: float, how: dict[str, Any]) -> float:
    """That the interval lies above `margin`, or below it where the effect does."""
    if effect > margin:
        return power(design, n=n, effect=effect, alpha=alpha, margin=margin, **how)
    turned = {**how}
    if (p := turned.get("p")) is not None:
        turned["p"] = 1 - p  # counting wrong answers instead of right ones turns every sign
    return power(design, n=n, effect=-effect, alpha=alpha, margin=-margin, **turned)


def items_for_support(
    relation: str,
    margin: float,
    *,
    effect: float,
    power: float = 0.8,
    design: str = "paired_binary",
    alpha: float = 0.05,
    **how: Any,
) -> int | None:
    """The fewest items that support a hypothesis with this power; None: no number does, for the effect does not
    lie beyond the margin. For a true +8 points, a margin of 5 and discordant shares .10 and .16: 817 and 1,340.

    With `discordant` alone (paired_binary, one repeat) the formula's number is raised until the default rule itself,
    counted out, has that power. Raises StatsError as `power` does.
    """
    if not 0 < power < 1:
        raise StatsError(f"power is {power}; it must lie between 0 and 1")
    _known(relation)
    edge = {"superiority": margin, "non_inferiority": -margin}.get(relation)
    if (abs(effect) >= margin) if edge is None else (effect <= edge):
        return None

    def enough(n: int) -> bool:
        chance = support_power(relation, margin, n=n, effect=effect, design=design, alpha=alpha, **how)
        return chance >= power

    items = fewest(enough, 1 if design.endswith("binary") else 2)
    if design != "paired_binary" or set(how) != {"discordant"}:
        return items
    return _exactly(items, power, relation, margin, effect, how["discordant"], alpha)


def _exactly(
    items: int, power: float, relation: str, margin: float, effect: float, discordant: float, alpha: float
) -> int:
    """More items, where the default rule falls short with those of the formula: it does with few that differ, and
    for non-inferiority, whose score test has more spread at the margin than at the true difference."""
    for _ in range(_STEPS):
        if items > MOST_EXACT:
            break
        found = exact_support(relation, margin, n=items, effect=effect, discordant=discordant, alpha=alpha)
        if found >= power:
            break
        z = critical(interval_alpha(alpha, relation))
        gained = (z + normal_quantile(power)) / max(z + normal_quantile(max(found, 1e-9)), 0.5)
        items = max(items + 1, math.ceil(items * min(gained, 2.0) ** 2))
    return items


def exact_support(
    relation: str, margin: float, *, n: int, effect: float, discordant: float, alpha: float = 0.05
) -> float:
    """`support_power` of the default rule on one repeat of a 0/1 outcome, without an approximation.

    The counts of items that only treatment, or only control, gets right are multinomial; every pair of counts is
    put to the rule and its probability added up (far tails, below 1e-9 together, left out). Raises StatsError on an
    impossible design.
    """
    _known(relation)
    up, down = (discordant + effect) / 2, (discordant - effect) / 2
    if not 1 <= n <= MOST_EXACT:
        raise StatsError(f"n is {n:,}; counts are enumerated from 1 to {MOST_EXACT:,} items")
    if not 0 <= discordant <= 1 or min(up, down) < -1e-12:
        raise StatsError(
            f"effect {effect:g} with a discordant share of {discordant:g} on {n} items is impossible: "
            "the share lies between 0 and 1 and is at least the effect"
        )
    up, down = max(up, 0.0), max(down, 0.0)
    level = interval_alpha(alpha, relation)
    gains, losses = np.meshgrid(_counts(n, up), _counts(n, down), indexing="ij")
    inside = gains + losses <= n
    gains, losses = gains[inside].astype(float), losses[inside].astype(float)
    ties = n - gains - losses
    from scipy.special import gammaln, xlogy

    logs = gammaln(n + 1) - gammaln(gains + 1) - gammaln(losses + 1) - gammaln(ties + 1)
    logs += xlogy(gains, up) + xlogy(losses, down) + xlogy(ties, max(0.0, 1 - up - down))
    supported = gains + losses >= fewest_decidable(level)
    z, pairs = critical(level), np.full(gains.shape, float(n))
    low = {"superiority": margin}.get(relation, -margin)
    supported &= tango_score(gains, losses, pairs, np.full(gains.shape, low)) > z
    if relation == "equivalence":
        supported &= tango_score(gains, losses, pairs, np.full(gains.shape, margin)) < -z
    return float(np.exp(logs[supported]).sum())


def _counts(n: int, share: float) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Every number of `n` items that has a probability worth the name."""
    spread = _REACH * math.sqrt(n * share * (1 - share)) + _REACH**2 / 2
    low, high = math.floor(n * share - spread), math.ceil(n * share + spread)
    return np.arange(max(0, low), min(n, high) + 1, dtype=np.int64)


def _known(relation: str) -> None:
    if relation not in RELATIONS:
        raise StatsError(f"no relation {relation!r}: {', '.join(RELATIONS)}")
