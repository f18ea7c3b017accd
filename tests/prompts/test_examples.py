from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crucible_ray.errors import SpecError
from crucible_ray.experiment.plan import FewShotPlan, PromptPlan
from crucible_ray.prompts import Renderer
from crucible_ray.records import Item, Message

ITEMS = tuple(Item(id=f"i{k}", input=f"{k} + 1?", expected=str(k + 1)) for k in range(20))


def _prompt(k: int, *, pool: tuple[Item, ...] = ITEMS, seed: int = 7, **changes: Any) -> PromptPlan:
    answer = changes.pop("answer", "{{ expected }}")
    few = FewShotPlan(k=k, seed=seed, answer=answer, pool=pool)
    fields: dict[str, Any] = {"template": "{{ input }}", "few_shot": few}
    return PromptPlan(**(fields | changes))


def _contents(messages: tuple[Message, ...]) -> list[str]:
    return [message.content for message in messages]


def test_examples_are_earlier_turns_with_their_answers() -> None:
    system, *shown, last = Renderer(_prompt(2, system="Add.")).render(ITEMS[0])
    assert (system, last) == (Message("system", "Add."), Message("user", "0 + 1?"))
    assert [message.role for message in shown] == ["user", "assistant"] * 2
    for question, answer in zip(shown[::2], shown[1::2], strict=True):
        assert int(answer.content) == int(question.content.split()[0]) + 1


@given(place=st.integers(0, 19), repeat=st.integers(0, 5), k=st.integers(1, 19), seed=st.integers(0, 99))
def test_an_item_is_never_its_own_example_and_none_is_shown_twice(
    place: int, repeat: int, k: int, seed: int
) -> None:
    *shown, last = _contents(Renderer(_prompt(k, seed=seed)).render(ITEMS[place], repeat))
    questions = shown[::2]
    assert len(questions) == k == len(set(questions))
    assert last not in questions


def test_an_item_that_asks_the_same_is_no_example() -> None:
    twin = Item(id="twin", input="0  + 1?\n", expected="one")
    shown = {
        question
        for repeat in range(50)
        for question in _contents(Renderer(_prompt(3)).render(twin, repeat))[:-1:2]
    }
    assert shown == {item.input for item in ITEMS[1:]}


def test_examples_depend_on_seed_item_and_repeat_and_on_nothing_else() -> None:
    one = Renderer(_prompt(3)).render(ITEMS[0], 1)
    assert Renderer(_prompt(3)).render(ITEMS[0], 1) == one
    other_prompt = Renderer(_prompt(3, system="x")).render(ITEMS[0], 1)
    assert other_prompt[1:] == one
    assert Renderer(_prompt(3, seed=8)).render(ITEMS[0], 1) != one
    assert Renderer(_prompt(3)).render(ITEMS[0], 2) != one
    assert _contents(Renderer(_prompt(3)).render(ITEMS[1], 1))[:-1] != _contents(one)[:-1]


def test_fewer_examples_are_the_first_of_more() -> None:
    three, five = (_contents(Renderer(_prompt(k)).render(ITEMS[4])) for k in (3, 5))
    assert five[:6] == three[:6]


def test_the_answer_of_an_example_has_a_template_of_its_own() -> None:
    _, answer, _ = Renderer(_prompt(1, answer="{{ input }} It is {{ expected }}.")).render(ITEMS[0])
    assert answer.content.endswith("? It is " + str(int(answer.content.split()[0]) + 1) + ".")
    with pytest.raises(SpecError, match="few-shot answer is not a valid jinja2 template"):
        Renderer(_prompt(1, answer="{{"))


def test_an_example_of_several_turns_repeats_them_all_and_ends_a_begun_answer() -> None:
    turns = (Message("user", "{{ input }}"), Message("assistant", "It is "))
    first, answer, question, begun = Renderer(_prompt(1, template=None, messages=turns)).render(ITEMS[0])
    assert (first.role, answer.role) == ("user", "assistant")
    assert answer.content == "It is " + str(int(first.content.split()[0]) + 1)
    assert (question.content, begun.content) == ("0 + 1?", "It is ")


def test_too_few_examples_are_refused_with_the_item_and_the_mend() -> None:
    with pytest.raises(SpecError, match=r"'i0': few_shot shows 2 examples, .* 1 other item .*smaller k"):
        Renderer(_prompt(2, pool=ITEMS[:2])).render(ITEMS[0])


def test_an_item_is_shown_examples_of_its_own_dataset_alone() -> None:
    pool = tuple(
        Item(id=f"{name}:{k}", input=f"{name} {k}", expected="x", dataset=name)
        for name in "ab"
        for k in range(3)
    )
    item = Item(id="b:9", input="b 9", expected="x", dataset="b")
    assert {text[0] for text in _contents(Renderer(_prompt(3, pool=pool)).render(item))[::2]} == {"b"}
