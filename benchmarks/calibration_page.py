"""What `benchmarks/calibration.py` found, as `docs/calibration.md`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.calibration import Bound, Calibration, Row
    from benchmarks.many_repeats import Many

_HEAD = """# How often the default decision is wrong

Written by `python benchmarks/calibration.py --out docs/calibration.md`, version {version}, {cpu:.0f} s of CPU.

Items differ in difficulty (beta-distributed, mean = accuracy, concentration 8) and are independent; both conditions
find the same items hard. "Stochastic": every repeat is drawn anew. "Frozen": the baseline's answer to an item is drawn
once and stays (temperature 0). "Greedy": it stays, and is right on the easiest items. True differences are 0, 3 and 10
points. One repeat is computed by going through all outcomes, without simulation error; several are simulated {sims:,}
times a scenario (bootstrap and sign flips: the first {some:,} of the same), {scenarios:,} scenarios in all. The bootstrap
and the sign flips stand for infinitely many resamples: their distributions are computed, not drawn. Where an experiment has
no spread at all, Welch's and the bootstrap's interval is the estimate alone.

## The bounds

A bound holds if no scenario passes it by more than three Monte Carlo standard errors. "Enough differing": 12 differing
items or more are expected (one repeat), or 50 (several).
"""
_OTHERS = """The bounds are stated for the difficulties above. Here items are much less alike in difficulty (concentration 1), or
nearly all alike (30), at accuracies .7 and .97:
"""
_MANY = """## Dozens and hundreds of repeats

No bound is stated here. Lowest to highest over accuracies .3 to .97 and true differences of 0 and 3 points, {sims:,} runs
each; widths in points, on average. Nearly every item differs by something then, and few of them carry the differences.
Where both conditions vary from repeat to repeat, plain t would do, and the default's caution costs width at small numbers
of items. Against a baseline at temperature 0 some dozens of items may hold none of its rare wrong answers, and t knows
nothing of what it has not seen. The default allows for such items wherever few carry the differences, also where there may
be none. More items end the cost; more repeats do not.
"""
_PEEKING = """## Looks while a run goes on

False positives where nothing differs, increments per item, {sims:,} runs each. A betting sequence and t are looked at
after every item (t from the tenth on), O'Brien-Fleming at equally spaced planned looks with the default rule's p.
"""


def page(found: Calibration) -> str:
    """The whole page."""
    counted = [row.sims for row in found.rows if row.sims]
    head = _HEAD.format(
        version=version("crucible-ray"),
        cpu=found.cpu_s,
        sims=max(counted),
        some=min(counted),
        scenarios=len({row.scenario for row in found.rows}),
    )
    usual = [row for row in found.rows if row.usual]
    parts = [
        head,
        _bounds(found.bounds),
        f"Decision and interval disagree in {found.disagreements} of all experiments and outcomes.\n",
        "## The default rule\n\nLowest to highest over accuracies (and, for coverage, true differences).\n",
        _default([row for row in usual if row.rule == "default"]),
        "## Other rules on the same scenarios\n",
        _rules(usual),
        "## Other difficulties\n\n" + _OTHERS,
        _bounds(found.others),
        _MANY.format(sims=found.many[0].sims),
        _many(found.many),
        _PEEKING.format(sims=max(counted)),
        _stopping(found),
    ]
    return "\n".join(parts)


def _bounds(bounds: Sequence[Bound]) -> str:
    return _table(
        ("bound", "limit", "worst", "where", "holds"),
        (
            (
                each.name,
                f"{each.limit:g}",
                "-" if each.worst is None else f"{each.worst:.4f}",
                each.scenario,
                "yes" if each.passed else "**no**",
            )
            for each in bounds
        ),
    )


def _default(ours: Sequence[Row]) -> str:
    kinds = dict.fromkeys((row.repeats, row.baseline, row.items) for row in ours)
    return _table(
        ("repeats", "baseline", "items", "expected to differ", "false positives", "coverage"),
        (
            (
                str(repeats),
                baseline,
                f"{items:,}",
                _range((row.expected_differing for row in here), ".0f"),
                _range(row.false_positive_rate for row in here),
                _range(row.coverage for row in here),
            )
            for repeats, baseline, items in sorted(kinds)
            if (
                here := [row for row in ours if (row.repeats, row.baseline, row.items) == (repeats, baseline, items)]
            )
        ),
    )  # fmt: skip


def _rules(rows: Sequence[Row]) -> str:
    kinds = dict.fromkeys((row.rule, row.repeats, row.baseline == "stochastic") for row in rows)
    lines = []
    for rule, repeats, stochastic in sorted(kinds, key=lambda kind: (kind[1], not kind[2], kind[0])):
        here = [
            row
            for row in rows
            if (row.rule, row.repeats, row.baseline == "stochastic") == (rule, repeats, stochastic)
        ]
        enough = [row for row in here if row.enough]
        lines.append(
            (
                str(repeats),
                "stochastic" if stochastic else "frozen, greedy",
                rule,
                _range(row.false_positive_rate for row in here),
                _range(row.false_positive_rate for row in enough),
                _range(row.coverage for row in here),
                _range(row.coverage for row in enough),
            )
        )
    names = ("false positives", "where enough differ", "coverage", "where enough differ")
    return _table(("repeats", "baseline", "rule", *names), lines)


def _many(found: Sequence[Many]) -> str:
    return _table(
        ("repeats", "baseline", "items", "rule", "false positives", "coverage", "width"),
        (
            (
                str(each.repeats),
                each.baseline,
                f"{each.items:,}",
                each.rule,
                _range(each.false_positives),
                _range(each.coverage),
                f"{each.width:.1f}",
            )
            for each in found
        ),
    )


def _stopping(found: Calibration) -> str:
    return _table(
        ("scenario", "rule", "looks", "false positives"),
        (
            (each.scenario, each.rule, f"{each.looks:,}", f"{each.false_positive_rate:.4f}")
            for each in found.stopping
        ),
    )


def _range(values: Iterable[float | None], form: str = ".3f") -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    low, high = (f"{end:{form}}" for end in (min(known), max(known)))
    return low if low == high else f"{low} to {high}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines)) + "\n"
