"""Before the run: power, sample size and detectable effect of four designs, repeats within items included.

`power` is the probability that the interval at 1 - alpha of treatment - control lies above the margin; without a
margin that is a two-sided test, less its chance to err in sign. `n` is items: pairs, or items in each group.

| design | spread of one item's difference at one repeat | distribution |
| --- | --- | --- |
| paired_binary | discordant - effect^2 (Connett, Smith and McHugh 1987, Statistics in Medicine 6) | normal |
| paired_continuous | sd^2, of the paired differences | noncentral t |
| independent_binary | p (1 - p) + (p + effect) (1 - p - effect), unpooled | normal |
| independent_continuous | 2 sd^2, sd of a single value in either group | noncentral t |

For a margin above zero paired_binary errs on the safe side: where it says .80 for a true +8 points and a margin of
5, exact enumeration of Tango's rule gives .81 to .84. `discordant` may be left out where `p`, the control's share,
is given: it then follows from the correlation icc * rho of the two outcomes, or from independence, the safe end.

R repeats average away only what varies within an item. With `icc` the correlation of two repeats of an item and
`rho` the correlation of the two conditions' item means, the paired spread shrinks to ((1 - icc) / R + icc (1 -
rho)) / (1 - icc rho) of that at one repeat, the independent one to (1 - icc) / R + icc (Miller 2024, arXiv
2411.00640). Without them repeats count as one, the safe end: at temperature 0 they carry nothing new.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical, normal_cdf, normal_quantile

DESIGNS = ("paired_binary", "paired_continuous", "independent_binary", "independent_continuous")
MOST_ITEMS = 10**9
"""Items from which on a sample size is refused as out of reach."""


class _Design(NamedTuple):
    """What is fixed while n and the effect vary."""

    name: str
    alpha: float
    margin: float
    repeats: int
    sd: float | None
    icc: float | None
    rho: float | None
    p: float | None
    discordant: float | None

    @property
    def paired(self) -> bool:
        return self.name.startswith("paired")

    @property
    def binary(self) -> bool:
        return self.name.endswith("binary")


def power(
    design: str,
    *,
    n: int,
    effect: float,
    alpha: float = 0.05,
    margin: float = 0.0,
    repeats: int = 1,
    sd: float | None = None,
    icc: float | None = None,
    rho: float | None = None,
    p: float | None = None,
    discordant: float | None = None,
) -> float:
    """The probability that the interval for treatment - control lies above the margin.

    design: one of `DESIGNS`. n: items, in each group where groups are independent. effect: the true difference.
    margin: negative for non-inferiority. sd: see the table above. p: the control's share of right answers.
    discordant: the share of items that differ at one repeat. Raises StatsError on an impossible design, or one
    that lacks a number, which it names.
    """
    planned = _design(design, alpha, margin, repeats, sd, icc, rho, p, discordant)
    return _power(planned, _items(planned, n), effect)


def sample_size(
    design: str,
    *,
    effect: float,
    power: float = 0.8,
    alpha: float = 0.05,
    margin: float = 0.0,
    repeats: int = 1,
    sd: float | None = None,
    icc: float | None = None,
    rho: float | None = None,
    p: float | None = None,
    discordant: float | None = None,
) -> int:
    """The fewest items (in each group) that reach `power`; raises StatsError where none do."""
    planned = _design(design, alpha, margin, repeats, sd, icc, rho, p, discordant)
    _probability(power)
    _variance(planned, effect)
    if effect <= margin:
        raise StatsError(f"a true difference of {effect:g} never clears a margin of {margin:g}")
    return fewest(lambda n: _power(planned, n, effect) >= power, 1 if planned.binary else 2)


def detectable_effect(
    design: str,
    *,
    n: int,
    power: float = 0.8,
    alpha: float = 0.05,
    margin: float = 0.0,
    repeats: int = 1,
    sd: float | None = None,
    icc: float | None = None,
    rho: float | None = None,
    p: float | None = None,
    discordant: float | None = None,
) -> float:
    """The smallest true difference that n items (in each group) find with `power`; StatsError where none is."""
    planned = _design(design, alpha, margin, repeats, sd, icc, rho, p, discordant)
    _probability(power)
    items = _items(planned, n)
    if design == "paired_binary" and discordant is not None:
        return _detectable_discordant(planned, items, power, discordant)
    from scipy.optimize import brentq

    start = max(margin, -p) if planned.binary and p is not None else margin
    ceiling = 1 - p if planned.binary and p is not None else _reach(planned, items, start, power)

    def excess(effect: float) -> float:
        return _power(planned, items, effect) - power

    if ceiling <= start or excess(ceiling) < 0:
        raise StatsError(f"{n} items find no difference above {margin:g} with a power of {power:g}")
    return float(brentq(excess, start, ceiling, xtol=1e-13, rtol=1e-13))


def discordant_share(
    effect: float,
    discordant: float | None = None,
    p: float | None = None,
    icc: float | None = None,
    rho: float | None = None,
) -> float:
    """The share of pairs that differ at one repeat: `discordant`, or what follows from p. Raises StatsError."""
    return _discordant(_design("paired_binary", 0.05, 0.0, 1, None, icc, rho, p, discordant), effect)


def _power(planned: _Design, n: int, effect: float) -> float:
    variance = _variance(planned, effect) / n
    if variance <= 0:
        return 1.0 if effect > planned.margin else 0.0
    away = (effect - planned.margin) / math.sqrt(variance)
    if planned.binary:
        return normal_cdf(away - critical(planned.alpha))
    # `scipy.stats.nct` says the same to the last bit, and takes a second to import: an estimate has to be quick.
    from scipy.special import nctdtr

    df = n - 1 if planned.paired else 2 * (n - 1)
    return float(1 - nctdtr(df, away, critical(planned.alpha, df)))


def _variance(planned: _Design, effect: float) -> float:
    """Of the difference of one item's means (or of two items', one in each group), over its repeats."""
    if planned.binary and abs(effect) > 1:
        raise StatsError(
            f"effect {effect:g} is impossible, as scores lie between 0 and 1: {effect:g} points are written {effect / 100:g}"
        )
    if planned.name == "paired_binary":
        share = _discordant(planned, effect)
        return (share - effect * effect) * _share(planned)
    if planned.name == "independent_binary":
        p, other = _shares(planned, effect)
        return (p * (1 - p) + other * (1 - other)) * _share(planned)
    assert planned.sd is not None
    return planned.sd**2 * _share(planned) * (1 if planned.paired else 2)


def _discordant(planned: _Design, effect: float) -> float:
    share = planned.discordant
    if share is None:
        p, other = _shares(planned, effect)
        tied = 0.0 if planned.icc is None or planned.rho is None else planned.icc * planned.rho
        both = p * other + tied * math.sqrt(p * (1 - p) * other * (1 - other))
        # Two shares bound how often both can be right.
        both = min(max(both, p + other - 1, 0.0), p, other)
        share = p + other - 2 * both
    if not 0 < share <= 1 or abs(effect) > share * (1 + 1e-12):
        raise StatsError(
            f"effect {effect:g} with a discordant share of {share:g} is impossible: "
            "the share lies above 0, up to 1, and is at least the effect"
        )
    return share


def _shares(planned: _Design, effect: float) -> tuple[float, float]:
    assert planned.p is not None
    other = planned.p + effect
    if not -1e-12 <= other <= 1 + 1e-12:
        raise StatsError(f"effect {effect:g} on a share of {planned.p:g} is impossible: it leaves 0 to 1")
    return planned.p, min(max(other, 0.0), 1.0)


def _share(planned: _Design) -> float:
    """The variance of an item's mean (paired: of its difference) over that at one repeat."""
    if planned.icc is None or (planned.paired and planned.rho is None):
        return 1.0
    if not planned.paired:
        return (1 - planned.icc) / planned.repeats + planned.icc
    assert planned.rho is not None
    kept = (1 - planned.icc) / planned.repeats + planned.icc * (1 - planned.rho)
    return kept / (1 - planned.icc * planned.rho)


def _detectable_discordant(planned: _Design, n: int, power: float, discordant: float) -> float:
    z = critical(planned.alpha) + normal_quantile(power)
    margin = planned.margin
    # (e - margin)^2 = k (discordant - e^2), solved for e.
    k = z * z * _share(planned) / n
    root = (1 + k) * k * discordant - k * margin * margin
    effect = (margin + math.sqrt(root)) / (1 + k) if root >= 0 else math.inf
    if effect > discordant:
        raise StatsError(
            f"{n} items with a discordant share of {discordant:g} find no difference above {margin:g}"
        )
    return effect


def _reach(planned: _Design, n: int, start: float, power: float) -> float:
    """An effect that is surely found."""
    step = math.sqrt(_variance(planned, start) / n)
    width = 4 * step
    while _power(planned, n, start + width) < power:
        width *= 2
    return start + width


def fewest(enough: Callable[[int], bool], least: int) -> int:
    """The smallest number from `least` on that is enough, where all larger ones are; StatsError from 1e9 on."""
    high = least
    while not enough(high):
        if high > MOST_ITEMS:
            raise StatsError(f"more than {MOST_ITEMS:,} items would be needed")
        high *= 2
    low = max(least - 1, high // 2) if high > least else least - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _items(planned: _Design, n: int) -> int:
    least = 1 if planned.binary else 2
    if n < least:
        raise StatsError(f"n is {n}; a design needs an item, and a spread two")
    return n


def _probability(power: float) -> None:
    if not 0 < power < 1:
        raise StatsError(f"power is {power}; it must lie between 0 and 1")


def _design(
    name: str,
    alpha: float,
    margin: float,
    repeats: int,
    sd: float | None,
    icc: float | None,
    rho: float | None,
    p: float | None,
    discordant: float | None,
) -> _Design:
    """The design, with every number that it needs, each in its range."""
    if name not in DESIGNS:
        raise StatsError(f"no design {name!r}: {', '.join(DESIGNS)}")
    critical(alpha)
    if repeats < 1:
        raise StatsError(f"repeats is {repeats}; it must be 1 or more")
    if icc is not None and rho is not None and not (0 <= icc <= 1 and -1 <= rho <= 1 and icc * rho < 1):
        raise StatsError(
            f"icc is {icc}, rho is {rho}; icc lies in [0, 1], rho in [-1, 1], and both cannot be 1"
        )
    if icc is not None and not 0 <= icc <= 1:
        raise StatsError(f"icc is {icc}; it lies in [0, 1]")
    if p is not None and not 0 <= p <= 1:
        raise StatsError(f"p is {p}; a share lies in [0, 1]")
    planned = _Design(name, alpha, margin, repeats, sd, icc, rho, p, discordant)
    if name == "paired_binary" and discordant is None and p is None:
        raise StatsError("paired_binary needs discordant, the share of items that differ, or p")
    if name == "independent_binary" and p is None:
        raise StatsError("independent_binary needs p, the control's share")
    if not planned.binary and (sd is None or not sd > 0):
        what = "the paired differences" if planned.paired else "a single value"
        raise StatsError(f"{name} needs sd, the standard deviation of {what}, above 0")
    return planned
