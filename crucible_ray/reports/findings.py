"""What was found, as sentences: the key finding, what else was found, what follows, and what this cannot say."""

from __future__ import annotations

from msgspec import UNSET

from crucible_ray.experiment.plan import Plan
from crucible_ray.metrics.registry import METRICS
from crucible_ray.reduction.analysis import Analysis, Comparison, HypothesisResult
from crucible_ray.reduction.decisions import SECONDARY
from crucible_ray.reports import words

_MOST_TOLD = 8
"""Sentences of the key finding about what no hypothesis asks."""


def comparison_of(analysis: Analysis, hypothesis: HypothesisResult) -> Comparison:
    """The comparison that a hypothesis was read from."""
    wanted = hypothesis.metric, hypothesis.a, hypothesis.b
    return next(found for found in analysis.comparisons if (found.metric, found.a, found.b) == wanted)


def headline(analysis: Analysis) -> Comparison | None:
    """The comparison that matters most: the first hypothesis', else the first one."""
    if analysis.hypotheses:
        return comparison_of(analysis, analysis.hypotheses[0])
    return analysis.comparisons[0] if analysis.comparisons else None


def finding(analysis: Analysis) -> str:
    """The key finding, one or two sentences."""
    found = headline(analysis)
    if found is None:
        return "One condition ran; there is nothing to compare."
    if found.estimate is None:
        return f"{found.a} and {found.b} could not be compared: {found.reason}."
    if not analysis.hypotheses:
        return f"{_found(analysis, found)} No hypothesis was declared, so this is exploratory."
    return _verdict(analysis, analysis.hypotheses[0])


def sentences(analysis: Analysis) -> list[str]:
    """What else was found, a sentence each: the other hypotheses, then the differences that nobody asked about."""
    lines = [
        _verdict(analysis, result)
        for result in analysis.hypotheses[1:]
        if comparison_of(analysis, result).estimate is not None
    ]
    first = headline(analysis)
    rest = [
        f"{'Exploratory' if found.exploratory else 'Secondary'}: {_direction(found)}"
        for found in sorted(analysis.comparisons, key=lambda each: each.exploratory)
        if (found.exploratory or found.family == SECONDARY)
        and found is not first
        and found.estimate is not None
        and not (analysis.simulated and found.metric.startswith("latency"))  # the simulator's own, no finding
    ]
    more = [f"{len(rest) - _MOST_TOLD} more comparisons stand below."] if len(rest) > _MOST_TOLD else []
    return lines + rest[:_MOST_TOLD] + more


def _verdict(analysis: Analysis, result: HypothesisResult) -> str:
    """A hypothesis with the interval that its verdict is read from, so that the two never seem to disagree."""
    found = comparison_of(analysis, result)
    return f'"{result.text}" is {words.VERDICTS[result.verdict]}. {_found(analysis, found, result)}'


def _found(analysis: Analysis, found: Comparison, result: HypothesisResult | None = None) -> str:
    told = _sentence(found, result)
    own = analysis.simulated and found.metric.startswith("latency")
    return f"{told} These latencies are simulated." if own else told


def unfinished(analysis: Analysis) -> str | None:
    """That it was looked at before the end, with nothing in the plan that allows for it; None: it was not."""
    complete = [each.completeness for each in analysis.conditions.values()]
    pending = sum(each.pending for each in complete)
    if not pending or analysis.sequential is not UNSET:
        return None
    return (
        f"{pending:,} of {sum(each.planned for each in complete):,} trials are pending: this is a look before the end, and "
        "who ends a run for what it shows is wrong more often than intervals and verdicts say."
    )


def recommendation(analysis: Analysis) -> str:
    """What follows from the first hypothesis, and no more than its verdict says."""
    if unfinished(analysis) is not None:
        return "No recommendation before every trial has ended."
    if not analysis.hypotheses:
        return (
            "No recommendation: nothing was declared before the run, so what differs here is a lead for the next "
            "experiment."
        )
    told = f"Recommendation: {_advice(analysis.hypotheses[0])}"
    return f"{told} It is a simulation: nothing follows for real models." if analysis.simulated else told


def _advice(h: HypothesisResult) -> str:
    if h.verdict == "not_decided":
        return f"none yet; the data allow both, and more items would narrow the interval ({h.reason})."
    if h.verdict == "refuted":
        return f'do not count on "{h.text}": the data speak against it.'
    if h.relation == "equivalence" and h.verdict == "supported":
        return f"take {h.a} and {h.b} for equal in {h.metric} within the margin, and choose by the rest."
    known = METRICS.get(h.metric)
    if h.relation == "non_inferiority" and h.verdict == "supported":
        if known is None:
            return f"on questions like these, {h.metric} of {h.a} is below that of {h.b} by less than the margin, if at all."
        if known.better == "lower":
            return (
                f"{h.b} may stand in for {h.a}: its {h.metric} is higher by less than the margin, if at all."
            )
        return f"{h.a} may stand in for {h.b}: in {h.metric} it falls short by less than the margin."
    more, less = (h.a, h.b) if h.verdict == "supported" else (h.b, h.a)
    if known is None:
        return f"on questions like these, {h.metric} of {more} is above that of {less}."
    best, other = (more, less) if known.better == "higher" else (less, more)
    return f"on questions like these, prefer {best} to {other} where {h.metric} counts, and weigh the rest below."


def limitations(plan: Plan, analysis: Analysis) -> list[str]:
    """What the design cannot say."""
    lines = [
        f"All questions come from {plan.dataset}: nothing is said of other questions.",
        "Models change: this holds for the versions that answered, at that time, with these prompts and parameters.",
        "Prices are those of the configuration and the catalogue; they change as well.",
    ]
    if analysis.repeats == 1:
        lines.append(
            "Every question was asked once: how far a model's answer varies from one time to the next is unknown."
        )
    if analysis.items < 30:
        lines.append(f"{analysis.items} items are few: intervals are wide, and rest on approximations.")
    exploratory = sum(found.exploratory and found.adjusted is None for found in analysis.comparisons)
    if exploratory:
        lines.append(
            f"Exploratory comparisons ({exploratory}) are not corrected for their number: leads, not findings."
        )
    missing = sum(
        each.completeness.failed + each.completeness.pending for each in analysis.conditions.values()
    )
    if missing:
        lines.append(f"{missing:,} trials have no answer; what they would have said is not known.")
    if (told := looked_twice(plan, analysis)) is not None:
        lines.append(f"{told} stop_when plans for several looks.")
    if analysis.simulated:
        lines.append(
            "Every answer is simulated: it shows how the method works, and nothing about real models."
        )
    return lines


def looked_twice(plan: Plan, analysis: Analysis) -> str | None:
    """What replies of earlier runs mean for p, intervals and verdicts; None: there are none."""
    if plan.share_replies or not any(
        each.completeness.unsent or each.spend.unpaid_usd > 0 for each in analysis.conditions.values()
    ):
        return None
    return (
        "Replies were taken from earlier runs: whoever saw those results before asking for more has looked twice, which p, "
        "intervals and verdicts do not count."
    )


def _sentence(found: Comparison, result: HypothesisResult | None = None) -> str:
    """`_direction` at the start of a sentence; a name that is code stays as it is written."""
    told = _direction(found, result)
    if found.withheld:
        return told
    word = found.metric in METRICS and "_" not in found.metric
    return told[0].upper() + told[1:] if word else f"The {told}"


def _direction(found: Comparison, result: HypothesisResult | None = None) -> str:
    """Which is ahead, by how much. result: a hypothesis on it, whose interval is told."""
    if found.withheld:
        return (
            f"Which of {found.a} and {found.b} has the higher {found.metric} is withheld: with what the lost trials could "
            f"have said, the difference lies between {words.difference(found.metric, found.worst)} and "
            f"{words.difference_in_unit(found.metric, found.best)}."
        )
    size = words.difference_in_unit(found.metric, abs(found.estimate or 0.0), signed=False)
    side = "higher" if (found.estimate or 0.0) > 0 else "lower"
    low, high, level = found.ci_low, found.ci_high, ""
    if result is not None and (low, high) != (result.ci_low, result.ci_high):
        low, high, level = result.ci_low, result.ci_high, f"{100 * result.confidence:.4g} % "
    interval = words.span_in_unit(found.metric, low, high)
    told = f" ({level}interval {interval}, {words.p_text(found.p_value)}{' by itself' if level else ''}{_together(found)})"
    if low is not None and high is not None:
        if low <= 0.0 <= high and found.estimate:
            told += ": the interval holds zero, so no difference is shown"
    elif low is None and high is None:
        told = " (without an interval: nothing is shown)"
    if not found.estimate:
        return f"{found.metric} of {found.a} and {found.b}: no difference was seen{told}, which does not show that there is none."
    return f"{found.metric} of {found.a} is {size} {side} than of {found.b}{told}."


def _together(found: Comparison) -> str:
    """What its family leaves of a p-value."""
    if found.adjusted is None or found.adjusted.p_value is None:
        return ""
    return f"; {words.p_text(found.adjusted.p_value)} as one of {found.adjusted.comparisons}"
