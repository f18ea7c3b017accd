"""Before the run: power, sample size and detectable effect of a paired comparison of 0/1 outcomes.

The mean difference over n items is near normal with variance v / n, where v = (discordant - effect^2) * share
and `share` is 1 for one repeat (Connett, Smith and McHugh 1987, Statistics in Medicine 6). It exceeds a
margin with probability Phi((effect - margin) / sqrt(v / n) - z). For a margin above zero this errs on the
safe side: where it says .80 for a true +8 points and a margin of 5, exact enumeration of Tango's rule gives
.81 to .84.

R repeats average away only what varies within an item. With `icc` the correlation of two repeats of an item
and `rho` the correlation of the two conditions' item probabilities, share = ((1 - icc) / R + icc (1 - rho)) /
(1 - icc rho). Without them repeats count as one, the safe end: at temperature 0 they carry nothing new.
"""

from __future__ import annotations

import math

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical, normal_cdf, normal_quantile


def power(
    design: str,
    *,
    n: int,
    effect: float,
    discordant: float,
    alpha: float = 0.05,
    margin: float = 0.0,
    repeats: int = 1,
    icc: float | None = None,
    rho: float | None = None,
) -> float:
    """The probability that the interval for treatment - control lies above the margin.

    design: `paired_binary`. n: items. effect: the true difference. discordant: the share of items that differ
    at one repeat. Raises StatsError on an impossible design.
    """
    _check(design, effect, discordant)
    share = _share(repeats, icc, rho)
    if n < 1:
        raise StatsError(f"n is {n}; a design needs an item")
    variance = (discordant - effect * effect) * share / n
    if variance <= 0:
        return 1.0 if effect > margin else 0.0
    return normal_cdf((effect - margin) / math.sqrt(variance) - critical(alpha))


def sample_size(
    design: str,
    *,
    effect: float,
    discordant: float,
    power: float = 0.8,
    alpha: float = 0.05,
    margin: float = 0.0,
    repeats: int = 1,
    icc: float | None = None,
    rho: float | None = None,
) -> int:
    """The fewest items that reach `power`; raises StatsError where none do (no effect beyond the margin)."""
    _check(design, effect, discordant)
    if effect <= margin:
        raise StatsError(f"a true difference of {effect:g} never clears a margin of {margin:g}")
    z = critical(alpha) + normal_quantile(power)
    variance = (discordant - effect * effect) * _share(repeats, icc, rho)
    return max(1, math.ceil(variance * (z / (effect - margin)) ** 2))


def detectable_effect(
    design: str,
    *,
    n: int,
    discordant: float,
    power: float = 0.8,
    alpha: float = 0.05,
    margin: float = 0.0,
    repeats: int = 1,
    icc: float | None = None,
    rho: float | None = None,
) -> float:
    """The smallest true difference that n items find with `power`; raises StatsError where none is."""
    _check(design, 0.0, discordant)
    if n < 1:
        raise StatsError(f"n is {n}; a design needs an item")
    z = critical(alpha) + normal_quantile(power)
    # (e - margin)^2 = k (discordant - e^2), solved for e.
    k = z * z * _share(repeats, icc, rho) / n
    root = (1 + k) * k * discordant - k * margin * margin
    effect = (margin + math.sqrt(root)) / (1 + k) if root >= 0 else math.inf
    if effect > discordant:
        raise StatsError(
            f"{n} items with a discordant share of {discordant:g} find no difference above {margin:g}"
        )
    return effect


def _share(repeats: int, icc: float | None, rho: float | None) -> float:
    """The variance of an item's mean difference over that at one repeat."""
    if repeats < 1:
        raise StatsError(f"repeats is {repeats}; it must be 1 or more")
    if icc is None or rho is None:
        return 1.0
    if not (0 <= icc <= 1 and -1 <= rho <= 1 and icc * rho < 1):
        raise StatsError(
            f"icc is {icc}, rho is {rho}; icc lies in [0, 1], rho in [-1, 1], and both cannot be 1"
        )
    return ((1 - icc) / repeats + icc * (1 - rho)) / (1 - icc * rho)


def _check(design: str, effect: float, discordant: float) -> None:
    if design != "paired_binary":
        raise StatsError(f"no design {design!r}: paired_binary")
    if not 0 < discordant <= 1 or abs(effect) > discordant:
        raise StatsError(
            f"effect {effect:g} with a discordant share of {discordant:g} is impossible: "
            "the share lies above 0, up to 1, and is at least the effect"
        )
