"""Numbers as a reader wants them: points, milliseconds, dollars, and findings as sentences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from crucible_ray.experiment.plan import Plan
from crucible_ray.metrics.registry import METRICS
from crucible_ray.reduction.analysis import Analysis, Comparison, HypothesisResult, Metric
from crucible_ray.reduction.decisions import SECONDARY
from crucible_ray.reports.visible import visible
from crucible_ray.stats.result import format_p

VERDICTS = {
    "supported": "supported",
    "refuted": "refuted",
    "reversed": "reversed: the other one is ahead",
    "not_decided": "not decided",
}
TESTS = {
    "mcnemar_score": "McNemar's score test, Tango's interval",
    "clustered_t": "t on item differences",
    "adjusted_t": "t on item differences, adjusted",
    "adjusted_wald": "adjusted Wald with two pseudo-items",
    "stratified_t": "t on differences within datasets",
    "cluster_t": "t on clusters (CR2)",
    "sign_flip": "sign flips of item means",
    "quantile_bootstrap": "bootstrap of items",
    "ratio_bootstrap": "bootstrap of items",
    "cochran_q": "Cochran's Q",
    "friedman": "Friedman's test",
    "repeated_measures_anova": "repeated-measures analysis of variance",
    "max_t": "the largest t",
    "mcnemar_mid_p": "McNemar's mid-p",
    "paired_permutation": "sign flips",
    "wilcoxon": "Wilcoxon's signed ranks",
    "paired_t": "paired t",
    "ordered_logit": "ordered logit",
    "betting_sequence": "betting sequence, valid whenever the run stops",
    "obrien_fleming": "planned look, O'Brien-Fleming spending",
}
CHECKS = {
    "shapiro_wilk": "normality (Shapiro-Wilk)",
    "anderson_darling": "normality (Anderson-Darling)",
    "levene": "equal variances (Levene)",
}
"""What each test of an assumption looks at."""


_REFERENCES = {
    "mcnemar_score": "McNemar (1947), Psychometrika 12; the interval: Tango (1998), Statistics in Medicine 17.",
    "clustered_t": "Items as clusters: Miller (2024), Adding Error Bars to Evals, arXiv:2411.00640.",
    "adjusted_t": "The same with two small pseudo-items, our own (docs/statistics.md), on Miller (2024), arXiv:2411.00640.",
    "adjusted_wald": "Bonett and Price (2012), Journal of Educational and Behavioral Statistics 37.",
    "betting_sequence": "Waudby-Smith and Ramdas (2024), Journal of the Royal Statistical Society B 86.",
    "obrien_fleming": "O'Brien and Fleming (1979), Biometrics 35; Lan and DeMets (1983), Biometrika 70.",
    "wilson": "Wilson (1927), Journal of the American Statistical Association 22.",
    "stratified_t": "Strata: Cochran (1977), Sampling Techniques.",
    "cluster_t": "Clusters: Bell and McCaffrey (2002), Survey Methodology 28; Pustejovsky and Tipton (2018), JBES 36.",
    "sign_flip": "Sign flips: Fisher (1935), The Design of Experiments; Hartigan (1969), JASA 64.",
    "quantile_bootstrap": "Bootstrap: Efron (1979), Annals of Statistics 7; ranks: Woodruff (1952), JASA 47.",
    "ratio_bootstrap": "Bootstrap: Efron (1979), Annals of Statistics 7; ratios: Fieller (1954), JRSS B 16.",
    "cochran_q": "Cochran (1950), Biometrika 37.",
    "friedman": "Friedman (1937), JASA 32.",
    "max_t": "Several comparisons: Hothorn, Bretz and Westfall (2008), Biometrical Journal 50.",
    "holm": "Holm (1979), Scandinavian Journal of Statistics 6.",
}


def value(metric: str, number: float | None) -> str:
    """One metric's value with its unit: `79.8 %`, `812 ms`, `$0.0014`; a dash where there is none."""
    if number is None:
        return "-"
    if metric not in METRICS:  # its author's own: nobody else knows the unit
        return f"{number:.4g}"
    if metric.startswith("latency"):
        return f"{number:,.0f} ms" if number >= 100 else f"{number:.3g} ms"
    if metric.startswith("cost"):
        return dollars(number)
    return f"{100 * number:.1f} %"


def interval(metric: str, low: float | None, high: float | None) -> str:
    """`78.4 % to 81.2 %`, or a dash."""
    return "-" if low is None or high is None else " to ".join(_ends(metric, low, high))


def with_interval(name: str, metric: Metric) -> str:
    """`79.8 % [78.4 %, 81.2 %]`."""
    if metric.value is None or metric.ci_low is None or metric.ci_high is None:
        return value(name, metric.value)
    numbers = metric.value, metric.ci_low, metric.ci_high
    shown, *ends = (value(name, each) for each in numbers)
    if name in METRICS and name.startswith("cost"):
        shown, *ends = (dollars(each, _digits(*numbers)) for each in numbers)
    return f"{shown} [{', '.join(ends)}]"


def _ends(metric: str, low: float, high: float) -> tuple[str, str]:
    """An interval's ends as values."""
    if metric in METRICS and metric.startswith("cost"):
        return _dollar_ends(low, high)
    return value(metric, low), value(metric, high)


def _dollar_ends(low: float, high: float) -> tuple[str, str]:
    """Two amounts, with as many digits as show that they differ."""
    digits = _digits(low, high)
    return dollars(low, digits), dollars(high, digits)


def _digits(*amounts: float) -> int:
    """How many digits tell amounts apart."""
    apart = len(set(amounts))
    return next((n for n in range(2, 7) if len({dollars(each, n) for each in amounts}) == apart), 7)


def dollars(amount: float | None, digits: int = 2) -> str:
    """`$0.66`, `$0.0014`, `unknown price`. digits: places of amounts in whole cents, significant ones of less."""
    if amount is None:
        return "unknown price"
    if amount == 0 or abs(amount) >= 0.1:
        return f"{'-' if amount < 0 else ''}${abs(amount):,.{digits}f}"
    return f"{'-' if amount < 0 else ''}${float(f'{abs(amount):.{digits}g}'):.12f}".rstrip("0")


def difference(metric: str, number: float | None, *, signed: bool = True) -> str:
    """A difference in its unit, without the unit's name: points, milliseconds, dollars."""
    if number is None:
        return "-"
    sign = "+" if signed else ""
    if metric not in METRICS:
        return f"{number:{sign}z.4g}"
    if metric.startswith("latency"):
        return f"{number:{sign}z.0f}" if abs(number) >= 10 or _is_dust(number) else f"{number:{sign}.2g}"
    if metric.startswith("cost"):
        return ("+" if signed and number >= 0 else "") + dollars(number)
    points = 100 * number
    # An end that is not zero is not shown as one: an interval that begins at +0.0 would seem to hold it.
    whole = abs(points) >= 0.05 or _is_dust(points)
    return f"{points:{sign}z.1f}" if whole else f"{points:{sign}.1g}"


def _is_dust(number: float) -> bool:
    """Whether it is a rounding away from zero: a ten-thousandth of a millisecond, or of a point."""
    return abs(number) < 1e-4


def difference_ends(metric: str, low: float, high: float, *, signed: bool = True) -> tuple[str, str]:
    """An interval's ends as differences."""
    if metric in METRICS and metric.startswith("cost"):
        ends = zip((low, high), _dollar_ends(low, high), strict=True)
        first, second = (("+" if signed and end >= 0 else "") + text for end, text in ends)
        return first, second
    return difference(metric, low, signed=signed), difference(metric, high, signed=signed)


def span(metric: str, low: float | None, high: float | None) -> str:
    """An interval of differences; one end may not be known (latencies beyond the timeout); a dash: there is none."""
    if low is None and high is None:
        return "-"
    if low is None or high is None:
        known = difference(metric, low if high is None else high)
        return f"{known} or more" if high is None else f"{known} or less"
    return " to ".join(difference_ends(metric, low, high))


def span_in_unit(metric: str, low: float | None, high: float | None) -> str:
    """`span` with its unit: `+1.2 to +10.6 points`, `+80 ms or more`."""
    shown = span(metric, low, high)
    if shown == "-":
        return shown
    end = next((words for words in (" or more", " or less") if shown.endswith(words)), "")
    return shown.removesuffix(end) + unit(metric) + end


def difference_in_unit(metric: str, number: float | None) -> str:
    """`difference` with its unit: `+6.0 points`."""
    return difference(metric, number) + ("" if number is None else unit(metric))


def unit(metric: str) -> str:
    """What a difference counts."""
    if metric not in METRICS:
        return ""
    if metric.startswith("latency"):
        return " ms"
    return "" if metric.startswith("cost") else " points"


def p_text(p_value: float | None) -> str:
    """`p = .038`, or that there is none."""
    return "p undefined" if p_value is None else format_p(p_value)


def compared(comparison: Comparison) -> str:
    """`+4.1 points [0.2, 8.0], p = .041`."""
    if comparison.estimate is None:
        return f"not compared: {comparison.reason}"
    metric = comparison.metric
    text = difference(metric, comparison.estimate) + unit(metric)
    if comparison.ci_low is not None and comparison.ci_high is not None:
        low, high = difference_ends(metric, comparison.ci_low, comparison.ci_high, signed=False)
        text += f" [{low}, {high}]"
    elif comparison.ci_low is not None or comparison.ci_high is not None:
        text += f" [{span(metric, comparison.ci_low, comparison.ci_high)}]"
    elif comparison.p_value is None:
        return f"{text}, without an interval: nothing is shown"
    told = f"{text}, {p_text(comparison.p_value)}"
    return f"{told}, withheld: the lost trials could turn it" if comparison.withheld else told


def test_name(comparison: Comparison) -> str:
    """The test in words."""
    return TESTS.get(comparison.test or "", comparison.test or "none")


def naive(comparison: Comparison) -> str | None:
    """What a test that ignores the design would have said of the same difference; None where it says no more.

    It is a test against zero, as the comparison's own p is; it says nothing of a hypothesis with a margin.
    """
    if comparison.naive is None or comparison.naive.p_value is None:
        return None
    told = p_text(comparison.naive.p_value)
    which = "a t-test over items" if comparison.naive.test == "clustered_t" else "a pooled t-test"
    return None if told == p_text(comparison.p_value) else f"{which} would have said {told}"


def naive_fault(comparison: Comparison) -> str:
    """What is wrong with it."""
    if comparison.naive is not None and comparison.naive.test == "clustered_t":
        return "it takes items of one cluster for independent"
    return "it takes repeats for items and ignores the pairing"


def needed(h: HypothesisResult) -> str | None:
    """How many items would clear a margin; None where that is not counted."""
    if h.needed is None:
        return None
    found = {share: items for share, items in zip(h.needed.discordant, h.needed.items, strict=True) if items}
    if not found:
        return None
    sizes = ", ".join(
        f"{items:,} items where {100 * share:.3g} % of them differ" for share, items in sorted(found.items())
    )
    effect = difference(h.metric, h.needed.effect) + unit(h.metric)
    return f'"{h.text}": if the true difference were {effect}, a power of {h.needed.power:.2g} would take {sizes}.'


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


_MOST_TOLD = 8
"""Sentences of the key finding about what no hypothesis asks."""


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
    return f'"{result.text}" is {VERDICTS[result.verdict]}. {_found(analysis, found, result)}'


def _found(analysis: Analysis, found: Comparison, result: HypothesisResult | None = None) -> str:
    told = _sentence(found, result)
    own = analysis.simulated and found.metric.startswith("latency")
    return f"{told} These latencies are simulated." if own else told


def recommendation(analysis: Analysis) -> str:
    """What follows from the first hypothesis, and no more than its verdict says."""
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


def references(analysis: Analysis) -> list[str]:
    """Where the methods that were used come from."""
    used = {c.test for c in analysis.comparisons} | {
        metric.method for condition in analysis.conditions.values() for metric in condition.metrics.values()
    }
    used |= {analysis.correction} if len(analysis.hypotheses) > 1 else set()
    used |= {name for group in analysis.groups for name in (group.test, group.method)}
    return [text for name, text in _REFERENCES.items() if name in used]


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
            f"have said, the difference lies between {difference(found.metric, found.worst)} and "
            f"{difference(found.metric, found.best)}{unit(found.metric)}."
        )
    size = difference(found.metric, abs(found.estimate or 0.0), signed=False) + unit(found.metric)
    side = "higher" if (found.estimate or 0.0) > 0 else "lower"
    low, high, level = found.ci_low, found.ci_high, ""
    if result is not None and (low, high) != (result.ci_low, result.ci_high):
        low, high, level = result.ci_low, result.ci_high, f"{100 * result.confidence:.4g} % "
    interval = span_in_unit(found.metric, low, high)
    told = f" ({level}interval {interval}, {p_text(found.p_value)}{' by itself' if level else ''}{_together(found)})"
    if low is not None and high is not None:
        if low <= 0.0 <= high:
            told += ": the interval holds zero, so no difference is shown"
    elif low is None and high is None:
        told = " (without an interval: nothing is shown)"
    if not found.estimate:
        return f"{found.metric} of {found.a} and {found.b} is the same{told}."
    return f"{found.metric} of {found.a} is {size} {side} than of {found.b}{told}."


def _together(found: Comparison) -> str:
    """What its family leaves of a p-value."""
    if found.adjusted is None or found.adjusted.p_value is None:
        return ""
    return f"; {p_text(found.adjusted.p_value)} as one of {found.adjusted.comparisons}"


def moment(started: str, later_s: float = 0.0) -> str:
    """`2026-11-03 10:00:00 UTC`, some seconds later; what is no time stays as it is."""
    try:
        at = datetime.fromisoformat(started) + timedelta(seconds=later_s)
    except ValueError:
        return started
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 12 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(number: int, what: str) -> str:
    """`1 item`, `1,200 items`."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def printable(line: str) -> str:
    """A line that is safe on a terminal: control and formatting characters are shown as symbols."""
    return visible(line)
