"""Numbers as a reader wants them: points, milliseconds, dollars, and findings as sentences."""

from __future__ import annotations

from crucible_ray.reduction.analysis import Analysis, Comparison, HypothesisResult, Metric
from crucible_ray.stats.result import format_p

VERDICTS = {
    "supported": "supported",
    "refuted": "refuted",
    "reversed": "reversed: the other one is ahead",
    "not_decided": "not decided",
}
_TESTS = {
    "mcnemar_score": "McNemar's score test, Tango's interval",
    "clustered_t": "t on item differences",
    "adjusted_wald": "adjusted Wald with two pseudo-items",
}


def value(metric: str, number: float | None) -> str:
    """One metric's value with its unit: `79.8 %`, `812 ms`, `$0.0014`; a dash where there is none."""
    if number is None:
        return "-"
    if metric.startswith("latency"):
        return f"{number:,.0f} ms" if number >= 100 else f"{number:.3g} ms"
    if metric.startswith("cost"):
        return dollars(number)
    return f"{100 * number:.1f} %"


def interval(metric: str, low: float | None, high: float | None) -> str:
    """`78.4 % to 81.2 %`, or a dash."""
    return "-" if low is None or high is None else f"{value(metric, low)} to {value(metric, high)}"


def with_interval(name: str, metric: Metric) -> str:
    """`79.8 % [78.4 %, 81.2 %]`."""
    shown = value(name, metric.value)
    if metric.ci_low is None or metric.ci_high is None:
        return shown
    return f"{shown} [{value(name, metric.ci_low)}, {value(name, metric.ci_high)}]"


def dollars(amount: float | None) -> str:
    """`$0.66`, `$0.0014`, `unknown price`."""
    if amount is None:
        return "unknown price"
    if amount == 0 or abs(amount) >= 0.1:
        return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"
    return f"{'-' if amount < 0 else ''}${float(f'{abs(amount):.2g}'):.12f}".rstrip("0")


def difference(metric: str, number: float | None, *, signed: bool = True) -> str:
    """A difference in its unit, without the unit's name: points, milliseconds, dollars."""
    if number is None:
        return "-"
    sign = "+" if signed else ""
    if metric.startswith("latency"):
        return f"{number:{sign}.0f}"
    if metric.startswith("cost"):
        return ("+" if signed and number >= 0 else "") + dollars(number)
    return f"{100 * number:{sign}.1f}"


def unit(metric: str) -> str:
    """What a difference counts."""
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
    if comparison.ci_low is not None:
        low, high = (difference(metric, end, signed=False) for end in (comparison.ci_low, comparison.ci_high))
        text += f" [{low}, {high}]"
    return f"{text}, {p_text(comparison.p_value)}"


def test_name(comparison: Comparison) -> str:
    """The test in words."""
    return _TESTS.get(comparison.test or "", comparison.test or "none")


def naive(comparison: Comparison) -> str | None:
    """What pooling repeats as if they were items would have said; None where it says nothing."""
    if comparison.naive is None or comparison.naive.p_value is None:
        return None
    return f"a pooled t-test would have said {p_text(comparison.naive.p_value)}"


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
    told = _direction(found)
    if not analysis.hypotheses:
        return f"{told} No hypothesis was declared, so this is exploratory."
    result = analysis.hypotheses[0]
    return f'"{result.text}" is {VERDICTS[result.verdict]}. {told}'


def _direction(found: Comparison) -> str:
    size = difference(found.metric, abs(found.estimate or 0.0), signed=False) + unit(found.metric)
    side = "higher" if (found.estimate or 0.0) > 0 else "lower"
    span = ""
    if found.ci_low is not None:
        low, high = (difference(found.metric, end) for end in (found.ci_low, found.ci_high))
        span = f" (interval {low} to {high}{unit(found.metric)}, {p_text(found.p_value)})"
    if not found.estimate:
        return f"{found.metric} of {found.a} and {found.b} is the same{span}."
    return f"{found.metric} of {found.a} is {size} {side} than of {found.b}{span}."


def duration(seconds: float) -> str:
    """`42 s`, `3 min 12 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def printable(line: str) -> str:
    """A line that is safe on a terminal: control and formatting characters are replaced."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line
    )
