"""Replies that real models give, and replies made to mislead."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crucible_ray.prompts import choice, parser
from crucible_ray.records import Item

CAPITALS = Item(id="1", input="Capital of France?", choices=("London", "Paris", "Rome", "Berlin"))
ORGANISMS = Item(
    id="2", input="Which has 302 neurons?", choices=("A mouse", "C. elegans", "E. coli", "A yeast")
)
UNLISTED = Item(id="3", input="(A) one (B) two")

read = parser("choice")


@pytest.mark.parametrize(
    "reply",
    [
        "B",
        "b",
        " B\n",
        "(B)",
        "[B]",
        "**B**",
        "**(B)**",
        "B.",
        "B)",
        '"B"',
        "`B`",
        "$B$",
        r"\boxed{B}",
        r"$\boxed{\text{B}}$",
        "Ｂ",
        "Paris",
        "paris.",
        "**Paris**",
        "The answer is B.",
        "The answer is (B).",
        "The answer is **B**.",
        "The correct answer is: B",
        "Answer: b",
        "answer: (b)",
        "Answer: B. Paris",
        "Answer:\n\nB",
        "**Answer:** B",
        "**Answer: B**",
        "ANSWER: B",
        "The answer is Paris.",
        "The correct option is B) Paris",
        "The best answer among these would be B, since Paris is the capital.",
        "I would choose B.",
        "I'd go with option B",
        "My final answer is B",
        "Final Answer: **B**",
        "#### B",
        "B is correct.",
        "(B) is the correct answer because Paris is the seat of government.",
        "B. Paris",
        "B) Paris",
        "(B) Paris",
        "B: Paris",
        "B - Paris",
        "**B. Paris**",
        "**B**: Paris",
        "B\n\nParis has been the capital since 987.",
        "Let us think. London is in England, Rome in Italy.\n\nB",
        "Let us think. London is in England.\n\n**B. Paris**",
        "It must be B",
        "I think it is (B).",
        "答案是B",
        "答案：B",
        "<think>A? London? No: A is in England.</think>\n\nB",
    ],
)
def test_a_reply_that_chooses_b_reads_as_b(reply: str) -> None:
    assert read(reply, CAPITALS) == "B"


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("At first I thought the answer is A, but the answer is C.", "C"),
        ("The answer is A? No, the answer is D.", "D"),
        ("Final answer: D. The answer A would be a mistake, and so would be answer: B.", "D"),
        ("The answer is B, not A.", "B"),
        ("A is incorrect and C is incorrect. B is correct.", "B"),
        ("I don't think B is correct. D is correct.", "D"),
        ("Option A is wrong. The answer is not C. So the answer is B.", "B"),
        ("A. London is in the UK.\nB. Paris is in France.\nC. Rome is in Italy.\nSo the answer is B.", "B"),
        ("The answer is A because London is large.", "A"),
        ("Answer: A London", "A"),
        ("A", "A"),
        ("a", "A"),
        ("The answer is a.", "A"),
    ],
)
def test_the_final_statement_wins(reply: str, letter: str) -> None:
    assert read(reply, CAPITALS) == letter


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   ",
        "I do not know.",
        "A capital is a city.",
        "A good question! I cannot tell.",
        "The answer is a city in Europe.",
        "Answer: A city in Europe.",
        "The answer is A or B.",
        "The answer is either A or B.",
        "The answer is A and B.",
        "Answer: A, B",
        "A, B",
        "A/B",
        "A or B",
        "(A) (B)",
        "The answer is not A.",
        "I don't think the answer is B.",
        "Is it B?",
        "E",
        "The answer is E.",
        "Because",
        "BCD",
        "A. Paris",
        "A. London\nB. Paris\nC. Rome\nD. Berlin",
        "<think>The answer is B, I suppose, but let me check",
    ],
)
def test_a_reply_without_one_choice_is_unreadable(reply: str) -> None:
    assert read(reply, CAPITALS) is None


def test_a_species_is_not_a_letter() -> None:
    assert read("C. elegans", ORGANISMS) == "B"
    assert read("The answer is C. elegans.", ORGANISMS) == "B"
    assert read("E. coli lacks neurons altogether.", ORGANISMS) is None


def test_letters_are_a_to_j_where_choices_are_not_listed() -> None:
    assert read("The answer is (J).", UNLISTED) == "J"
    assert read("The answer is (K).", UNLISTED) is None


def test_the_letter_wins_over_a_choice_whose_text_is_that_letter() -> None:
    item = Item(id="4", input="Which letter comes second?", choices=("B", "A", "C", "D"))
    assert read("B", item) == "B"


def test_a_long_reply_is_read_in_bounded_time() -> None:
    for filler in (
        "(" * 20_000,
        "the answer " * 5_000,
        "A or " * 5_000,
        "option " * 5_000,
        "**" * 20_000,
        "not " * 9_000,
    ):
        read(filler, CAPITALS)
        read(filler + " the answer is B", CAPITALS)


def test_what_others_may_choose_is_no_choice() -> None:
    assert read("Some may choose (A), while others may choose (B) or (C).", UNLISTED) is None
    assert read("Some may choose (A). I choose (B).", UNLISTED) == "B"


_WORDS = st.sampled_from(
    [
        *(
            "answer",
            "Answer",
            "choice",
            "choose",
            "option",
            "Option",
            "opt for",
            "go with",
            "say",
            "it is",
            "It's",
        ),
        *(
            "is",
            "are",
            "would be",
            "must be",
            "the",
            "most",
            "correct",
            "right",
            "not",
            "never",
            "might",
            "others",
        ),
        *(
            "A",
            "B",
            "C",
            "I",
            "b",
            "(A)",
            "[B]",
            "**C**",
            "“D”",
            " ",
            "\n",
            "\x1c",
            "\u3000",
            ".",
            ":",
            "?",
            "or",
            "é",
        ),
    ]
)


@given(words=st.lists(_WORDS, max_size=14), between=st.sampled_from(["", " "]))
@settings(deadline=None, max_examples=300)
def test_what_is_not_searched_holds_nothing_to_find(words: list[str], between: str) -> None:
    text = between.join(words)
    reading = choice._Reading(text, Item(id="1", input="?"))
    found = {match.span() for match in reading._mentions()}
    assert found == {match.span() for match in choice._MENTION.finditer(text)}
    stated = [match.span() for match in choice._STATED.finditer(text)]
    assert [match.span() for match in reading._stated()] == stated
    assert reading._may_call_correct() or choice._CORRECT.search(text) is None
