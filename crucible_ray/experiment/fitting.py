"""Whether what an experiment asks fits the items that it is asked about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crucible_ray.errors import SpecError
from crucible_ray.experiment.prompting import Level, asking_turns
from crucible_ray.experiment.spec import (
    Ensemble,
    Experiment,
    Function,
    Model,
    condition_name,
    conditions_of,
)
from crucible_ray.records import Item


def check_items(experiment: Experiment, items: Sequence[Item]) -> None:
    """Refuse what cannot be asked about these items. Raises SpecError with every fault."""
    problems = [] if items else ["The dataset holds no items."]
    mixed = _mixed(items)
    for where, levels in _asking(experiment):
        parse = next((level.parse for level in levels if level.parse is not None), None)
        templates = _templates(levels)
        if mixed and (parse is None or not templates):
            problems.append(f"{where}: some items have choices and some not: set prompt and parse.")
        bare = next((item for item in items if not item.choices), None)
        if parse == "choice" and bare is not None:
            problems.append(f"{where}: parse = 'choice' needs choices; item {bare.id!r} has none.")
        if experiment.dataset is None:
            problems += _empty_problems(where, templates)
    if problems:
        raise SpecError(tuple(problems))


def _mixed(items: Sequence[Item]) -> bool:
    """Whether one dataset holds items with choices and items without: more likely a fault than a wish."""
    return len({(item.dataset, bool(item.choices)) for item in items}) > len({item.dataset for item in items})


def _templates(levels: Sequence[Level]) -> list[str]:
    """What the nearest prompt or messages say; empty where there are none."""
    for level in levels:
        if level.prompt is not None or level.messages is not None:
            return [turn.content for turn in asking_turns(level)]
    return []


def _empty_problems(where: str, templates: Sequence[str]) -> list[str]:
    """Without a dataset there is nothing for a template to show."""
    if not templates:
        return [f"{where}: without a dataset there is nothing to ask: set prompt, or dataset."]
    from jinja2 import Environment, meta

    parsed = [Environment().parse(template) for template in templates]
    used = set().union(*map(meta.find_undeclared_variables, parsed)) & {"input", "choices", "options"}
    return [
        f"{where}: its prompt uses {name}, and there is no dataset to take it from." for name in sorted(used)
    ]


def _asking(experiment: Experiment) -> Iterator[tuple[str, tuple[Level, ...]]]:
    """Whoever asks by a template: each condition, and each member with something of its own."""
    for condition in conditions_of(experiment):
        if isinstance(condition, Function):
            continue  # it asks what it likes
        where = f"Condition {condition_name(condition)!r}"
        yield where, (condition, experiment)
        for member in condition.members if isinstance(condition, Ensemble) else ():
            if isinstance(member, Model) and (member.parse or member.prompt or member.messages):
                yield f"{where}, member {condition_name(member)!r}", (member, condition, experiment)
