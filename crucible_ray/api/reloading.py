"""The functions of an experiment that is gone on with: read again from its file, and still the same."""

from __future__ import annotations

from pathlib import Path

from crucible_ray.api.places import reread
from crucible_ray.errors import UsageError
from crucible_ray.experiment.defaults import own_parser, parse_words
from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.reading import own_parsers
from crucible_ray.experiment.sources import source_hash
from crucible_ray.experiment.spec import Experiment, Function, condition_name, conditions_of
from crucible_ray.runtime.code import Code, Functions


def code_of(experiment: Experiment, base: Path) -> Code:
    """The functions and own parsers of an experiment, ready to travel. base: the experiment's folder."""
    folders = tuple(dict.fromkeys(map(str, (base.resolve(), Path.cwd()))))
    return Code({**_functions(experiment), **parsers_of(experiment)}, folders)


def parsers_of(experiment: Experiment) -> Functions:
    """Its own parsers alone, as a Code has them."""
    return {f"parse {text}": function for text, function in own_parsers(experiment).items()}


def _functions(experiment: Experiment) -> Functions:
    return {
        f"function {condition_name(each)}": each.function
        for each in conditions_of(experiment)
        if isinstance(each, Function)
    }


def reload_code(plan: Plan, results: Path) -> Code:
    """The functions of a recorded plan, from its file. Raises UsageError where they are gone or others now."""
    parsers = [parse for each in plan.conditions for parse in (each.parse, *each.parses) if own_parser(parse)]
    asked = [condition for condition in plan.conditions if condition.function is not None]
    if not asked and not parsers:
        return Code({})
    wanted = [f"function {each.name}" for each in asked]
    wanted += [f"parse {parse_words(each)}" for each in dict.fromkeys(parsers)]
    found, experiment = reread(plan, results, ", ".join(wanted))
    there = {condition_name(each): each for each in conditions_of(experiment)}
    for condition in asked:
        assert condition.function is not None
        now = there.get(condition.name)
        if not isinstance(now, Function) or source_hash(now.function) != condition.function.source:
            raise UsageError(
                f"{found}: the function of condition {condition.name!r} is not the one that {results} ran, so this is "
                "another experiment now: run it anew, or bring the function back."
            )
    gone = [own_parser(each) for each in parsers if each not in own_parsers(experiment)]
    if gone:
        raise UsageError(
            f"{found}: parse = {gone[0]}() is not the function that {results} ran, so this is another experiment now: run it "
            "anew, bring the function back, or read what is stored with rescore --experiment."
        )
    return code_of(experiment, found.parent)
