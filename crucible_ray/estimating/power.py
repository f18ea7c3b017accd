"""What a plan can find: hypothesis by hypothesis, before any money is spent.

A hypothesis on accuracy is counted out (`stats.exact_support`) at both ends of what is assumed of the items that
differ; with a pilot, at both ends of what it found. Without one, repeats count as one. Of any other metric the scale
is not known beforehand: there the difference that can be found is told in standard deviations of an item's
difference, and with a pilot in the metric's own unit. Of several hypotheses each is read at Holm's first step, the
safe end; what was found in a pilot is never taken for the truth.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from msgspec import Struct

from crucible_ray.errors import StatsError
from crucible_ray.estimating.assumptions import Assumptions
from crucible_ray.estimating.pilots import Pilot
from crucible_ray.experiment.plan import HypothesisPlan, Plan
from crucible_ray.stats import (
    best_split,
    detectable_effect,
    exact_support,
    items_for_support,
    sample_size,
    support_power,
)
from crucible_ray.stats.splits import MOST_REPEATS
from crucible_ray.stats.verdicts import interval_alpha

_MOST_COUNTED = 5_000
"""Items up to which counting out answers at once; beyond them the formula is as good."""
_BOUNDED = ("accuracy",)
_LOOKS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""What a betting sequence is set beside."""

Range = tuple[float, float]


class SplitForecast(Struct, frozen=True, kw_only=True):
    """The same number of trials, laid out in the way that finds most."""

    items: int
    repeats: int
    power: Range


class StoppingForecast(Struct, frozen=True, kw_only=True):
    """Items that one hypothesis asks for at the assumed difference, by either rule of `stop_when`, simulated."""

    betting: Range
    """A betting sequence, the mean."""
    looks: Range
    """Planned looks, the mean."""
    shares: tuple[float, ...]
    """Of the items, at which they look."""
    largest: int


class PowerForecast(Struct, frozen=True, kw_only=True):
    """What a design can tell about one hypothesis; ranges go from the lowest to the highest discordant share."""

    hypothesis: str
    metric: str = "accuracy"
    relation: str = "superiority"
    margin: float
    alpha: float = 0.05
    """Two-sided, of its interval: the first step of the correction for several hypotheses."""
    effect: float | None = None
    """The true difference assumed; None: nothing is, for the metric's scale is not known."""
    discordant: Range | None = None
    """Share of items that differ at one repeat; None: not a 0/1 outcome."""
    items: int
    repeats: int = 1
    power: Range | None = None
    """The chance that it is supported; None: without an effect there is none."""
    independent: Range | None = None
    """The same if an item's repeats were independent of one another; None: one repeat, or a pilot says what they bring."""
    items_needed: tuple[int | None, int | None] | None = None
    """Items for the target power; None within: no number of items is enough."""
    detectable: tuple[float | None, float | None] | None = None
    """The smallest true difference that is supported with the target power, in the metric's unit; None within: the items
    are too few for any; None: the unit is not known, or there is no such difference (an equivalence)."""
    target_power: float
    detectable_sd: float | None = None
    """How far past its margin a difference has to lie, in standard deviations of an item's difference."""
    smallest: float = 0.2
    """The smallest effect of interest, in the same unit."""
    items_for_smallest: int | None = None
    """What finds it with the target power."""
    split: SplitForecast | None = None
    """The same trials laid out better; None: they are laid out best, as far as is known."""
    stopping: StoppingForecast | None = None
    """Where the run may stop early (`stop_when`)."""
    pilot: str | None = None
    """The run that the spread is taken from; None: assumed."""
    note: str | None = None
    """What else has to be known."""


def power_of(plan: Plan, asked: HypothesisPlan, assume: Assumptions) -> PowerForecast:
    """What the plan can tell about one of its hypotheses."""
    pilot = assume.pilots.get(asked.text)
    alpha = interval_alpha(_level(plan), asked.relation)
    told: dict[str, Any] = {}
    if _is_binary(asked, pilot):
        told = _of_shares(plan, asked, assume, pilot)
    elif pilot is not None:
        told = {"detectable": _in_own_unit(plan, asked, assume, pilot)}
    if asked.metric.startswith("latency_p"):
        told["note"] = _quantile_note(asked.metric, plan.items)
    else:
        told |= _in_deviations(plan.items, alpha, assume)
    return PowerForecast(
        hypothesis=asked.text,
        metric=asked.metric,
        relation=asked.relation,
        margin=asked.margin,
        alpha=alpha,
        items=plan.items,
        repeats=plan.repeats,
        target_power=assume.target_power,
        smallest=assume.smallest,
        pilot=None if pilot is None else pilot.experiment_id,
        **told,
    )


def assumed_of_power(plan: Plan, assume: Assumptions) -> list[str]:
    """In words, what the forecasts rest on."""
    low, high = assume.discordant
    words = _assumed_effects(plan, assume)
    if len(assume.pilots) < len(plan.hypotheses) or not plan.hypotheses:
        words.append(f"two conditions differ in right or wrong on {100 * low:g} to {100 * high:g} % of items")
        if plan.repeats > 1:
            words.append(
                f"for power, {plan.repeats} repeats carry the information of 1, the safe end: they may carry up to "
                f"{plan.repeats} times as much"
            )
    if len(plan.hypotheses) > 1 and plan.analysis.correction != "none":
        words.append(
            f"each of {len(plan.hypotheses)} hypotheses is read at alpha / {len(plan.hypotheses)}, the first step of "
            "their correction"
        )
    return words


def _assumed_effects(plan: Plan, assume: Assumptions) -> list[str]:
    """Where the true differences come from; `power_of` takes the same."""
    asked = [each for each in plan.hypotheses if _is_binary(each, assume.pilots.get(each.text))]
    ahead = [each for each in asked if each.relation == "superiority"]
    found = []
    if any(each.margin > 0 for each in ahead):
        found.append(f"{100 * assume.beyond_margin:g} points past the margin")
    if any(each.margin <= 0 for each in ahead):
        found.append(f"{100 * assume.without_margin:g} points" + (" where there is none" if found else ""))
    if len(ahead) < len(asked):
        found.append("0 for non-inferiority and equivalence")
    if not found:
        return []
    return [
        f"the true difference is taken to be {', '.join(found)}, as nobody knows it beforehand (crucible-ray power "
        "--effect tells of another)"
    ]


def _is_binary(asked: HypothesisPlan, pilot: Pilot | None) -> bool:
    return asked.metric in _BOUNDED if pilot is None else pilot.spread.binary


def _level(plan: Plan) -> float:
    return plan.analysis.alpha / (len(plan.hypotheses) if plan.analysis.correction != "none" else 1)


def _in_deviations(items: int, alpha: float, assume: Assumptions) -> dict[str, Any]:
    """What is told where no unit is known: a difference over the standard deviation of an item's."""
    design = "paired_continuous"
    how: dict[str, Any] = {"sd": 1.0, "alpha": alpha, "power": assume.target_power}
    return {
        "detectable_sd": None if items < 2 else detectable_effect(design, n=items, **how),
        "items_for_smallest": sample_size(design, effect=assume.smallest, **how),
    }


def _quantile_note(metric: str, items: int) -> str:
    share = float(metric.removeprefix("latency_p")) / 100
    needed = math.ceil(math.log(0.025) / math.log(share))
    told = f"a quantile has an interval from {needed} items on; there are {items:,}"
    return f"{told}: what it finds is simulated from a pilot by stats.simulated_quantile_power"


def _of_shares(plan: Plan, asked: HypothesisPlan, assume: Assumptions, pilot: Pilot | None) -> dict[str, Any]:
    """Of a 0/1 outcome, at the lowest and the highest share of items that differ."""
    effect = min(1.0, _effect(asked, assume))
    ends = assume.discordant if pilot is None else _pilot_shares(pilot)
    low, high = (max(share, abs(effect), 1e-6) for share in ends)
    here = _Outlook(plan, asked, assume, effect, (low, high), _spread(pilot))
    return {
        "effect": effect,
        "discordant": here.shares,
        "power": here.power(plan.items, plan.repeats),
        "independent": here.independent(),
        "items_needed": (here.needed(low), here.needed(high)),
        "detectable": None if asked.relation == "equivalence" else (here.found(low), here.found(high)),
        "stopping": here.stopping(),
        "split": here.split(),
    }


def _effect(asked: HypothesisPlan, assume: Assumptions) -> float:
    if asked.relation != "superiority":
        return 0.0
    return asked.margin + assume.beyond_margin if asked.margin > 0 else assume.without_margin


def _pilot_shares(pilot: Pilot) -> Range:
    found = pilot.spread
    return found.discordant_low or 0.0, found.discordant_high or 1.0


def _spread(pilot: Pilot | None) -> dict[str, Any]:
    """What repeats bring, where a pilot with repeats says so."""
    if pilot is None or pilot.spread.icc is None or pilot.spread.rho is None:
        return {}
    return {"icc": pilot.spread.icc, "rho": pilot.spread.rho}


class _Outlook(NamedTuple):
    """A hypothesis on a 0/1 outcome, and what is assumed of it."""

    plan: Plan
    asked: HypothesisPlan
    assume: Assumptions
    effect: float
    shares: Range
    """Of items that differ at one repeat, the lowest and the highest."""
    spread: dict[str, Any]
    """What repeats bring; empty: they count as one."""

    def power(self, items: int, repeats: int) -> Range:
        low, high = self.shares
        return self._at(low, items, repeats, self.effect), self._at(high, items, repeats, self.effect)

    def _at(self, share: float, items: int, repeats: int, effect: float) -> float:
        relation, margin = self.asked.relation, self.asked.margin
        how: dict[str, Any] = {"effect": effect, "discordant": share, "alpha": _level(self.plan)}
        if (repeats == 1 or not self.spread) and items <= _MOST_COUNTED:
            return exact_support(relation, margin, n=items, **how)
        return support_power(relation, margin, n=items, repeats=repeats, **how, **self.spread)

    def independent(self) -> Range | None:
        """The power if all that varies varied within items; where repeats count as one, the truth lies between."""
        if self.spread or self.plan.repeats == 1:
            return None
        low, high = self._replace(spread={"icc": 0.0, "rho": 0.0}).power(self.plan.items, self.plan.repeats)
        return low, high

    def needed(self, share: float) -> int | None:
        """Items for the target power; None: no number of them is enough."""
        repeats = self.plan.repeats
        return items_for_support(
            self.asked.relation,
            self.asked.margin,
            effect=self.effect,
            discordant=share,
            power=self.assume.target_power,
            alpha=_level(self.plan),
            **({**self.spread, "repeats": repeats} if self.spread and repeats > 1 else {}),
        )

    def found(self, share: float) -> float | None:
        """The smallest true difference that is supported with the target power; None: the items are too few for any."""
        from scipy.optimize import brentq

        def short(effect: float) -> float:
            at = self._at(max(share, abs(effect)), self.plan.items, self.plan.repeats, effect)
            return at - self.assume.target_power

        if short(1.0) < 0:
            return None
        return float(brentq(short, _edge(self.asked), 1.0, xtol=1e-4))

    def stopping(self) -> StoppingForecast | None:
        """Where the run may stop early, how many items it asks."""
        plan = self.plan
        if plan.stop_when is None:
            return None
        from crucible_ray.stats.stopping import stopping_items

        shares = plan.stop_when.looks or _LOOKS
        means = [
            stopping_items(
                self.asked.relation,
                self.asked.margin,
                n=plan.items,
                effect=self.effect,
                discordant=share,
                looks=looks,
                alpha=_level(plan),
                seed=plan.seed,
            ).expected
            for looks in ((), shares)
            for share in self.shares
        ]
        return StoppingForecast(
            betting=(means[0], means[1]), looks=(means[2], means[3]), shares=shares, largest=plan.items
        )

    def split(self) -> SplitForecast | None:
        """The same trials laid out to find more: as many items as there are, unless a pilot's repeats say otherwise."""
        blocks = self.plan.items * self.plan.repeats
        most = self.assume.available or blocks
        items = min(blocks, most)
        repeats = max(1, blocks // items)
        if self.spread:
            try:
                best = best_split(
                    budget=blocks,
                    effect=self.effect,
                    relation=self.asked.relation,
                    margin=self.asked.margin,
                    alpha=_level(self.plan),
                    max_items=most,
                    max_repeats=min(MOST_REPEATS, blocks),
                    discordant=self.shares[0],
                    **self.spread,
                )
            except StatsError:
                return None
            items, repeats = best.items, best.repeats
        if items <= self.plan.items:
            return None
        now, better = self.power(self.plan.items, self.plan.repeats), self.power(items, repeats)
        if better[0] + better[1] <= now[0] + now[1] + 0.005:
            return None
        return SplitForecast(items=items, repeats=repeats, power=better)


def _edge(asked: HypothesisPlan) -> float:
    """What a true difference has to exceed."""
    return asked.margin if asked.relation == "superiority" else -asked.margin


def _in_own_unit(plan: Plan, asked: HypothesisPlan, assume: Assumptions, pilot: Pilot) -> Range | None:
    """Of a number: what can be found with the spread that the pilot had."""
    if asked.relation == "equivalence" or plan.items < 2:
        return None
    smallest = detectable_effect(
        "paired_continuous",
        n=plan.items,
        sd=pilot.spread.sd,
        alpha=_level(plan),
        power=assume.target_power,
        margin=_edge(asked),
        repeats=plan.repeats,
        **_spread(pilot),
    )
    return smallest, smallest
