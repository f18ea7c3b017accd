"""What reports say of a run that could stop before everything was asked."""

from __future__ import annotations

from msgspec import UNSET

from crucible_ray.reduction.analysis import Analysis, Comparison, Sequential
from crucible_ray.reports import words
from crucible_ray.reports.page import Block, Bullets, Section, Text, table

_WHY = (
    "Whoever looks at results until they please finds something in the end: a test that takes the number of items for "
    "fixed does not hold its level in a run that could stop early. Verdicts, intervals and p-values above hold it whenever "
    "it stops; below is what the fixed-sample test would have said."
)
_LOST = (
    "A failed trial counts at its worst for whatever is claimed: as wrong for the one, as right for the other, in "
    "each direction by itself. So what fails can delay a verdict and never bring one about."
)


def on_screen(analysis: Analysis) -> list[str]:
    """A line for a terminal; none for a run that could not stop early."""
    found = analysis.sequential
    return [] if found is UNSET else [f"  {_standing(found, analysis)}"]


def sections(analysis: Analysis) -> list[Section]:
    """The rule, how far it came, and the fixed-sample test beside it."""
    found = analysis.sequential
    if found is UNSET:
        return []
    lines = [_rule(found), f"{_standing(found, analysis)}.", _order(found)]
    lines += (
        [f"{words.count(found.lost, 'item')} that count have a failed trial. {_LOST}"] if found.lost else []
    )
    rows = [
        (
            f"{each.metric}: {each.a} - {each.b}",
            words.compared(each),
            _fixed(each),
        )
        for each in analysis.comparisons
        if each.fixed is not UNSET
    ]
    columns = (
        "difference",
        "#by the rule that could stop the run",
        "#by the fixed-sample test (not valid here)",
    )
    shown = table("The rule, and what the number of items taken for fixed would say", columns, rows)
    blocks: tuple[Block, ...] = (Bullets(tuple(lines)), Text(_WHY), shown)
    return [Section("When the run could stop", blocks, level=3)]


def limitation(analysis: Analysis) -> list[str]:
    """What such a run cannot say."""
    if analysis.sequential is UNSET:
        return []
    return [
        "The run could stop early: how many items there are depended on the results, so comparisons that no hypothesis "
        "asked for hold their level only roughly."
    ]


def _rule(found: Sequential) -> str:
    level = f"each hypothesis at a level of {found.level:.3g}"
    if found.rule == "looks":
        return (
            f"The run could stop at {words.count(len(found.looks), 'planned look')}, after "
            f"{', '.join(f'{each:,}' for each in found.looks)} items, as soon as every hypothesis is decided: "
            f"O'Brien-Fleming spending, {level}."
        )
    return (
        "The run could stop at any time, as soon as every hypothesis is decided: a betting sequence on the differences of "
        f"items, {level}."
    )


def _standing(found: Sequential, analysis: Analysis) -> str:
    total = f"{found.planned:,} items"
    if found.decided_at is not None:
        return f"every hypothesis was decided after {found.decided_at:,} of {total}"
    decided = sum(each.verdict != "not_decided" for each in analysis.hypotheses)
    return f"{decided} of {len(analysis.hypotheses)} hypotheses decided after {found.items:,} of {total}"


def _order(found: Sequential) -> str:
    told = "An item counts when all of its trials have ended, and those of every item before it in the seeded order"
    waiting = (
        f"; {words.count(found.waiting, 'complete item')} waited for an earlier one" if found.waiting else ""
    )
    return f"{told}{waiting}."


def _fixed(comparison: Comparison) -> str:
    """The fixed-sample test's own words."""
    fixed = comparison.fixed
    if fixed is UNSET or fixed.estimate is None:
        return "-"
    told = words.estimate(comparison.metric, fixed.estimate, fixed.ci_low, fixed.ci_high)
    return f"{told}, {words.p_text(fixed.p_value)}"
