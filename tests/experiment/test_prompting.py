from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crucible_ray.errors import SpecError
from crucible_ray.experiment.adjusting import set_fields
from crucible_ray.experiment.plan import ConditionPlan
from crucible_ray.experiment.prompting import most_shots
from crucible_ray.experiment.spec import Ensemble, Experiment, FewShot, Model
from crucible_ray.experiment.validation import problems_of
from crucible_ray.records import Item, Message
from tests.experiment.plans import ITEMS, plan_of

ASK = [{"role": "user", "content": "{{ input }}"}]
SPOKEN = [{"role": "system", "content": "Be brief."}, *ASK]


def _one(condition: Model | Ensemble, **changes: Any) -> ConditionPlan:
    return plan_of(conditions=[condition], hypotheses=[], **changes).conditions[0]


def _problems(**options: Any) -> str:
    return "\n".join(problems_of(Experiment(name="x", dataset="demo", conditions=[Model("m")], **options)))


def test_the_nearest_prompt_or_messages_win_as_a_whole() -> None:
    assert _one(Model("gpt4o"), messages=ASK).prompt.messages == (Message("user", "{{ input }}"),)
    nearer = _one(Model("gpt4o", prompt="{{ id }}"), messages=SPOKEN).prompt
    assert (nearer.template, nearer.messages, nearer.system) == ("{{ id }}", (), None)
    nearer = _one(Model("gpt4o", messages=ASK), prompt="{{ id }}").prompt
    assert (nearer.template, len(nearer.messages)) == (None, 1)


def test_a_system_turn_of_messages_is_the_system_of_its_level() -> None:
    assert _one(Model("gpt4o"), messages=SPOKEN).prompt.system == "Be brief."
    assert _one(Model("gpt4o", messages=SPOKEN), system="Far.").prompt.system == "Be brief."
    assert _one(Model("gpt4o", system="Near."), messages=SPOKEN).prompt.system == "Near."
    assert _one(Model("gpt4o", messages=ASK), system="Far.").prompt.system == "Far."


def test_a_member_keeps_only_what_differs_from_its_ensemble() -> None:
    same, own = _one(
        Ensemble(["gpt4o", Model("gpt4o", system="x", parse="json:a")], prompt="{{ id }}"), parse="choice"
    ).calls
    assert (same.prompt, same.parse) == (None, None)
    assert own.prompt is not None
    assert (own.prompt.template, own.prompt.system, own.parse) == ("{{ id }}", "x", "json:a")


def test_the_nearest_few_shot_wins_and_zero_takes_it_away() -> None:
    pool = tuple(Item(id=f"p{k}", input=f"p{k}", expected="A") for k in range(4))
    far = _one(Model("gpt4o"), few_shot=FewShot(3), seed=9, examples=pool).prompt.few_shot
    assert far is not None
    assert (far.k, far.seed, far.answer, far.pool) == (3, 9, "{{ expected }}", pool)
    near = _one(Model("gpt4o", few_shot=FewShot(1, seed=4)), few_shot=FewShot(3)).prompt.few_shot
    assert near is not None
    assert (near.k, near.seed) == (1, 4)
    assert _one(Model("gpt4o", few_shot=FewShot(0)), few_shot=FewShot(3)).prompt.few_shot is None


def test_as_many_examples_are_set_aside_as_any_level_shows() -> None:
    conditions = [Ensemble([Model("m", few_shot=FewShot(7))], few_shot=FewShot(2))]
    assert most_shots(Experiment(name="x", conditions=conditions, few_shot=FewShot(1))) == 7
    assert most_shots(Experiment(name="x", conditions=[Model("m")])) == 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"messages": ASK, "prompt": "x"}, "there is a prompt as well"),
        ({"messages": SPOKEN, "system": "x"}, "stand on one level"),
        ({"messages": []}, "must be a list of turns"),
        ({"messages": ["x"]}, r"messages[0] is a str"),
        ({"messages": [{"role": "usr", "content": "x"}]}, "messages[0].role = 'usr'"),
        ({"messages": [{"role": "user", "contnt": "x"}]}, "did you mean 'content'?"),
        ({"messages": [{"role": "user", "content": "{{"}]}, "messages[0].content is not a valid jinja2"),
        ({"messages": [*ASK, SPOKEN[0]]}, "can only be the first"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "must be the user's"),
        ({"few_shot": 3}, "write FewShot(k)"),
        ({"few_shot": FewShot(-1)}, "few_shot.k = -1"),
        ({"few_shot": FewShot(1, answer="{{")}, "few_shot.answer is not a valid jinja2"),
        ({"parse": "json:"}, "name the field"),
        ({"parse": "(a)(b)"}, "needs one group"),
        ({"parse": "first-letter"}, "did you mean 'first_letter'?"),
        ({"parse": "boolen"}, "did you mean 'boolean'?"),
        ({"normalize": "numerc"}, "did you mean 'numeric'?"),
    ],
    ids=str,
)
def test_a_prompt_that_cannot_be_meant_is_refused(options: dict[str, Any], why: str) -> None:
    assert why in _problems(**options)


@pytest.mark.parametrize(
    "options", [{"messages": SPOKEN}, {"parse": "json:a.b"}, {"parse": r"so: (\w+)"}], ids=str
)
def test_a_prompt_that_can_be_meant_is_not(options: dict[str, Any]) -> None:
    assert _problems(**options) == ""


def test_a_member_that_needs_choices_is_refused_by_its_name() -> None:
    plain = [Item(id="1", input="?", expected="x")]
    condition = Ensemble([Model("gpt4o", parse="choice")], name="e", parse="text")
    with pytest.raises(SpecError, match="Condition 'e', member 'gpt4o': parse = 'choice' needs choices"):
        plan_of(items=plain, conditions=[condition], hypotheses=[])


def test_each_way_to_ask_and_to_read_is_another_experiment() -> None:
    ways: list[dict[str, Any]] = [
        {},
        {"messages": ASK},
        {"few_shot": FewShot(1)},
        {"few_shot": FewShot(2)},
        {"few_shot": FewShot(1, seed=5)},
        {"few_shot": FewShot(1, answer="x")},
        {"few_shot": FewShot(1), "examples": tuple(ITEMS)},
        {"parse": r"(\w)"},
        {"normalize": "numeric"},
        {"conditions": [Model("gpt4o"), Ensemble([Model("gpt4o", system="x")])], "hypotheses": []},
        {"conditions": [Model("gpt4o"), Ensemble([Model("gpt4o", parse="text")])], "hypotheses": []},
        {"conditions": [Model("gpt4o"), Ensemble(["gpt4o"])], "hypotheses": []},
    ]
    assert len({plan_of(**changes).experiment_id for changes in ways}) == len(ways)


def test_few_shot_is_set_from_the_command_line() -> None:
    plain = Experiment(name="x", conditions=[Model("m")])
    assert set_fields(plain, {"few_shot.k": "3"}).few_shot == FewShot(3)
    shown = replace(plain, few_shot=FewShot(1, answer="a"))
    assert set_fields(shown, {"few_shot.k": "3"}).few_shot == FewShot(3, answer="a")
    with pytest.raises(SpecError, match="messages cannot be set as a whole"):
        set_fields(plain, {"messages": "x"})
