"""Looks while a run goes on, where nothing differs: how often each rule stops for a difference that is not there."""

from __future__ import annotations

from functools import cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.special import stdtrit

from benchmarks.scenarios import Baseline, Floats, Scenario
from crucible_ray.stats.sequential import BETS, GroupSequential, group_sequential
from crucible_ray.stats.tally import decisions

ALPHA = 0.05
_FIRST_NAIVE = 10
"""Items before which not even the naive rule looks."""


class Stopping(Struct, frozen=True, kw_only=True):
    """How often one rule stopped where nothing differs."""

    scenario: str
    rule: str
    looks: int
    false_positive_rate: float
    sims: int


def stopping(items: int, sims: int, rng: np.random.Generator) -> list[Stopping]:
    """Every rule on a handful of null scenarios, a frozen baseline among them; increments per item."""
    baselines: tuple[Baseline, ...] = ("stochastic", "frozen")
    found = []
    for repeats, accuracy in ((1, 0.7), (3, 0.8), (10, 0.5), (10, 0.95)):
        for baseline in baselines:
            found += _at(Scenario(items, repeats, accuracy, baseline=baseline), sims, rng)
    return found


def _at(scenario: Scenario, sims: int, rng: np.random.Generator) -> list[Stopping]:
    betting, naive = at_any_time(scenario, sims, rng)
    rates = [("betting sequence", scenario.items, betting), ("t at every look", scenario.items, naive)]
    rates += [("O'Brien-Fleming", looks, at_looks(scenario, looks, sims, rng)) for looks in (5, 20)]
    return [
        Stopping(scenario=scenario.name, rule=rule, looks=looks, false_positive_rate=rate, sims=sims)
        for rule, looks, rate in rates
    ]


def at_any_time(scenario: Scenario, sims: int, rng: np.random.Generator) -> tuple[float, float]:
    """Shares of runs that `betting_sequence` and t ever stop, with a look after each item."""
    repeats = scenario.repeats
    steps = np.arange(-repeats, repeats + 1) / repeats
    bets = np.asarray(BETS)
    factors = np.stack([1 + steps[:, None] * bets, 1 - steps[:, None] * bets])
    capitals = np.ones((2, sims, len(bets)))
    stopped, tricked = np.zeros(sims, np.bool_), np.zeros(sims, np.bool_)
    total, squares = np.zeros(sims), np.zeros(sims)
    for n in range(1, scenario.items + 1):
        drawn = _one_item(scenario, sims, rng)
        for side in (0, 1):
            capitals[side] *= factors[side][drawn]
        stopped |= (capitals.mean(axis=2) >= 2 / ALPHA).any(axis=0)
        total += steps[drawn]
        squares += steps[drawn] ** 2
        if n >= _FIRST_NAIVE:
            spread = np.maximum(squares - total**2 / n, 0) * n / (n - 1)
            tricked |= total**2 > float(stdtrit(n - 1, ALPHA / 2)) ** 2 * spread
    return float(stopped.mean()), float(tricked.mean())


def _one_item(scenario: Scenario, sims: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """The number of one more item's step in each run."""
    edges: Floats = np.cumsum(scenario.steps)
    return np.minimum(np.searchsorted(edges, rng.random(sims), side="right"), len(edges) - 1)


@cache
def _plan(looks: int) -> GroupSequential:
    return group_sequential(looks)


def at_looks(scenario: Scenario, looks: int, sims: int, rng: np.random.Generator) -> float:
    """The share of runs that cross an O'Brien-Fleming boundary, the default rule's p at each planned look."""
    plan = _plan(looks)
    ends = [round(share * scenario.items) for share in plan.fractions]
    so_far = np.zeros((sims, len(scenario.steps)), np.int64)
    stopped = np.zeros(sims, np.bool_)
    for count, level in zip(np.diff([0, *ends]), plan.levels, strict=True):
        so_far += rng.multinomial(int(count), scenario.steps, size=sims)
        stopped |= decisions(so_far, alpha=max(level, 1e-15)).rejects
    return float(stopped.mean())
