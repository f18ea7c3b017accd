"""Which comparisons are counted together.

| family | what is in it | how it holds its level |
| --- | --- | --- |
| primary | every declared hypothesis | Holm's steps (`hypotheses`), at alpha |
| secondary | other metrics on the pairs that hypotheses name | the same steps, if all hypotheses are supported |
| exploratory | everything else | of three conditions or more, by metric: the largest t, or Holm's steps |

That the second family waits for the first is serial gatekeeping (Westfall and Krishen 2001, J. Stat. Planning and Inference
99): so both together hold alpha.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from crucible_ray.errors import StatsError
from crucible_ray.reduction.analysis import Comparison, HypothesisResult
from crucible_ray.reduction.asking import Asker, Pair, pair_of
from crucible_ray.reduction.decisions import EXPLORATORY, PRIMARY, SECONDARY, Adjusted, Families, Group
from crucible_ray.reduction.turning import turned_adjusted
from crucible_ray.stats.verdicts import adjusted_p, family_levels


def held_together(
    asker: Asker,
    comparisons: Sequence[Comparison],
    hypotheses: Sequence[HypothesisResult],
    groups: Sequence[Group],
) -> tuple[tuple[Comparison, ...], Families]:
    """The comparisons with what their family leaves of each, and the families.

    hypotheses: with the verdicts that stand, since they say whether the second family may be looked at.
    """
    plan, analysis = asker.plan, asker.plan.analysis
    families = _families(comparisons, hypotheses, analysis.correction)
    found = list(comparisons)
    second = [k for k, each in enumerate(found) if each.family == SECONDARY]
    if families.open:
        _adjust(asker, found, second, analysis.alpha, analysis.correction)
    for metric in plan.metrics:
        rest = [
            k
            for k, each in enumerate(found)
            if each.metric == metric and each.family != PRIMARY and each.adjusted is None
        ]
        group = next((each for each in groups if each.metric == metric and each.test is not None), None)
        if group is not None:
            for k in rest:
                found[k] = _of_group(found[k], group, analysis.confidence)
        elif len(rest) > 1:
            _adjust(asker, found, rest, asker.alpha, "holm")
    closed = not families.open
    told = tuple(
        replace(each, exploratory=True) if closed and each.family == SECONDARY else each for each in found
    )
    return told, families


def _families(
    comparisons: Sequence[Comparison], hypotheses: Sequence[HypothesisResult], correction: str
) -> Families:
    supported = sum(each.verdict == "supported" for each in hypotheses)
    is_open = bool(hypotheses) and supported == len(hypotheses)
    if not hypotheses:
        reason = "no hypothesis was declared: everything is exploratory"
    elif is_open:
        reason = "every hypothesis is supported, so other metrics of the same pairs are decided, too"
    else:
        reason = f"{supported} of {len(hypotheses)} hypotheses are supported, and other metrics are decided only where all are"
    count = {name: sum(each.family == name for each in comparisons) for name in (SECONDARY, EXPLORATORY)}
    return Families(
        correction=correction,
        primary=len(hypotheses),
        secondary=count[SECONDARY],
        exploratory=count[EXPLORATORY],
        open=is_open,
        reason=reason,
    )


def _adjust(
    asker: Asker, found: list[Comparison], places: Sequence[int], alpha: float, correction: str
) -> None:
    """Hold these comparisons, each against zero, to alpha together."""
    p_values = [_smallest_level(asker, found[k]) for k in places]
    levels = family_levels(p_values, alpha, correction)
    adjusted = adjusted_p(p_values, correction)
    for k, p_value, level in zip(places, adjusted, levels, strict=True):
        low, high = _interval(asker, found[k], level)
        found[k] = replace(
            found[k],
            adjusted=Adjusted(
                method=correction,
                comparisons=len(places),
                p_value=p_value,
                ci_low=low,
                ci_high=high,
                confidence=1 - level,
                differs=None if p_value is None else p_value < alpha,
            ),
        )


def _smallest_level(asker: Asker, found: Comparison) -> float | None:
    """The smallest level at which it is decided; None: undefined."""
    if found.p_value is None:
        return None
    return max(found.p_value, asker.ask(_pair(asker, found)).least_level)


def _interval(asker: Asker, found: Comparison, level: float) -> tuple[float | None, float | None]:
    try:
        wide = asker.ask(_pair(asker, found), level)
    except StatsError:  # nothing was compared: its reason says what
        return None, None
    return wide.ci_low, wide.ci_high


def _pair(asker: Asker, found: Comparison) -> Pair:
    return pair_of(asker.plan, found.metric, found.a, found.b)


def _of_group(found: Comparison, group: Group, confidence: float) -> Comparison:
    """What the joint distribution of its metric's comparisons leaves of one of them."""
    pair = next((each for each in group.pairs if {each.a, each.b} == {found.a, found.b}), None)
    if pair is None:
        return found
    differs = None if pair.p_adjusted is None else pair.p_adjusted < 1 - confidence
    adjusted = Adjusted(
        method=group.method,
        comparisons=len(group.pairs),
        p_value=pair.p_adjusted,
        ci_low=pair.ci_low,
        ci_high=pair.ci_high,
        confidence=confidence,
        differs=differs and found.decidable,
    )
    # A hypothesis may name the two the other way round.
    return replace(found, adjusted=adjusted if pair.a == found.a else turned_adjusted(adjusted))
