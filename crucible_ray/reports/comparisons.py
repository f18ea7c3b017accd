"""Hypotheses, comparisons, several conditions, assumptions: what decides, and what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from crucible_ray.reduction.analysis import Analysis, Comparison, HypothesisResult
from crucible_ray.reduction.decisions import Families, Group, Size
from crucible_ray.reports import figures, words
from crucible_ray.reports.page import Block, Bullets, Section, Strong, Text, table

_DOUBTFUL = 0.05


def hypotheses(analysis: Analysis) -> list[Section]:
    """The verdict on each, as one family; Bonferroni's, and each by itself, beside it."""
    found = analysis.hypotheses
    if not found:
        return []
    rows = [
        (
            h.text,
            Strong(words.VERDICTS[h.verdict]),
            words.difference_in_unit(h.metric, h.estimate),
            words.span_in_unit(h.metric, h.ci_low, h.ci_high),
            f"{100 * h.confidence:.4g} %",
            words.p_text(h.p_value),
            h.reason,
        )
        for h in found
    ]
    columns = ("hypothesis", "verdict", "#estimate", "#interval", "#confidence", "#p", "why")
    blocks: list[Block] = [table("Verdict on each declared hypothesis", columns, rows)]
    if any(h.margin for h in found):
        blocks.append(
            Text("p is against the margin where there is one: the level at which the interval ends there.")
        )
    blocks += _family(found, analysis.correction) if len(found) > 1 and analysis.sequential is UNSET else []
    needed = tuple(told for h in found if (told := words.needed(h)) is not None)
    blocks += [Bullets(needed)] if needed else []
    return [Section("Hypotheses", (*blocks, *figures.hypotheses(found)))]


def _family(found: Sequence[HypothesisResult], correction: str) -> list[Block]:
    rows = [
        (
            h.text,
            words.span_in_unit(h.metric, h.plain_low, h.plain_high),
            words.p_text(h.p_adjusted),
            words.VERDICTS[h.verdict],
            words.span_in_unit(h.metric, h.bonferroni_low, h.bonferroni_high),
            words.VERDICTS[h.bonferroni],
        )
        for h in found
    ]
    heads = ("hypothesis", "#interval by itself", f"#p ({correction})", f"by {correction}")
    shown = table(
        f"The {len(found)} hypotheses as one family",
        (*heads, "#interval (Bonferroni)", "by Bonferroni"),
        rows,
    )
    alone = "; ".join(words.VERDICTS[h.bonferroni] for h in found)
    told = Text(
        f"Each verdict is read from the interval at the level that the correction ({correction}) gives it; Bonferroni alone "
        f"would have said: {alone}."
    )
    return [told, shown]


def comparisons(analysis: Analysis) -> list[Section]:
    """Every difference with its test, why it was this one, its size, and what the design could have found."""
    found = analysis.comparisons
    if not found:
        return []
    rows = [
        (
            c.metric,
            f"{c.a} - {c.b}",
            words.difference_in_unit(c.metric, c.estimate),
            words.span_in_unit(c.metric, c.ci_low, c.ci_high),
            words.p_text(c.p_value),
            _counted(c),
            words.test_name(c.test) + (" (exploratory)" if c.exploratory else ""),
        )
        for c in found
    ]
    columns = ("metric", "a - b", "#difference", "#interval", "#p", "family", "test")
    blocks: list[Block] = [table("Differences between conditions", columns, rows)]
    if analysis.families is not None:
        blocks.append(Text(_told(analysis.families)))
    blocks.append(Bullets(tuple(_why(c, analysis.repeats) for c in found)))
    return [
        Section("Comparisons", tuple(blocks)),
        *_several(analysis),
        *_sizes(found),
        *_design(found),
        *_checked(found),
    ]


def _told(found: Families) -> str:
    """Which comparisons are counted together."""
    if not found.primary:
        return "No hypothesis was declared, so every comparison is exploratory."
    declared = "the declared hypothesis" if found.primary == 1 else f"the {found.primary} declared hypotheses"
    return (
        f"Primary: {declared}. Secondary: other declared metrics on the pairs that hypotheses name ({found.secondary}); "
        f"they are decided only where every hypothesis is supported. Here {found.reason}. Exploratory: the rest "
        f"({found.exploratory})."
    )


def _counted(c: Comparison) -> str:
    """Its family, and what that leaves of it."""
    if c.adjusted is None or c.adjusted.p_value is None:
        return c.family
    return f"{c.family}; {c.adjusted.comparisons} counted ({c.adjusted.method}): {words.p_text(c.adjusted.p_value)}"


def _why(c: Comparison, repeats: int) -> str:
    text = f"{c.metric}, {c.a} - {c.b}: {'; '.join((c.reason, *c.notes))}."
    if c.apa and c.p_value is not None:
        text += f" {c.apa}."
    if c.adjusted is not None and (c.adjusted.ci_low is not None or c.adjusted.ci_high is not None):
        wide = words.span_in_unit(c.metric, c.adjusted.ci_low, c.adjusted.ci_high)
        text += f" Together with its family, at {100 * c.adjusted.confidence:.4g} %: {wide}."
    if c.others:
        beside = ", ".join(f"{words.test_name(each.test)} {words.p_text(each.p_value)}" for each in c.others)
        text += f" Beside it, and deciding nothing: {beside}."
    naive = words.naive(c)
    return (
        f"{text} For contrast, {naive} for this difference: {words.naive_fault(c, repeats)}."
        if naive
        else text
    )


def _several(analysis: Analysis) -> list[Section]:
    """Three conditions or more: over all, then the pairs."""
    blocks: list[Block] = []
    for group in analysis.groups:
        blocks.append(Text(_over_all(group)))
        if group.pairs:
            blocks.append(_pairs(group))
    return [Section("Several conditions", tuple(blocks), level=3)] if blocks else []


def _over_all(group: Group) -> str:
    if group.test is None:
        return f"{group.metric}: not compared over all conditions, since {group.reason}."
    text = f"{group.metric}: {'; '.join((group.reason, *group.notes))}. {words.test_name(group.test)}: {group.apa}."
    sizes = ", ".join(_size_in_words(each) for each in group.sizes)
    return f"{text} {sizes}." if sizes else text


def _pairs(group: Group) -> Block:
    rows = [
        (
            f"{pair.a} - {pair.b}",
            words.difference_in_unit(group.metric, pair.estimate),
            words.span_in_unit(group.metric, pair.ci_low, pair.ci_high),
            words.p_text(pair.p_value),
            words.p_text(pair.p_adjusted),
            words.test_name(pair.test),
        )
        for pair in group.pairs
    ]
    columns = ("a - b", "#difference", "#interval of the family", "#p alone", "#p in the family", "test")
    return table(f"{group.metric}: pairs, whose intervals cover together", columns, rows)


def _sizes(found: Sequence[Comparison]) -> list[Section]:
    rows = [
        (
            c.metric,
            f"{c.a} - {c.b}",
            size.measure,
            "-" if size.value is None else f"{size.value:.3g}",
            "-"
            if size.ci_low is None or size.ci_high is None
            else f"{size.ci_low:.3g} to {size.ci_high:.3g}",
            size.magnitude or "-",
            "; ".join((*((size.method,) if size.method else ()), *size.notes)),
        )
        for c in found
        for size in c.sizes
    ]
    if not rows:
        return []
    columns = ("metric", "a - b", "measure", "#size", "#interval", "by convention", "how")
    note = Text(
        "The words (negligible, small, medium, large) are conventions of other fields; what a difference is worth is another "
        "question."
    )
    return [Section("Effect sizes", (table("How large the differences are", columns, rows), note), level=3)]


def _size_in_words(size: Size) -> str:
    value = "not defined" if size.value is None else f"{size.value:.3g}"
    return f"{size.measure} = {value}" + (f", {size.magnitude}" if size.magnitude else "")


def _design(found: Sequence[Comparison]) -> list[Section]:
    """What it could have found; achieved power with its warning."""
    rows = [
        (
            c.metric,
            f"{c.a} - {c.b}",
            f"{c.units:,} {'items' if c.unit == 'items' else f'clusters ({c.unit})'}",
            words.difference_in_unit(c.metric, c.detectable, signed=False),
            "-" if c.achieved_power is None else f"{c.achieved_power:.2f}",
        )
        for c in found
        if c.detectable is not None
    ]
    if not rows:
        return []
    power = next(c.desired_power for c in found if c.detectable is not None)
    columns = ("metric", "a - b", "#independent units", "#minimum detectable difference", "#achieved power")
    note = Text(
        f"The minimum detectable difference is the smallest true one that such a design, with values spread as these are, "
        f"finds with a power of {power:.2g}. Achieved power is what the power would be if the difference that was found were "
        "the true one: a function of the p-value (p = .05 is always .50), so it adds no evidence."
    )
    return [Section("What the design could find", (table("Precision", columns, rows), note), level=3)]


def _checked(found: Sequence[Comparison]) -> list[Section]:
    """Assumptions, and what tests of them say."""
    rows = [
        (
            c.metric,
            f"{c.a} - {c.b}",
            words.CHECKS.get(check.test, check.test),
            check.of,
            check.apa,
            "-"
            if check.p_value is None
            else "doubtful"
            if check.p_value < _DOUBTFUL
            else "nothing against it",
        )
        for c in found
        for check in c.checks
    ]
    asked: dict[str, list[str]] = {}
    for c in found:
        if c.assumptions:
            asked.setdefault(f"{words.test_name(c.test)}: {'; '.join(c.assumptions)}", []).append(
                f"{c.metric}, {c.a} - {c.b}"
            )
    blocks: list[Block] = (
        [Bullets(tuple(f"{told} ({', '.join(of)})." for told, of in asked.items()))] if asked else []
    )
    if rows:
        columns = ("metric", "a - b", "assumption", "of", "#test", "it is")
        blocks.append(table("Assumptions that were tested", columns, rows))
        blocks.append(
            Text(
                "None of these tests chose anything: design and kind of outcome do. Equal variances are no assumption of a "
                "paired test; where they are doubtful, one condition's values spread more. Where normality is doubtful and "
                "items are few, look at the tests beside the decision."
            )
        )
    return [Section("Assumptions", tuple(blocks), level=3)] if blocks else []
