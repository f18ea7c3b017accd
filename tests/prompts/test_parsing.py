from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crucible_ray.errors import SpecError
from crucible_ray.experiment.defaults import PARSE_KINDS
from crucible_ray.prompts import answer_key, parser
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
        parser("vibes")


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Yes", "true"),
        ("**No.**", "false"),
        ("True", "true"),
        ("\\boxed{\\text{No}}", "false"),
        ("1", "true"),
        ("Yes, because no metal floats.", "true"),
        ("No, it does not.\n\nIt is true that iron is heavy.", "false"),
        ("There is no air, so a sound cannot travel. So the answer is no.", "false"),
        ("First the answer is yes. Wait. The answer is **no**.", "false"),
        ("Let me think.\nNo evidence is given, but it holds.\n\nYes.", "true"),
        ("No evidence supports it, so the claim is not true.", "false"),
        ("The statement is incorrect.", "false"),
        ("That isn't true.", "false"),
        ("The sentence is not false", "true"),
        ("Answer: No", "false"),
        ("Final answer: Yes, it is plausible.", "true"),
        ("#### False", "false"),
        ("No evidence either way.", None),
        ("Perhaps", None),
        ("I know it from the north.", None),
        ("Maybe yes or no.", None),
        ("Seven does not divide it.\n\nTherefore, it is a prime number. [Yes]", "true"),
        ("[No] Step 1: it is odd. So the answer should be [Yes].", "true"),
        ('[No]\n\nBut it is a prime: the answer is actually "[Yes]".', "true"),
        ('The answer is "[Yes]" if it is a prime or "[No]" if it is not.', None),
    ],
)
def test_a_boolean_is_the_final_yes_or_no(reply: str, answer: str | None) -> None:
    assert parser("boolean")(reply, ITEM) == answer


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ('{"answer": "B"}', "B"),
        ('Here you are:\n```json\n{"answer": " B "}\n```\nBye', "B"),
        ('{"answer": "A"} no, rather {"answer": "B"}', "B"),
        ('{"answer": "B", "why": {"answer": "x"}} and {"other": 1}', "B"),
        ('I take \\frac{1}{2} { and {"answer": 4.50}', "4.5"),
        ('{"answer": true}', "true"),
        ('{"answer": ["b", "a"]}', '["b","a"]'),
        ('{"answer": null}', None),
        ('{"answer": ""}', None),
        ('{"answr": "B"}', None),
        ('{"answer": "B"', None),
        ("no object", None),
    ],
)
def test_json_takes_a_field_of_the_last_object_that_has_it(reply: str, answer: str | None) -> None:
    assert parser("json:answer")(reply, ITEM) == answer


def test_json_goes_into_objects_and_prefers_a_key_with_dots() -> None:
    assert parser("json:a.b")('{"a": {"b": 3}}', ITEM) == "3"
    assert parser("json:a.b")('{"a": {"b": 3}, "a.b": 4}', ITEM) == "4"


def test_json_alone_is_the_object_with_its_keys_in_order() -> None:
    assert parser("json")('see {"b": 1, "a": [1, "é"]}.', ITEM) == '{"a":[1,"é"],"b":1}'
    expected = Item(id="1", input="?", expected='{ "b": 1, "a": [1, "\\u00e9"] }')
    assert answer_key("json", expected) == '{"a":[1,"é"],"b":1}'


@pytest.mark.parametrize(
    "hostile",
    [
        "{" * 50_000,
        '{"a":' * 50_000,
        '{"answer": ' + "9" * 9_000 + "}",
        "[" * 9000,
        '{"' * 50_000,
        "the answer is " * 20_000,
    ],
)
def test_a_hostile_reply_takes_no_time_and_reads_as_nothing(hostile: str) -> None:
    assert parser("json:answer")(hostile, ITEM) is None
    assert parser("boolean")(hostile, ITEM) is None


@given(
    st.dictionaries(
        st.text(max_size=8), st.text(max_size=8) | st.integers(-9, 9) | st.booleans(), max_size=4
    ),
    st.text(alphabet=st.characters(exclude_characters="{}"), max_size=20),
)
def test_any_object_is_found_in_any_sentence(found: dict[str, object], around: str) -> None:
    reply = f"{around}{json.dumps(found)}{around}"
    read = parser("json")(reply, ITEM)
    assert read is not None
    assert json.loads(read) == found


def test_a_pattern_takes_its_first_match_and_the_whole_text_its_last() -> None:
    reply = "ANSWER: a\nANSWER:  b \nANSWER:"
    assert parser(r"ANSWER:[ ]*(\w*)")(reply, ITEM) == "a"
    assert parser(r"(?s).*ANSWER:[ ]*(\w+)")(reply, ITEM) == "b"
    assert parser(r"ANSWER: (\d+)")(reply, ITEM) is None
    assert parser(r"ANSWER:[ ]*(\w*)")("ANSWER: \nANSWER: c", ITEM) == "c"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("json:", "name the field"),
        (r"\d+", "needs one group"),
        (r"(a)(b)", "has 2"),
        ("(a", "nor a valid regular"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(kind: str, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        parser(kind)


def test_the_expected_answer_is_read_like_a_reply() -> None:
    assert answer_key("boolean", Item(id="1", input="?", expected="No")) == "false"
    assert answer_key("json:answer", Item(id="1", input="?", expected="42")) == "42"
    assert answer_key("number", Item(id="1", input="?", expected="so\n#### 1,000")) == "1000"


def test_a_parser_that_does_not_exist_is_refused_with_all_that_parse_may_be() -> None:
    with pytest.raises(
        SpecError, match=r"use one of: choice, .* Also: json:FIELD, a regular expression .* function"
    ):
        parser("nosuch")
