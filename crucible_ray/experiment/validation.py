"""Every fault of an experiment at once, each with its place and the nearest valid name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any, Final

import msgspec

from crucible_ray.errors import SpecError
from crucible_ray.experiment.defaults import METRIC_NAMES, VOTE_KINDS
from crucible_ray.experiment.hypothesis import Hypothesis, plan_hypothesis
from crucible_ray.experiment.own import OwnMetric, own_metrics
from crucible_ray.experiment.spec import (
    Analysis,
    Budget,
    Condition,
    Dataset,
    Ensemble,
    Experiment,
    Function,
    Model,
    condition_name,
    conditions_of,
    has_several,
)
from crucible_ray.experiment.stopping import bounded_metrics, stopping_problems
from crucible_ray.experiment.values import level_problems, value_problems, word_problems
from crucible_ray.records import Item, ModelRef
from crucible_ray.settings import Settings, did_you_mean

Catalogue = Callable[[str, Settings], ModelRef]
"""Finds a model by name; raises SpecError where there is none. `models.resolve_model` is one."""

_PROMPTS: Final = ("messages", "few_shot")
"""Checked by rules of their own."""
_APART: Final = (
    *("dataset", "conditions", "metrics", "hypotheses", "budget", "analysis", "stop_when"),
    *_PROMPTS,
)
"""Of an experiment, the same."""
_EXECUTIONS: Final = ("parallel",)
_NAMED_OPTIONS: Final = {
    "messages": "prompt",
    "model": "model",
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
}


def validate(experiment: Experiment, settings: Settings, *, catalogue: Catalogue) -> None:
    """Check everything that needs no dataset. Raises SpecError with every fault."""
    problems = problems_of(experiment) + _model_problems(experiment, settings, catalogue)
    if problems:
        raise SpecError(tuple(problems))


def problems_of(experiment: Experiment) -> list[str]:
    """Every fault that shows without a catalogue of models."""
    return [
        *value_problems(experiment, "", skip=_APART),
        *level_problems(experiment, ""),
        *_metric_problems(experiment),
        *_dataset_problems(experiment.dataset),
        *_part_problems(experiment),
        *_condition_problems(experiment),
        *_hypothesis_problems(experiment),
        *stopping_problems(experiment),
    ]


def referenced_models(experiment: Experiment) -> list[str]:
    """Every model that is named, once each, in the order of the conditions."""
    named: list[object] = []
    for condition in conditions_of(experiment):
        if isinstance(condition, Function):
            continue  # its models are named as it runs
        members = condition.members if isinstance(condition, Ensemble) else (condition,)
        if isinstance(members, tuple):
            for each in members:
                named += (
                    [each.model, *(spare.model for spare in each.spares)]
                    if isinstance(each, Model)
                    else [each]
                )
    return list(dict.fromkeys(name for name in named if isinstance(name, str) and name))


def _model_problems(experiment: Experiment, settings: Settings, catalogue: Catalogue) -> list[str]:
    problems: list[str] = []
    for name in referenced_models(experiment):
        try:
            catalogue(name, settings)
        except SpecError as error:
            problems += error.problems
    return problems


def _metric_problems(experiment: Experiment) -> list[str]:
    given: Any = experiment.metrics
    if not isinstance(given, tuple):
        return [f"metrics = {given!r}: expected array of names and of functions under @metric."]
    own = [each.name for each in own_metrics(given)]
    problems = [
        f"metrics: {name!r} is a metric of crucible-ray: give yours another name."
        for name in own
        if name in METRIC_NAMES
    ]
    problems += [f"metrics: two are called {name!r}." for name in dict.fromkeys(own) if own.count(name) > 1]
    for number, each in enumerate(given):
        if not isinstance(each, str | OwnMetric):
            what = getattr(each, "__name__", repr(each))
            problems.append(f"metrics[{number}]: give a name, or write @metric(...) above {what}.")
        problems += word_problems(f"metrics[{number}]", each, METRIC_NAMES)
    return problems


def _dataset_problems(dataset: Any) -> list[str]:
    if isinstance(dataset, Dataset):
        nested = (
            []
            if dataset.source is not None and not isinstance(dataset.source, Dataset)
            else ["dataset: a Dataset's source is no Dataset, and not None."]
        )
        return nested + value_problems(dataset, "dataset.", skip=("source", "path", "filter"))
    if not has_several(dataset):
        return []
    if any(isinstance(each, Mapping | Item) or each is None for each in dataset):
        return ["dataset: a list holds either records or datasets, not both."]
    return [
        problem.replace("dataset", f"dataset[{number}]", 1)
        for number, each in enumerate(dataset)
        for problem in _dataset_problems(each)
    ]


def _part_problems(experiment: Experiment) -> list[str]:
    problems = []
    for name, kind in (("budget", Budget), ("analysis", Analysis)):
        part = getattr(experiment, name)
        if isinstance(part, kind):
            problems += value_problems(part, f"{name}.", skip=("custom",))
        elif part is not None:
            problems.append(f"{name} is a {type(part).__name__}: write {kind.__name__}(...).")
    analysis = experiment.analysis
    custom: Any = getattr(analysis, "custom", None)
    if custom is not None and not callable(custom):
        problems.append(
            "analysis.custom is no function: write def f(results) -> dict under @experiment.analysis."
        )
    names = _names(experiment)
    baseline = analysis.baseline if isinstance(analysis, Analysis) else None
    if isinstance(baseline, str) and baseline not in names:
        hint = _nearest(baseline, names)
        problems.append(f"analysis.baseline: no condition is called {baseline!r}: {hint}")
    return problems


def _names(experiment: Experiment) -> list[str]:
    return [condition_name(each) for each in conditions_of(experiment)]


def _nearest(name: str, names: list[str]) -> str:
    return did_you_mean(name, names) if names else "there are none."


def _condition_problems(experiment: Experiment) -> list[str]:
    if not isinstance(experiment.conditions, tuple):
        return ["conditions must be a list of Model(...), Ensemble(...) and functions."]
    if not experiment.conditions:
        return ["conditions: there is none; an experiment compares at least one Model(...) or Ensemble(...)."]
    problems = []
    for number, condition in enumerate(experiment.conditions):
        if isinstance(condition, Condition):
            place = f"conditions[{number}] ({condition_name(condition)}): "
            problems += _one_condition(condition, place)
        elif isinstance(condition, str):
            problems.append(f"conditions[{number}]: write Model({condition!r}).")
        else:
            what = type(condition).__name__
            problems.append(f"conditions[{number}]: {what} is not supported by this version as a condition.")
    return problems + _duplicate_names(experiment)


def _duplicate_names(experiment: Experiment) -> list[str]:
    named = [(k, each) for k, each in enumerate(experiment.conditions) if isinstance(each, Condition)]
    return [
        f"conditions[{i}] and conditions[{j}] are both called {condition_name(a)!r}: give one another name."
        for (i, a), (j, b) in combinations(named, 2)
        if condition_name(a) == condition_name(b)
    ]


def _one_condition(condition: Condition, place: str) -> list[str]:
    skipped = ("members", "function", "fallback", *_PROMPTS)
    problems = value_problems(condition, place, skip=skipped) + level_problems(condition, place)
    if isinstance(condition, Function):
        return problems + _function_problems(condition.function, place)
    if isinstance(condition, Model):
        return (
            problems + _extra_problems(condition.extra, place) + _fallback_problems(condition.fallback, place)
        )
    problems += word_problems(f"{place}vote", condition.vote, VOTE_KINDS)
    problems += word_problems(f"{place}execution", condition.execution, _EXECUTIONS)
    members = condition.members
    if not isinstance(members, tuple) or not members:
        return [*problems, f"{place}members must be a list of at least one model."]
    for number, member in enumerate(members):
        problems += _member_problems(member, f"{place}members[{number}]: ")
    if isinstance(condition.quorum, int) and condition.quorum > len(members):
        problems.append(f"{place}quorum = {condition.quorum}: there are only {len(members)} members.")
    return problems


def _function_problems(function: object, place: str) -> list[str]:
    if not callable(function):
        return [f"{place}function is a {type(function).__name__}: give a function of (item, call)."]
    try:
        inspect.signature(function).bind("item", "call")
    except TypeError as error:
        return [f"{place}the function has to take two arguments, item and call: {error}."]
    except ValueError:
        return []  # one without a signature, written in C
    return []


def _member_problems(member: object, place: str) -> list[str]:
    if isinstance(member, str):
        return [] if member else [f"{place}a model's name must not be empty."]
    if not isinstance(member, Model):
        what = "a function" if callable(member) or isinstance(member, Function) else type(member).__name__
        return [
            f"{place}{what} is not supported by this version as a member: name a model or write Model(...), or make the "
            "whole condition a function."
        ]
    problems = value_problems(member, place, skip=("fallback", *_PROMPTS)) + level_problems(member, place)
    if member.normalize is not None:
        problems.append(f"{place}normalize: a vote matches all answers alike: set it on the ensemble.")
    return problems + _extra_problems(member.extra, place) + _fallback_problems(member.fallback, place)


def _fallback_problems(fallback: object, place: str) -> list[str]:
    """What is wrong with the models that stand in; they take a name and options, no prompt and parser of their own."""
    problems = []
    for number, spare in enumerate(fallback if isinstance(fallback, tuple) else (fallback,)):
        where = f"{place}fallback[{number}]: " if isinstance(fallback, tuple) else f"{place}fallback: "
        if isinstance(spare, Model):
            own = (*_PROMPTS, "parse", "normalize", "fallback", "name")
            problems += [
                f"{where}{name}: a fallback is asked and read as the model that it stands in for."
                for name in own
                if getattr(spare, name, None) is not None
            ]
            problems += value_problems(spare, where, skip=own) + _extra_problems(spare.extra, where)
        elif spare is not None and not (isinstance(spare, str) and spare):
            problems.append(f"{where}name a model, or write Model(...).")
    return problems


def _extra_problems(extra: Mapping[str, Any] | None, place: str) -> list[str]:
    if not isinstance(extra, Mapping):
        return []
    problems = [
        f"{place}extra.{name}: use the option {_NAMED_OPTIONS[name]}."
        for name in extra
        if name in _NAMED_OPTIONS
    ]
    if "stream" in extra:
        problems.append(f"{place}extra.stream: streaming is not supported by this version.")
    try:
        msgspec.json.encode(extra)
    except (TypeError, ValueError) as error:
        problems.append(f"{place}extra cannot be written as JSON: {error}.")
    return problems


def _hypothesis_problems(experiment: Experiment) -> list[str]:
    if not isinstance(experiment.hypotheses, tuple):
        return ["hypotheses must be a list of texts or Hypothesis(...)."]
    problems = []
    names, bounded = _names(experiment), bounded_metrics(experiment)
    own = [each.name for each in own_metrics(experiment.metrics)]
    for number, hypothesis in enumerate(experiment.hypotheses):
        place = f"hypotheses[{number}]"
        if not isinstance(hypothesis, str | Hypothesis):
            problems.append(f"{place} is a {type(hypothesis).__name__}: write a text or Hypothesis(...).")
            continue
        try:
            plan = plan_hypothesis(hypothesis)
        except SpecError as error:
            problems += [f"{place}: {each}" for each in error.problems]
            continue
        problems += word_problems(f"{place}: metric", plan.metric, [*METRIC_NAMES, *own])
        problems += [
            f"{place}: no condition is called {side!r}: {_nearest(side, names)}"
            for side in (plan.a, plan.b)
            if side not in names
        ]
        if plan.a == plan.b:
            problems.append(f"{place}: it compares {plan.a!r} with itself.")
        if plan.margin >= 1 and plan.metric in bounded:
            problems.append(
                f"{place}: its margin of {plan.margin:g} can't be met, as {plan.metric} lies between 0 and 1: "
                f"{plan.margin:g} points are written {plan.margin / 100:g}."
            )
    return problems
