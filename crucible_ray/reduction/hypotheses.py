"""The primary family: every declared hypothesis, each read off its interval at the level that the correction gives it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from crucible_ray.errors import StatsError
from crucible_ray.reduction.analysis import Comparison, HypothesisResult
from crucible_ray.reduction.asking import Asker, pair_of
from crucible_ray.reduction.decisions import Needed
from crucible_ray.reduction.missing import could_flip
from crucible_ray.stats.prospects import items_for_support
from crucible_ray.stats.verdicts import Verdict, adjusted_p, family_levels, interval_alpha, verdict

if TYPE_CHECKING:
    from crucible_ray import stats
    from crucible_ray.experiment.plan import HypothesisPlan

BEYOND = 0.03
"""How far past its margin the true difference is assumed where items are counted, as an estimate does."""
USUAL_DISCORDANT = (0.10, 0.16)
"""Shares of items on which two conditions of a published benchmark usually differ."""


def verdicts(asker: Asker, compared: Sequence[Comparison]) -> tuple[HypothesisResult, ...]:
    """One for each declared hypothesis. compared: the comparison that each is about."""
    plan = asker.plan
    claims = [_Claim(asker, each) for each in plan.hypotheses]
    p_values = [each.p_value for each in claims]
    alpha, correction = plan.analysis.alpha, plan.analysis.correction
    levels = family_levels(p_values, alpha, correction)
    adjusted = adjusted_p(p_values, correction)
    single = alpha / max(len(claims), 1)
    return tuple(
        claim.result(comparison, level, p_value, single)
        for claim, comparison, level, p_value in zip(claims, compared, levels, adjusted, strict=True)
    )


class _Claim:
    """One hypothesis and what the data say of it at any level."""

    def __init__(self, asker: Asker, hypothesis: HypothesisPlan) -> None:
        self._asker, self._declared = asker, hypothesis
        self._pair = pair_of(asker.plan, hypothesis.metric, hypothesis.a, hypothesis.b)
        self.p_value = self._smallest_level()

    def result(
        self, comparison: Comparison, level: float, p_adjusted: float | None, single: float
    ) -> HypothesisResult:
        declared = self._declared
        found, bonferroni = self._at(level), self._at(single)
        outcome, alone = self._read(found), self._read(bonferroni)
        reason = comparison.reason if found is None else _why(found, outcome)
        if could_flip(outcome, declared, comparison.worst, comparison.best):
            reason = (
                f"failed trials could turn it: with them the difference lies between {comparison.worst:+.4f} "
                f"and {comparison.best:+.4f} (on what was answered alone: {outcome})"
            )
            outcome = alone = "not_decided"
        plain_alpha = interval_alpha(self._asker.alpha, declared.relation)
        plain = self._ask(plain_alpha)
        return HypothesisResult(
            text=declared.text,
            verdict=outcome,
            estimate=None if found is None else found.estimate,
            ci_low=None if found is None else found.ci_low,
            ci_high=None if found is None else found.ci_high,
            reason=reason,
            metric=declared.metric,
            a=declared.a,
            b=declared.b,
            relation=declared.relation,
            margin=declared.margin,
            confidence=1 - interval_alpha(level, declared.relation),
            bonferroni=alone,
            p_value=self.p_value,
            p_adjusted=p_adjusted,
            plain_low=None if plain is None else plain.ci_low,
            plain_high=None if plain is None else plain.ci_high,
            plain_confidence=1 - plain_alpha,
            bonferroni_low=None if bonferroni is None else bonferroni.ci_low,
            bonferroni_high=None if bonferroni is None else bonferroni.ci_high,
            needed=None if outcome == "supported" else self._needed(comparison),
        )

    def _at(self, level: float) -> stats.Comparison | None:
        return self._ask(interval_alpha(level, self._declared.relation))

    def _ask(self, alpha: float, margin: float = 0.0) -> stats.Comparison | None:
        """None: nothing to compare, the comparison's own reason says what."""
        try:
            return self._asker.ask(self._pair, alpha, margin=margin)
        except StatsError:
            return None

    def _read(self, found: stats.Comparison | None) -> Verdict:
        if found is None or not found.decidable or (found.ci_low is None and found.ci_high is None):
            return "not_decided"
        # An end that is not known (latencies beyond the timeout) may lie anywhere.
        low = -math.inf if found.ci_low is None else found.ci_low
        high = math.inf if found.ci_high is None else found.ci_high
        return verdict(low, high, self._declared.relation, self._declared.margin)

    def _smallest_level(self) -> float | None:
        """The smallest level at which the verdict is decided: p against the nearest edge; None: undefined."""
        relation, margin = self._declared.relation, self._declared.margin
        if relation != "equivalence":
            return self._against(margin if relation == "superiority" else -margin)
        low, high = self._against(-margin), self._against(margin)
        # The nearer edge decides; each is one-sided, since the interval that is read is that at 1 - 2 alpha.
        return None if low is None or high is None else max(low, high) / 2

    def _against(self, edge: float) -> float | None:
        found = self._ask(self._asker.alpha, edge)
        if found is None or found.p_value is None:
            return None
        return max(found.p_value, found.least_level)

    def _needed(self, comparison: Comparison) -> Needed | None:
        """Items that would clear a margin of a metric of 0 and 1; None where there is no margin to clear."""
        declared, analysis = self._declared, self._asker.plan.analysis
        binary = self._asker.metric(declared.metric).kind == "binary"
        if declared.relation != "superiority" or not declared.margin or not binary:
            return None
        effect = declared.margin + BEYOND
        shares = [max(share, effect) for share in USUAL_DISCORDANT]
        if comparison.items and comparison.differing and self._asker.plan.repeats == 1:
            shares.append(max(comparison.differing / comparison.items, effect))
        power, alpha = analysis.desired_power, analysis.alpha
        return Needed(
            effect=effect,
            power=power,
            discordant=tuple(shares),
            items=tuple(_items(declared, effect, share, power, alpha) for share in shares),
        )


def _items(
    declared: HypothesisPlan, effect: float, discordant: float, power: float, alpha: float
) -> int | None:
    try:
        return items_for_support(
            declared.relation, declared.margin, effect=effect, power=power, alpha=alpha, discordant=discordant
        )
    except StatsError:  # a margin that no such difference clears
        return None


def _why(found: stats.Comparison, outcome: Verdict) -> str:
    if found.ci_low is None and found.ci_high is None:
        return found.notes[0]
    if not found.decidable:
        return f"too few differing items to decide ({found.differing} of {found.n})"
    return {
        "supported": "the whole interval lies where the hypothesis says",
        "refuted": "the whole interval lies outside what the hypothesis says",
        "reversed": "the whole interval lies on the other side of zero",
        "not_decided": "the interval holds values for and against the hypothesis",
    }[outcome]
