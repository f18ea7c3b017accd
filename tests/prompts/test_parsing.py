from __future__ import annotations

import pytest

from crucible_ray.errors import SpecError
from crucible_ray.experiment.defaults import PARSE_KINDS
from crucible_ray.prompts import parser
from crucible_ray.records import Item

ITEM = Item(id="1", input="?", choices=("yes", "no"))


@pytest.mark.parametrize("kind", PARSE_KINDS)
def test_every_kind_exists_and_finds_nothing_in_an_empty_reply(kind: str) -> None:
    assert parser(kind)("", ITEM) is None
    assert parser(kind)(" \n\t", ITEM) is None
    assert parser(kind)("<think>hmm", ITEM) is None


def test_text_is_the_reply_without_surrounding_space() -> None:
    assert parser("text")("  Paris, France \n", ITEM) == "Paris, France"


@pytest.mark.parametrize(
    ("reply", "letter"), [("b", "B"), ("**A**", "A"), ("(B) no", "B"), ("Because", "B"), ("Yes", None)]
)
def test_first_letter_is_literally_that(reply: str, letter: str | None) -> None:
    assert parser("first_letter")(reply, ITEM) == letter


def test_reasoning_in_front_of_the_answer_is_not_the_answer() -> None:
    assert parser("text")("<think>is it A?</think>\nB", ITEM) == "B"
    assert parser("text")("is it A?</think>\nB", ITEM) == "B"


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'choice'"):
        parser("choise")
    with pytest.raises(SpecError, match="use one of: choice, number"):
        parser("json")
