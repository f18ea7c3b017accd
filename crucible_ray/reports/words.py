"""Numbers, tests and verdicts as a reader wants them: points, milliseconds, dollars, short phrases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from crucible_ray.metrics.registry import METRICS
from crucible_ray.reduction.analysis import Comparison, HypothesisResult, Metric
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


def difference_in_unit(metric: str, number: float | None, *, signed: bool = True) -> str:
    """`difference` with its unit: `+6.0 points`."""
    return difference(metric, number, signed=signed) + ("" if number is None else unit(metric))


def estimate(metric: str, number: float, low: float | None, high: float | None) -> str:
    """`+4.1 points [0.2, 8.0]`, as far as its interval is known."""
    told = difference_in_unit(metric, number)
    if low is not None and high is not None:
        return f"{told} [{', '.join(difference_ends(metric, low, high, signed=False))}]"
    return told if low is None and high is None else f"{told} [{span(metric, low, high)}]"


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
    text = estimate(comparison.metric, comparison.estimate, comparison.ci_low, comparison.ci_high)
    if all(each is None for each in (comparison.ci_low, comparison.ci_high, comparison.p_value)):
        return f"{text}, without an interval: nothing is shown"
    told = f"{text}, {p_text(comparison.p_value)}"
    return f"{told}, withheld: the lost trials could turn it" if comparison.withheld else told


def test_name(test: str | None) -> str:
    """A test in words."""
    return "none" if test is None else TESTS.get(test, test)


def naive(comparison: Comparison) -> str | None:
    """What a test that ignores the design would have said of the same difference; None where it says no more.

    It is a test against zero, as the comparison's own p is; it says nothing of a hypothesis with a margin.
    """
    if comparison.naive is None or comparison.naive.p_value is None:
        return None
    told = p_text(comparison.naive.p_value)
    which = "a t-test over items" if comparison.naive.test == "clustered_t" else "a pooled t-test"
    return None if told == p_text(comparison.p_value) else f"{which} would have said {told}"


def naive_fault(comparison: Comparison, repeats: int) -> str:
    """What is wrong with it."""
    if comparison.naive is not None and comparison.naive.test == "clustered_t":
        return "it takes items of one cluster for independent"
    return f"it {'takes repeats for items and ' if repeats > 1 else ''}ignores the pairing"


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
    effect = difference_in_unit(h.metric, h.needed.effect)
    return f'"{h.text}": if the true difference were {effect}, a power of {h.needed.power:.2g} would take {sizes}.'


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
