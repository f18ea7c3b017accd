"""Whether what an experiment asks fits the items that it is asked about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import UNSET

from crucible_ray.errors import SpecError
from crucible_ray.experiment.prompting import Level, asking_turns
from crucible_ray.experiment.spec import (
    Analysis,
    Ensemble,
    Experiment,
    Function,
    Model,
    condition_name,
    conditions_of,
)
from crucible_ray.records import Item
from crucible_ray.settings import did_you_mean


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
    problems += _cluster_problems(experiment, items)
    if problems:
        raise SpecError(tuple(problems))


_OWN_FIELDS = ("topic", "difficulty", "dataset", "input", "expected")
"""Fields of every item that may be a cluster, beside what its source brought along."""


def field_of(item: Item, name: str) -> object:
    """What an item's field holds, one of its source's own included; None where it has none."""
    value = getattr(item, name) if name in _OWN_FIELDS else item.metadata.get(name)
    return None if value is UNSET else value


def _cluster_problems(experiment: Experiment, items: Sequence[Item]) -> list[str]:
    """Clusters are read off a field that every item has, and that has two values at least."""
    analysis: object = experiment.analysis
    name = analysis.cluster if isinstance(analysis, Analysis) else None
    if not isinstance(name, str) or not items:
        return []
    without = [item.id for item in items if field_of(item, name) is None]
    if len(without) == len(items):
        known = dict.fromkeys(
            [*(own for own in _OWN_FIELDS if field_of(items[0], own) is not None), *items[0].metadata]
        )
        return [f"analysis.cluster: no item has a field {name!r}: {did_you_mean(name, known)}"]
    if without:
        return [
            f"analysis.cluster: {len(without)} items have no {name!r}, the first of them {without[0]!r}: every item needs "
            "one."
        ]
    if len(items) > 1 and len({field_of(item, name) for item in items}) < 2:
        return [f"analysis.cluster: {name!r} is the same for all items: two clusters or more are needed."]
    return []


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
