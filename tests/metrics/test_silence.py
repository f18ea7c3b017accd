"""Scores that say less than they seem to are noticed, from enough replies on, and however rows arrive."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from crucible_ray.metrics.silence import ENOUGH, Silences
from crucible_ray.records import Item
from tests.reduction.rows import batches, condition, model, plan, row

ITEMS = tuple(Item(id=str(k), input=f"q{k}", expected="AB"[k % 2]) for k in range(200))


def reply(text: str, *, call: int = 0, finish: str = "stop", outcome: str = "ok") -> dict[str, Any]:
    return {"call": call, "outcome": outcome, "text": text, "finish_reason": finish}


def counted(rows: list[dict[str, Any]], items: tuple[Item, ...] = ITEMS, size: int = 100) -> Silences:
    counts = Silences(plan(200), items)
    for batch in batches(rows, size):
        counts.add(batch)
    return counts


def of(rows: list[dict[str, Any]], **how: Any) -> list[tuple[str, str, str | None, int, int]]:
    return [
        (each.kind, each.condition, each.member, each.count, each.of) for each in counted(rows, **how).found()
    ]


def single(count: int, *, every: int, **bad: Any) -> list[dict[str, Any]]:
    """Rows of the first condition, with something else in every `every`th."""
    return [row(2 * k, calls=[reply(f"reply {k}")]) | (bad if k % every == 0 else {}) for k in range(count)]


EMPTY = {"error": "truncated", "correct": None, "calls": [reply("", finish="length")]}


def test_empty_truncated_replies_are_told_above_five_percent_and_from_enough_replies_on() -> None:
    assert of(single(100, every=10, **EMPTY)) == [("empty_truncated", "single", None, 10, 100)]
    assert of(single(100, every=20, **EMPTY)) == []
    assert of(single(ENOUGH - 1, every=2, **EMPTY)) == []
    assert of(single(ENOUGH, every=2, **EMPTY)) == [("empty_truncated", "single", None, 10, 20)]


def test_a_cut_reply_with_words_in_it_and_a_failed_call_are_no_empty_replies() -> None:
    words = {"calls": [reply("half a", finish="length")]}
    failed = {"error": "timeout", "calls": [reply("", finish="length", outcome="timeout")]}
    assert of(single(100, every=2, **words)) == []
    assert of(single(100, every=2, **failed)) == []


def test_of_an_ensemble_the_member_is_named() -> None:
    rows = [
        row(2 * k + 1, calls=[reply(f"a{k}"), reply("", call=1, finish="length"), reply(f"c{k}", call=2)])
        for k in range(30)
    ]
    assert of(rows) == [("empty_truncated", "ensemble", "m1", 30, 30)]


def test_answers_that_cannot_be_read_are_told_and_a_rate_that_differs_between_conditions() -> None:
    bad = {"error": "parse_failed", "correct": 0}
    both = [
        row(2 * k + c, calls=[reply(f"reply {k}")]) | (bad if k % (10, 2)[c] == 0 else {})
        for k in range(100)
        for c in (0, 1)
    ]
    assert of(both) == [
        ("unreadable", "single", None, 10, 100),
        ("unreadable", "ensemble", None, 50, 100),
        ("parse_rates_differ", "ensemble", None, 50, 100),
    ]
    told = [each.told for each in counted(both).found()]
    assert "Look at one with crucible-ray show DIR TRIAL" in told[0]
    assert told[-1].startswith("ensemble and single: 50 % and 10 % of answers could not be read")


def test_rates_that_chance_alone_may_have_made_are_not_called_different() -> None:
    bad = {"error": "parse_failed", "correct": 0}
    rows = [
        row(2 * k + c) | (bad if k % 25 == 0 or (c == 1 and k % 10 == 0) else {})
        for k in range(50)
        for c in (0, 1)
    ]
    assert [kind for kind, *_ in of(rows)] == ["unreadable"]


@pytest.mark.parametrize("size", [7, 100, 1000])
def test_the_same_reply_to_everything_is_told_however_rows_are_batched(size: int) -> None:
    rows = single(300, every=50, calls=[reply("something else")])
    rows = [
        each | {"calls": [reply("A")]} if each["calls"][0]["text"].startswith("reply") else each
        for each in rows
    ]
    for each, trial in zip(rows, range(300), strict=True):
        each["trial"] = 2 * trial
    assert of(rows, size=size) == [("same_reply", "single", None, 294, 300)]


@pytest.mark.parametrize("size", [7, 100])
def test_right_answers_among_other_words_that_count_as_wrong_are_told(size: int) -> None:
    words = ["Paris", "Rome"]
    items = tuple(Item(id=str(k), input=f"q{k}", expected=words[k % 2]) for k in range(100))
    of_text = plan(
        100, conditions=(replace(condition("a", [model("m")]), parse="text"), condition("b", [model("n")]))
    )
    rows = [
        row(2 * k + c, int(k >= 40), calls=[reply(f"The answer is {words[k % 2].upper()}. {k}")])
        for k in range(90)
        for c in (0, 1)
    ]
    other = [row(2 * k, 0, calls=[reply(f"Parisian {k}")]) for k in range(90, 100)]
    counts = Silences(of_text, items)
    for batch in batches(rows + other, size):
        counts.add(batch)
    (found,) = counts.found()
    assert (found.kind, found.condition, found.count, found.of) == ("not_exact", "a", 40, 100)
    assert "40 % of 100 answers count as wrong" in found.told


def test_equal_replies_are_no_warning_where_they_are_right() -> None:
    rows = single(60, every=1, calls=[reply("A")])
    same = tuple(Item(id=str(k), input=f"q{k}", expected="A") for k in range(60))
    assert [kind for kind, *_ in of(rows)] == ["same_reply"]
    assert of(rows, items=same) == []
    assert of(rows, items=same[:1]) == []
    assert of(rows, items=()) == []


def test_without_right_answers_equal_replies_to_different_questions_are_told() -> None:
    open_questions = tuple(Item(id=str(k), input=f"q{k}") for k in range(60))
    rows = single(60, every=1, calls=[reply("I cannot help with that.")])
    assert [kind for kind, *_ in of(rows, items=open_questions)] == ["same_reply"]


def test_rows_without_calls_and_no_rows_say_nothing() -> None:
    assert of([row(0), row(1)]) == []
    assert counted([]).found() == []
