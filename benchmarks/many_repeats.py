"""Dozens and hundreds of repeats: what the caution of the default rule costs there, and what goes wrong without it.

With so many repeats nearly every item differs by something, and the mean is known well for the items that were asked.
What is not known is how often an item comes that differs by nearly 1: of the baseline's rare wrong answers at temperature 0
some dozens of items may hold none.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Final

import numpy as np
from msgspec import Struct
from scipy.special import stdtr

from benchmarks import rules
from benchmarks.rules import Counts, Said
from benchmarks.scenarios import Baseline, Scenario
from crucible_ray.stats.distributions import critical

_REPEATS = (40, 200)
_ITEMS = (20, 60, 150)
_BASELINES: tuple[Baseline, ...] = ("stochastic", "frozen", "greedy")
_ACCURACIES = (0.3, 0.5, 0.7, 0.9, 0.97)


class Many(Struct, frozen=True, kw_only=True):
    """One rule over all accuracies, for one number of repeats, one kind of baseline and one number of items."""

    repeats: int
    baseline: str
    items: int
    rule: str
    false_positives: tuple[float, float]
    """Lowest and highest over accuracies."""
    coverage: tuple[float, float]
    """The same, over true differences too."""
    width: float
    """Of the intervals on average, in points."""
    sims: int
    """Experiments by accuracy and difference."""


def many_repeats(sims: int, rng: np.random.Generator) -> list[Many]:
    """The default rule, and plain t on the same experiments."""
    found = []
    for repeats, baseline, items in product(_REPEATS, _BASELINES, _ITEMS):
        said: dict[str, list[tuple[Scenario, Said]]] = {name: [] for name in _RULES}
        for accuracy, size in product(_ACCURACIES, (0.0, 0.03)):
            scenario = Scenario(items, repeats, accuracy, size if accuracy <= 0.5 else -size, baseline)
            steps = rng.multinomial(items, scenario.steps, size=sims)
            for name, rule in _RULES.items():
                said[name].append((scenario, rule(steps)))
        found += [_summed(name, each) for name, each in said.items()]
    return found


def plain_t(counts_SK: Counts, alpha: float = 0.05) -> Said:
    """t on item differences as they are; where all are alike the estimate alone, and no verdict."""
    repeats, n = counts_SK.shape[1] // 2, int(counts_SK[0].sum())
    steps = np.arange(-repeats, repeats + 1) / repeats
    mean = counts_SK @ steps / n
    squares = counts_SK @ steps**2 - n * mean**2
    se = np.sqrt(np.maximum(squares, 0.0) / (n - 1) / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = np.where(se > 1e-12, 2 * stdtr(n - 1, -np.abs(mean) / se), 1.0)
    half = np.where(se > 1e-12, critical(alpha, n - 1) * se, 0.0)
    return Said(p_value < alpha, p_value, mean - half, mean + half)


_RULES: Final[dict[str, Callable[[Counts], Said]]] = {"default": rules.default, "plain t": plain_t}


def _summed(name: str, here: list[tuple[Scenario, Said]]) -> Many:
    wrong = [float(said.rejects.mean()) for scenario, said in here if scenario.difference == 0]
    covered, widths = [], []
    for scenario, said in here:
        held = said.covers(scenario.truth)
        assert held is not None
        assert said.low is not None
        assert said.high is not None
        covered.append(float(held.mean()))
        widths.append(float((said.high - said.low).mean()))
    scenario = here[0][0]
    return Many(
        repeats=scenario.repeats,
        baseline=scenario.baseline,
        items=scenario.items,
        rule=name,
        false_positives=(min(wrong), max(wrong)),
        coverage=(min(covered), max(covered)),
        width=100 * float(np.mean(widths)),
        sims=len(here[0][1].rejects),
    )
