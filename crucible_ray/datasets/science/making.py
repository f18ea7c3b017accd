"""From a question with its answer and typical errors to an item whose place, letters and numbers never change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import count
from string import ascii_uppercase
from typing import Final, NamedTuple, TypeVar

from crucible_ray.experiment.grid import derive
from crucible_ray.records import Item

LEVELS: Final = 20
"""Items of one kind; their difficulty rises from 0.025 to 0.975."""

_T = TypeVar("_T")


class Made(NamedTuple):
    """A question, its answer, and candidates for wrong choices, the likeliest error first."""

    question: str
    answer: str
    wrong: tuple[str, ...]


class Draw:
    """The random choices of one item: a keyed hash of what is drawn, the same on every machine."""

    def __init__(self, kind: str, level: int, attempt: int) -> None:
        self._key = ("science", kind, level, attempt)

    def whole(self, what: str, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return low + derive(0, *self._key, what) % (high - low + 1)

    def one(self, what: str, options: Sequence[_T]) -> _T:
        """One of the options."""
        return options[self.whole(what, 0, len(options) - 1)]

    def shuffled(self, what: str, texts: Sequence[str]) -> tuple[str, ...]:
        """The texts in a drawn order."""
        return tuple(sorted(texts, key=lambda text: derive(0, *self._key, what, text)))


Make = Callable[[Draw, int], Made]
"""(draw, level from 0) -> an item's content."""


def items_of(topic: str, kind: str, make: Make) -> list[Item]:
    """`LEVELS` items of one kind, no two of which ask the same; ids are `topic/kind/level`."""
    asked: set[str] = set()
    items = []
    for level in range(LEVELS):
        made = next(
            made
            for attempt in count()
            if (made := make(Draw(kind, level, attempt), level)).question not in asked
        )
        asked.add(made.question)
        items.append(_item(topic, kind, level, made))
    return items


def _item(topic: str, kind: str, level: int, made: Made) -> Item:
    wrong = [text for text in dict.fromkeys(made.wrong) if text != made.answer][:3]
    if len(wrong) < 3:
        raise ValueError(f"{topic}/{kind}/{level}: fewer than three wrong choices")
    choices = Draw(kind, level, 0).shuffled("choices", [made.answer, *wrong])
    return Item(
        id=f"{topic}/{kind.replace(' ', '-')}/{level}",
        input=made.question,
        expected=ascii_uppercase[choices.index(made.answer)],
        choices=choices,
        topic=topic,
        difficulty=(2 * level + 1) / (2 * LEVELS),
        metadata={"kind": kind},
    )


def number(value: int | Fraction) -> str:
    """A number as a decimal without trailing zeros. Raises ValueError where it does not end."""
    exact = Fraction(value)
    for digits in range(7):
        if (exact * 10**digits).denominator == 1:
            return f"{float(exact):.{digits}f}"
    raise ValueError(f"{exact} has no short decimal form")


def numbers(*values: int | Fraction) -> tuple[str, ...]:
    """Several numbers, those without a short decimal form left out."""
    return tuple(number(value) for value in values if (10**6 * Fraction(value)).denominator == 1)
