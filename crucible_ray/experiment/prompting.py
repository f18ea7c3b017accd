"""What an experiment says about its prompts: checked, and resolved so that the nearest level wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from crucible_ray.experiment.defaults import default_template
from crucible_ray.experiment.plan import FewShotPlan, PromptPlan
from crucible_ray.experiment.spec import Ensemble, Experiment, FewShot, Model
from crucible_ray.records import Item, Message
from crucible_ray.settings import did_you_mean

ROLES: Final = ("system", "user", "assistant")
Level = Experiment | Model | Ensemble
"""Whoever may bring a prompt."""


def prompt_plan(
    levels: Sequence[Level], *, items: Sequence[Item], seed: int, examples: Sequence[Item]
) -> PromptPlan:
    """The prompt of a call; `levels` from the nearest to the farthest, all of them checked.

    `prompt` and `messages` stand for each other, `system` stands beside either, and a system turn of
    `messages` counts as the `system` of its level. seed: the experiment's. examples: the pool of `few_shot`.
    """
    asking = next((each for each in levels if each.prompt is not None or each.messages is not None), None)
    systems = [system for each in levels if (system := _system(each, asking)) is not None]
    messages = () if asking is None else _read(asking.messages)
    template = None if asking is None else asking.prompt
    return PromptPlan(
        template=template or (None if messages else default_template(items)),
        system=systems[0] if systems else None,
        messages=tuple(turn for turn in messages if turn.role != "system"),
        few_shot=_few_shot(levels, seed, examples),
    )


def asking_turns(level: Level) -> tuple[Message, ...]:
    """The turns that one level brings, all of them templates."""
    return _read(level.messages) if level.prompt is None else (Message("user", level.prompt),)


def most_shots(experiment: Experiment) -> int:
    """The most examples that any prompt of the experiment shows; 0: none shows any."""
    given = [each.few_shot for each in _levels(experiment) if each.few_shot is not None]
    return max((few.k for few in given), default=0)


def question_of(item: Item) -> str:
    """What makes two items the same question: the words of their input."""
    return " ".join(item.input.casefold().split())


def prompt_problems(value: Level, where: str) -> list[str]:
    """Every fault of one level's prompt, system, messages and few_shot."""
    problems = []
    for name, template in (("prompt", value.prompt), ("system", value.system)):
        if isinstance(template, str):
            problems += _template_problems(f"{where}{name}", template)
    if value.messages is not None:
        problems += _message_problems(value.messages, f"{where}messages")
        if value.prompt is not None:
            problems.append(f"{where}messages: there is a prompt as well; a level has one of the two.")
        if value.system is not None and _has_system(value.messages):
            problems.append(f"{where}messages: their system turn and system stand on one level; drop one.")
    if isinstance(value.few_shot, FewShot) and isinstance(value.few_shot.answer, str):
        problems += _template_problems(f"{where}few_shot.answer", value.few_shot.answer)
    return problems


def _levels(experiment: Experiment) -> list[Level]:
    members = [
        member
        for condition in experiment.conditions
        if isinstance(condition, Ensemble)
        for member in condition.members
        if isinstance(member, Model)
    ]
    conditions = [each for each in experiment.conditions if isinstance(each, Model | Ensemble)]
    return [experiment, *conditions, *members]


def _system(level: Level, asking: Level | None) -> str | None:
    """The system turn that one level brings; messages that a nearer level replaced bring none."""
    if level.system is None and level is asking:
        return next((turn.content for turn in _read(level.messages) if turn.role == "system"), None)
    return level.system


def _few_shot(levels: Sequence[Level], seed: int, examples: Sequence[Item]) -> FewShotPlan | None:
    few = next((each.few_shot for each in levels if each.few_shot is not None), None)
    if few is None or few.k == 0:
        return None
    return FewShotPlan(
        k=few.k, seed=seed if few.seed is None else few.seed, answer=few.answer, pool=tuple(examples)
    )


def _read(messages: Any) -> tuple[Message, ...]:
    return tuple(
        turn if isinstance(turn, Message) else Message(turn["role"], turn["content"])
        for turn in messages or ()
    )


def _has_system(messages: Any) -> bool:
    return not _message_problems(messages, "") and any(turn.role == "system" for turn in _read(messages))


def _message_problems(messages: Any, place: str) -> list[str]:
    if not isinstance(messages, tuple) or not messages:
        return [f'{place} must be a list of turns: [{{"role": "user", "content": "..."}}].']
    problems = []
    for number, turn in enumerate(messages):
        problems += _turn_problems(turn, f"{place}[{number}]")
    if problems:
        return problems
    roles = [turn.role for turn in _read(messages)]
    if "system" in roles[1:]:
        problems.append(f"{place}: a system turn can only be the first, and only one.")
    said = [role for role in roles if role != "system"]
    if said[:1] != ["user"]:
        problems.append(f"{place}: the first turn after the system's must be the user's.")
    return problems


def _turn_problems(turn: Any, place: str) -> list[str]:
    if isinstance(turn, Message):
        turn = {"role": turn.role, "content": turn.content}
    if not isinstance(turn, Mapping):
        return [f'{place} is a {type(turn).__name__}: write {{"role": "user", "content": "..."}}.']
    problems = [
        f"{place}: there is no field {name!r}: {did_you_mean(str(name), ('role', 'content'))}"
        for name in turn
        if name not in ("role", "content")
    ]
    role, content = turn.get("role"), turn.get("content")
    if role not in ROLES:
        problems.append(f"{place}.role = {role!r}: must be one of {', '.join(ROLES)}.")
    if not isinstance(content, str) or not content:
        problems.append(f"{place}.content must be a text: a jinja2 template.")
    else:
        problems += _template_problems(f"{place}.content", content)
    return problems


def _template_problems(place: str, template: str) -> list[str]:
    from jinja2 import Environment, TemplateSyntaxError

    try:
        Environment().parse(template)
    except TemplateSyntaxError as error:
        return [f"{place} is not a valid jinja2 template (line {error.lineno}): {error.message}"]
    return []
