from __future__ import annotations

import pickle
from hashlib import blake2b

import pytest

from crucible_ray.errors import SpecError
from crucible_ray.experiment.defaults import DEFAULT_CHOICE_TEMPLATE, DEFAULT_TEMPLATE
from crucible_ray.experiment.plan import PromptPlan
from crucible_ray.prompts import Renderer, prompt_key, prompt_text
from crucible_ray.records import Item, Message

ITEM = Item(
    id="7",
    input="Capital of France?",
    expected="B",
    choices=("London", "Paris"),
    topic="geography",
    metadata={"hint": "Seine", "not a name": 1},
)


def render(template: str, item: Item = ITEM, system: str | None = None) -> tuple[Message, ...]:
    return Renderer(PromptPlan(template=template, system=system)).render(item)


def test_the_default_for_choices_letters_them_and_asks_for_a_letter() -> None:
    assert render(DEFAULT_CHOICE_TEMPLATE) == (
        Message(
            "user",
            "Capital of France?\n\nA. London\nB. Paris\n\nAnswer with the letter of the correct choice only.",
        ),
    )


def test_the_default_without_choices_is_the_input_alone() -> None:
    assert render(DEFAULT_TEMPLATE, Item(id="1", input="Hi {{ id }} <b>")) == (
        Message("user", "Hi {{ id }} <b>"),
    )


def test_a_template_sees_the_fields_of_the_item() -> None:
    template = (
        "{{ id }}|{{ topic }}|{{ choices[1] }}|{{ options[0][0] }}|{{ hint }}|{{ metadata['not a name'] }}"
    )
    assert render(template)[0].content == "7|geography|Paris|A|Seine|1"


def test_the_system_turn_comes_first_and_may_be_a_template() -> None:
    fixed, _ = render("{{ input }}", system="Be brief.")
    made, _ = render("{{ input }}", system="You know {{ topic }}.")
    assert (fixed, made) == (Message("system", "Be brief."), Message("system", "You know geography."))


def test_no_template_can_give_the_answer_away() -> None:
    with pytest.raises(SpecError, match=r"item '7'.*'expected' is undefined"):
        render("{{ expected }}")


def test_a_field_of_an_item_wins_over_metadata_of_that_name() -> None:
    assert render("{{ input }}", Item(id="1", input="real", metadata={"input": "other"}))[0].content == "real"


@pytest.mark.parametrize("template", ["{{ input", "{% for x in y %}", "{{ input | nosuchfilter }}"])
def test_an_invalid_template_is_refused_at_once(template: str) -> None:
    with pytest.raises(SpecError, match="not a valid jinja2 template"):
        Renderer(PromptPlan(template=template))


def test_a_template_cannot_reach_out_of_its_sandbox() -> None:
    with pytest.raises(SpecError):
        render("{{ ''.__class__.__mro__[1].__subclasses__() }}")


def test_a_failure_while_rendering_survives_pickling() -> None:
    with pytest.raises(SpecError) as caught:
        render("{{ nothing }}")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_the_key_is_the_hash_of_the_text() -> None:
    messages = render("{{ input }}", system="s")
    text = prompt_text(messages)
    assert text == '[{"role":"system","content":"s"},{"role":"user","content":"Capital of France?"}]'
    assert prompt_key(messages) == blake2b(text.encode(), digest_size=16).hexdigest()
    assert prompt_key(messages) != prompt_key(render("{{ input }}"))


def test_messages_are_rendered_turn_by_turn_after_the_system() -> None:
    turns = (Message("user", "{{ input }}"), Message("assistant", "{{ hint }}?"), Message("user", "Go on."))
    made = Renderer(PromptPlan(system="s", messages=turns)).render(ITEM)
    assert [(turn.role, turn.content) for turn in made] == [
        ("system", "s"),
        ("user", "Capital of France?"),
        ("assistant", "Seine?"),
        ("user", "Go on."),
    ]
