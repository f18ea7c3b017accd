"""What `compare` shows: lines for a terminal with one table, and a page for Markdown and HTML."""

from __future__ import annotations

from io import StringIO

from crucible_ray.reduction.logs import LogComparison, LoggedCondition
from crucible_ray.reports.page import Block, Bullets, Page, Section, Strong, Table, Text, table
from crucible_ray.reports.visible import visible
from crucible_ray.stats.result import format_p


def comparison_lines(found: LogComparison, *, width: int) -> list[str]:
    """The comparison as lines of at most `width` columns where words allow; every name is escaped."""
    lines = [_headline(found), *_drawn(_conditions(found), width)]
    if found.family is not None:
        lines += _drawn(_pairs(found), width)
    lines += ["", found.interpretation, f"Chosen: {found.reason}."]
    if found.contrast is not None:
        lines.append(f"{found.contrast}.")
    if found.effect_sizes:
        lines.append(f"Effect sizes: {'; '.join(map(str, found.effect_sizes))}")
    lines += [f"  Note: {note}" for note in found.notes]
    return [visible(line, spaces=True) for line in lines]


def comparison_page(found: LogComparison) -> Page:
    """The same as a page."""
    blocks: list[Block] = [Text(found.interpretation), Text(f"Chosen: {found.reason}.")]
    if found.contrast is not None:
        blocks.append(Text(f"{found.contrast}."))
    sections = [
        Section("Finding", tuple(blocks)),
        Section("Conditions", (Text(_headline(found)), _conditions(found))),
    ]
    if found.family is not None:
        sections.append(Section("Pairs", (_pairs(found),)))
    if found.effect_sizes:
        sizes = tuple(
            f"{effect}: {'; '.join((effect.method, *effect.notes))}" for effect in found.effect_sizes
        )
        sections.append(Section("Effect sizes", (Bullets(sizes),)))
    if found.notes:
        sections.append(Section("Notes", (Bullets(found.notes),)))
    names = " and ".join(condition.name for condition in found.conditions)
    return Page(
        title=f"{found.metric}: {names}" if len(found.conditions) == 2 else f"{found.metric} compared",
        description="",
        notice="",
        sections=tuple(sections),
    )


def _headline(found: LogComparison) -> str:
    tools = dict.fromkeys(tool for condition in found.conditions for tool in condition.tools)
    count = f"{found.metric} of {len(found.conditions)} conditions ({', '.join(tools)})"
    if not found.paired:
        return f"{count}: independent groups"
    left = found.items - found.matched
    return f"{count}: paired by item, {found.matched:,} of {found.items:,} items in all" + (
        f", {left:,} left out" if left else ""
    )


def _conditions(found: LogComparison) -> Table:
    columns = ["condition", "#items", "#values", "#missing", "#mean", "#interval"]
    if found.paired:
        columns.insert(4, "#unmatched")
    form = _form(found)
    rows = [_row(condition, form, paired=found.paired) for condition in found.conditions]
    return table("What each condition holds; the mean is over the items that are compared", columns, rows)


def _row(condition: LoggedCondition, form: str, *, paired: bool) -> list[str]:
    cells = [
        Strong(condition.name),
        *(f"{n:,}" for n in (condition.items, condition.values, condition.missing)),
    ]
    if paired:
        cells.append(f"{condition.unmatched:,}")
    return [*cells, _number(condition.mean, form), _between(condition.ci_low, condition.ci_high, form)]


def _pairs(found: LogComparison) -> Table:
    assert found.family is not None
    form = _form(found)
    rows = [
        (
            f"{pair.a} - {pair.b}",
            _number(pair.estimate, f"+{form}"),
            _between(pair.ci_low, pair.ci_high, form),
            "-" if pair.p_value is None else format_p(pair.p_value),
            "-" if pair.p_adjusted is None else format_p(pair.p_adjusted),
            pair.test or found.family.test,
        )
        for pair in found.family.pairs
    ]
    columns = ("a - b", "#difference", "#interval", "#p", "#p adjusted", "test")
    return table(f"Pairs; p adjusted by {found.family.correction}", columns, rows)


def _form(found: LogComparison) -> str:
    """Shares have three places, so that a column's points stand below one another; other values four digits."""
    ends = [
        end for each in found.conditions for end in (each.mean, each.ci_low, each.ci_high) if end is not None
    ]
    return (
        ".3f"
        if all(-1.0 <= end <= 1.0 for end in ends) and max(map(abs, ends), default=0.0) >= 0.01
        else ".4g"
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or value != value else f"{value:{form}}"


def _between(low: float | None, high: float | None, form: str) -> str:
    return "-" if low is None or high is None else f"{low:{form}} to {high:{form}}"


def _drawn(shown: Table, width: int) -> list[str]:
    """A table by rich, without colours; nothing in a cell is taken for markup."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text as Plain

    drawn = Drawn(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in shown.columns:
        drawn.add_column(Plain(column.name), justify="right" if column.number else "left", overflow="fold")
    for row in shown.rows:
        drawn.add_row(*(Plain(visible(cell, spaces=True)) for cell in row))
    into = StringIO()
    Console(file=into, width=width, color_system=None, force_terminal=False).print(drawn)
    return ["", *(line.rstrip() for line in into.getvalue().splitlines() if line.strip())]
