"""How many items a run asks that may stop early: by simulation, seeded, at a true difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crucible_ray.errors import StatsError
from crucible_ray.stats.claims import Claim
from crucible_ray.stats.decision import fewest_decidable
from crucible_ray.stats.distributions import critical
from crucible_ray.stats.paired import tango_score
from crucible_ray.stats.sequential import look_levels
from crucible_ray.stats.verdicts import interval_alpha

_CHUNK = 500
_WORK = 200_000
"""Increments that are simulated at most, but for the fewest simulations."""
_FEWEST, _MOST = 50, 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """What one claim asks for before it is decided, or until all items are asked."""

    expected: float
    """Items, the mean."""
    error: float
    """Its Monte Carlo standard error."""
    largest: int
    decided: float
    """The share of runs that decide before everything is asked, or at the last look."""


def stopping_items(
    relation: str,
    margin: float,
    *,
    n: int,
    effect: float,
    discordant: float,
    looks: Sequence[float] = (),
    alpha: float = 0.05,
    seed: int = 0,
) -> Stopping:
    """Of one repeat of a 0/1 outcome in pairs: a betting sequence (no looks), or planned looks at these shares of n.

    Raises StatsError on an impossible design.
    """
    up, down = (discordant + effect) / 2, (discordant - effect) / 2
    if n < 1 or not 0 <= discordant <= 1 or min(up, down) < -1e-12:
        raise StatsError(
            f"effect {effect:g} with a discordant share of {discordant:g} on {n} items is impossible"
        )
    shares = (max(up, 0.0), max(down, 0.0), max(0.0, 1 - discordant))
    rng = np.random.default_rng(seed)
    simulations = max(_FEWEST, min(_MOST, _WORK // n))
    if looks:
        items, decided = _by_looks(relation, margin, n, shares, tuple(looks), alpha, rng)
    else:
        runs = [_by_betting(relation, margin, n, shares, alpha, rng) for _ in range(simulations)]
        items, decided = [run[0] for run in runs], [run[1] for run in runs]
    return Stopping(
        expected=float(np.mean(items)),
        error=float(np.std(items, ddof=1) / math.sqrt(len(items))),
        largest=n,
        decided=float(np.mean(decided)),
    )


def _by_betting(
    relation: str,
    margin: float,
    n: int,
    shares: tuple[float, float, float],
    alpha: float,
    rng: np.random.Generator,
) -> tuple[int, bool]:
    claim = Claim(relation, margin, alpha=alpha)
    while claim.n < n and claim.decided_at is None:
        drawn = rng.random(min(_CHUNK, n - claim.n))
        values = np.where(drawn < shares[0], 1.0, np.where(drawn < shares[0] + shares[1], -1.0, 0.0))
        claim.feed(values, values)
    return claim.decided_at or n, claim.decided_at is not None


def _by_looks(
    relation: str,
    margin: float,
    n: int,
    shares: tuple[float, float, float],
    looks: tuple[float, ...],
    alpha: float,
    rng: np.random.Generator,
) -> tuple[list[int], list[bool]]:
    """The default rule at each look, at the level that O'Brien-Fleming spending gives it."""
    sizes = [max(1, round(share * n)) for share in looks]
    levels = look_levels(looks, interval_alpha(alpha, relation))
    total = np.array(shares)
    runs = 4 * _MOST
    gains, losses = np.zeros(runs), np.zeros(runs)
    stopped = np.full(runs, n)
    is_open = np.ones(runs, np.bool_)
    before = 0
    for size, level in zip(sizes, levels, strict=True):
        drawn = rng.multinomial(size - before, total / total.sum(), size=runs)
        gains, losses, before = gains + drawn[:, 0], losses + drawn[:, 1], size
        pairs, z = np.full(runs, float(size)), critical(level)
        low = margin if relation == "superiority" else -margin
        high = -margin if relation == "non_inferiority" else margin
        at_low, at_high = (tango_score(gains, losses, pairs, np.full(runs, edge)) for edge in (low, high))
        enough = gains + losses >= fewest_decidable(level)
        if relation == "equivalence":
            found = ((at_low > z) & (at_high < -z)) | (at_high > z) | (at_low < -z)
        else:
            found = (at_low > z) | (at_high < -z)
        now = is_open & enough & found
        stopped[now] = size
        is_open &= ~now
    return stopped.tolist(), (~is_open).tolist()
