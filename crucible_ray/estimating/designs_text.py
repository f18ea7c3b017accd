"""A design's answer as lines: a small table, what it means, and a curve to look at."""

from __future__ import annotations

from crucible_ray.estimating.designs import Answer, Question, Row
from crucible_ray.estimating.money import dollars

_WIDTH = 110
_BAR = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"


def answer_lines(found: Answer, *, curve: bool = False) -> list[str]:
    """The table, the notes and, where somebody looks, the power curve."""
    question = found.question
    lines = [*_table(found), *_meaning(found)]
    lines += [line for row in found.rows for line in _cost(row, question)]
    lines += [f"Note: {note}." for note in found.notes]
    if curve:
        lines += _curve(found.rows[0], question)
    return lines


def _table_lines(titles: list[str], rows: list[list[str]]) -> list[str]:
    """A table by rich, as plain lines."""
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in titles:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*row)
    stream = io.StringIO()
    Console(file=stream, width=_WIDTH, no_color=True, markup=False, emoji=False).print(table)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def _size_text(effect: float, question: Question) -> str:
    """`8.0 points` of a share, a plain number of anything else."""
    return f"{100 * effect:.3g} points" if question.design.endswith("binary") else f"{effect:.4g}"


def _table(found: Answer) -> list[str]:
    question = found.question
    share = any(row.discordant is not None for row in found.rows)
    per = "items" if question.design.startswith("paired") else "items a group"
    chance = "assurance" if question.effect_sd is not None else "power"
    titles = [*(["items that differ"] if share else []), per, "repeats", "true difference", chance, "how"]
    rows = []
    for row in found.rows:
        cells = [f"{100 * row.discordant:.3g} %"] if row.discordant is not None else []
        solved = {"n": f"{row.n:,}", "effect": _size_text(row.effect, question), "power": f"{row.power:.2f}"}
        solved[found.solved] += " <"
        rows.append([*cells, solved["n"], str(question.repeats), solved["effect"], solved["power"], row.how])
    return _table_lines(titles, rows)


def _meaning(found: Answer) -> list[str]:
    question, numbers = found.question, [row.n for row in found.rows]
    claim = {
        "superiority": f"more than {_size_text(question.margin, question)} better"
        if question.margin
        else "better",
        "non_inferiority": f"at most {_size_text(question.margin, question)} worse",
        "equivalence": f"within {_size_text(question.margin, question)} of each other",
    }[question.relation]
    few, many = min(numbers), max(numbers)
    if found.solved == "n":
        items = f"{few:,}" if few == many else f"{few:,} to {many:,}"
        lines = [
            f'{items} items support "{claim}" with a power of {question.power:.2f}, '
            f"if the true difference is {_size_text(found.rows[0].effect, question)}."
        ]
    elif found.solved == "effect":
        effects = [_size_text(row.effect, question) for row in found.rows]
        lines = [
            f'{numbers[0]:,} items support "{claim}" with a power of {question.power:.2f} '
            f"from a true difference of {' to '.join(dict.fromkeys(effects))} on."
        ]
    else:
        powers = sorted(f"{row.power:.2f}" for row in found.rows)
        lines = [
            f'{numbers[0]:,} items support "{claim}" with a power of {" to ".join(dict.fromkeys(powers))}, '
            f"if the true difference is {_size_text(found.rows[0].effect, question)}."
        ]
    lines += [
        f"The default rule itself, simulated: {row.simulated:.2f} (Monte Carlo error {row.simulated_error:.3f})."
        for row in found.rows
        if row.simulated is not None
    ]
    return lines


def _cost(row: Row, question: Question) -> list[str]:
    at = "" if row.discordant is None else f" where {100 * row.discordant:.3g} % of items differ"
    if row.cost_note is not None:
        return [f"Least cost{at}: {row.cost_note}."]
    if row.items is None:
        return []
    repeats = "once" if row.item_repeats == 1 else f"{row.item_repeats} times"
    price = "" if row.cost_usd is None else f", {dollars(row.cost_usd)}"
    return [f"Least cost{at}: {row.items:,} items, each asked {repeats}{price}."]


def _curve(row: Row, question: Question) -> list[str]:
    at = "" if row.discordant is None else f", where {100 * row.discordant:.3g} % of items differ"
    head = f"Power by items, for a true difference of {_size_text(row.effect, question)}{at}"
    width = max(len(f"{items:,}") for items, _ in row.curve)
    return ["", head, *(f"  {items:>{width},}  {power:.2f} {_bar(power)}" for items, power in row.curve)]


def _bar(share: float) -> str:
    whole, rest = divmod(round(share * _BAR * 8), 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")
