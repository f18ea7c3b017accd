"""The table of single questions: item, expected answer, what each condition said, and the votes."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from crucible_ray.experiment.plan import Plan
from crucible_ray.records import Item
from crucible_ray.reports.page import Section, Text, quoted, table
from crucible_ray.reports.questions import Answer, Questions, counted
from crucible_ray.reports.visible import shortened

_QUESTION = 100
"""Characters of a question in the table of questions."""
_ANSWER = 40
_FIRST = 20
"""Questions that stand in Markdown."""


def single_questions(plan: Plan, items: Sequence[Item], found: Questions | None) -> list[Section]:
    """What each condition answered to the questions that tell most."""
    if found is None or not found.shown:
        return []
    voting = [index for index, condition in enumerate(plan.conditions) if condition.vote is not None]
    topics = any(item.topic for item in items)
    rows = []
    for question in found.shown:
        item = items[question.item]
        rows.append(
            (
                quoted(item.id, _ANSWER),
                *((quoted(item.topic, _ANSWER),) if topics else ()),
                quoted(item.input, _QUESTION),
                quoted(item.expected, _ANSWER),
                *(_answers(answers) for answers in question.answers),
                *(_votes(question.answers[index]) for index in voting),
            )
        )
    names = [condition.name for condition in plan.conditions]
    columns = ("item", *(("topic",) if topics else ()), "question", "expected", *names)
    columns += tuple(f"votes of {names[index]}" for index in voting)
    rest = found.total - len(found.shown)
    order = (
        "Those on which conditions differ most come first, then those that are answered wrongly most often."
    )
    more = f" {rest:,} more questions are not shown here; results.csv has all of them." if rest else ""
    return [
        Section(
            "Question by question",
            (Text(order + more), replace(table("Answers to single questions", columns, rows), first=_FIRST)),
        )
    ]


def _answers(answers: Sequence[Answer]) -> str:
    """`A right, C wrong (x2)`: what repeats answered, the commonest first."""
    return quoted("; ".join(_outcome(each, times) for each, times in counted(answers)), 3 * _ANSWER)


def _outcome(answer: Answer, times: int) -> str:
    if answer.error is not None:
        told = answer.error.replace("_", " ")
    else:
        mark = {1: " \N{CHECK MARK}", 0: " \N{BALLOT X}", None: ""}[answer.correct]
        told = f"{shortened(answer.prediction or '-', _ANSWER)}{mark}"
    return told if times == 1 else f"{told} x{times}"


def _votes(answers: Sequence[Answer]) -> str:
    total: dict[str, int] = {}
    for answer in answers:
        for choice, votes in (answer.votes or {}).items():
            total[choice] = total.get(choice, 0) + votes
    ranked = sorted(total.items(), key=lambda each: -each[1])
    return (
        quoted(", ".join(f"{shortened(choice, _ANSWER)} {votes}" for choice, votes in ranked), 3 * _ANSWER)
        if total
        else "-"
    )
