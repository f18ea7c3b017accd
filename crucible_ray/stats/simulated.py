"""Power by simulation, where no formula holds: the default rule with repeats and few differing items, and quantiles.

Seeded, so that the same question has the same answer; the Monte Carlo error stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical
from crucible_ray.stats.inputs import as_rows
from crucible_ray.stats.prospects import RELATIONS
from crucible_ray.stats.result import Floats
from crucible_ray.stats.single import items_for_quantile
from crucible_ray.stats.tally import Counts, decisions
from crucible_ray.stats.verdicts import interval_alpha

_POOL = 2**14
"""Items of the population that is drawn from."""
_CHUNK = 2_000_000
"""Values held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A power that was simulated."""

    power: float
    error: float
    """Its Monte Carlo standard error."""
    simulations: int

    def __str__(self) -> str:
        return f"{self.power:.3f} (Monte Carlo error {self.error:.3f}, {self.simulations:,} simulations)"


def simulated_support(
    relation: str,
    margin: float,
    *,
    n: int,
    repeats: int,
    effect: float,
    p: float,
    icc: float,
    rho: float,
    alpha: float = 0.05,
    simulations: int = 2_000,
    seed: int = 0,
) -> Simulated:
    """The chance that the default rule supports a hypothesis on a 0/1 outcome with repeats.

    Each item has a chance to be right under each condition: beta-distributed with means `p` and p + effect,
    intraclass correlation `icc`, tied by a normal copula so that the two correlate by `rho` (or as far as they can).
    The rule is that of `paired_difference`. Raises StatsError on numbers out of range.
    """
    _check(relation, n, repeats, p, effect, icc, rho, simulations)
    rng = np.random.default_rng(seed)
    control, treatment = _population(p, p + effect, icc, rho, seed)
    chunk, supported = max(1, _CHUNK // n), 0
    for start in range(0, simulations, chunk):
        drawn = rng.integers(_POOL, size=(min(chunk, simulations - start), n))
        right = [rng.binomial(repeats, chances[drawn]) for chances in (control, treatment)]
        supported += int(
            _supported(right[1] - right[0], repeats, relation, margin, interval_alpha(alpha, relation)).sum()
        )
    return _result(supported / simulations, simulations)


def simulated_quantile_power(
    control_IR: ArrayLike,
    treatment_IR: ArrayLike,
    *,
    quantile: float,
    n: int,
    effect: float,
    margin: float = 0.0,
    alpha: float = 0.05,
    simulations: int = 2_000,
    seed: int = 0,
) -> Simulated:
    """The chance that the interval of a difference of quantiles (treatment minus control) lies above `margin`.

    A pilot's values, shape [items, repeats], the same items in both; NaN where a trial has none. Sets of n items are
    drawn from them; the spread of the differences is the standard error, their shape, moved to `effect`, what a run
    would find. Meaningful only where the pilot itself knows the quantile: ln(.025) / ln(q) items or more. Raises
    StatsError otherwise.
    """
    control, treatment = (as_rows(values) for values in (control_IR, treatment_IR))
    if control.shape != treatment.shape:
        raise StatsError(
            f"a pilot has the same items twice, not shapes {control.shape} and {treatment.shape}"
        )
    if not 0 < quantile < 1:
        raise StatsError(f"quantile is {quantile}; it lies between 0 and 1")
    needed = items_for_quantile(quantile)
    for name, number in (("the pilot has", len(control)), ("n is", n)):
        if number < needed:
            raise StatsError(f"{name} {number} items; the {quantile:g} quantile needs {needed} or more")
    if simulations < 100:
        raise StatsError(f"simulations is {simulations}; it must be 100 or more")
    rng = np.random.default_rng(seed)
    found = np.empty(simulations)
    for draw in range(simulations):
        items = rng.integers(len(control), size=n)
        found[draw] = np.nanquantile(treatment[items], quantile) - np.nanquantile(control[items], quantile)
    se = float(found.std(ddof=1))
    above = found - found.mean() + effect - critical(alpha) * se > margin
    return _result(float(above.mean()), simulations)


def _result(power: float, simulations: int) -> Simulated:
    # With a share of 0 or 1 the binomial error would be 0; one simulation more on the other side bounds it.
    share = min(max(power, 1 / (simulations + 1)), simulations / (simulations + 1))
    return Simulated(power=power, error=math.sqrt(share * (1 - share) / simulations), simulations=simulations)


def _supported(gained: Counts, repeats: int, relation: str, margin: float, alpha: float) -> NDArray[np.bool_]:
    """By simulation, from right answers more under treatment, shape [simulations, items]."""
    kinds = 2 * repeats + 1
    cells = gained + repeats + kinds * np.arange(len(gained))[:, None]
    tallies = np.bincount(cells.ravel(), minlength=kinds * len(gained)).reshape(-1, kinds)
    said = decisions(tallies, alpha=alpha)
    edge = margin if relation == "superiority" else -margin
    supported: NDArray[np.bool_] = said.decidable & (said.low > edge)
    return supported & (said.high < margin) if relation == "equivalence" else supported


def _population(p: float, other: float, icc: float, rho: float, seed: int) -> tuple[Floats, Floats]:
    """Chances to be right of `_POOL` items under both conditions; evenly spread, so that their means hold."""
    from scipy.optimize import brentq
    from scipy.special import ndtri
    from scipy.stats import qmc

    points = qmc.Sobol(2, rng=np.random.default_rng(seed)).random(_POOL)
    normal = ndtri(np.clip(points, 1e-12, 1 - 1e-12))
    control = _chances(normal[:, 0], p, icc)

    def treatment(tied: float) -> Floats:
        return _chances(tied * normal[:, 0] + math.sqrt(1 - tied * tied) * normal[:, 1], other, icc)

    def excess(tied: float) -> float:
        return float(np.corrcoef(control, treatment(tied))[0, 1]) - rho

    constant = not icc or min(p, 1 - p, other, 1 - other) <= 0
    if constant or rho <= 0 or excess(1.0) <= 0:
        return control, treatment(1.0 if rho > 0 else 0.0)
    return control, treatment(float(brentq(excess, 0.0, 1.0, xtol=1e-4)))


def _chances(normal: Floats, mean: float, icc: float) -> Floats:
    """Beta quantiles at a standard normal's probabilities."""
    from scipy.special import betaincinv, ndtr

    if not icc or not 0 < mean < 1:
        return np.full(normal.shape, mean)
    if icc > 0.995:  # nearly every item is always right or always wrong
        return (ndtr(normal) > 1 - mean).astype(float)
    size = 1 / icc - 1
    grid = np.linspace(-4.5, 4.5, 2001)
    table = betaincinv(mean * size, (1 - mean) * size, ndtr(grid))
    chances: Floats = np.interp(normal, grid, table)
    return chances


def _check(
    relation: str, n: int, repeats: int, p: float, effect: float, icc: float, rho: float, simulations: int
) -> None:
    if relation not in RELATIONS:
        raise StatsError(f"no relation {relation!r}: {', '.join(RELATIONS)}")
    if n < 2 or repeats < 1 or simulations < 100:
        raise StatsError(
            f"n is {n}, repeats is {repeats}, simulations is {simulations}; they must be 2, 1 and 100 or more"
        )
    if not (0 <= p <= 1 and 0 <= p + effect <= 1 and 0 <= icc <= 1 and 0 <= rho <= 1):
        raise StatsError(
            f"p is {p:g}, effect {effect:g}, icc {icc:g}, rho {rho:g}; p, p + effect, icc and rho lie in [0, 1]"
        )
