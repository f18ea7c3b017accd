"""The functions of an experiment that is gone on with: read again from its file, and still the same."""

from __future__ import annotations

from pathlib import Path

from crucible_ray.api.places import reread
from crucible_ray.errors import UsageError
from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.sources import source_hash
from crucible_ray.experiment.spec import Condition, Function, condition_name, conditions_of
from crucible_ray.runtime.code import Code, Functions


def code_of(conditions: tuple[Condition, ...], base: Path) -> Code:
    """The functions of these conditions, ready to travel. base: the experiment's folder."""
    folders = tuple(dict.fromkeys(map(str, (base.resolve(), Path.cwd()))))
    return Code(_functions(conditions), folders)


def _functions(conditions: tuple[Condition, ...]) -> Functions:
    return {
        f"function {condition_name(each)}": each.function for each in conditions if isinstance(each, Function)
    }


def reload_code(plan: Plan, results: Path) -> Code:
    """The functions of a recorded plan, from its file. Raises UsageError where they are gone or others now."""
    asked = [condition for condition in plan.conditions if condition.function is not None]
    if not asked:
        return Code({})
    found, experiment = reread(plan, results, ", ".join(f"function {each.name}" for each in asked))
    conditions = conditions_of(experiment)
    there = {condition_name(each): each for each in conditions}
    for condition in asked:
        assert condition.function is not None
        now = there.get(condition.name)
        if not isinstance(now, Function) or source_hash(now.function) != condition.function.source:
            raise UsageError(
                f"{found}: the function of condition {condition.name!r} is not the one that {results} ran, so this is "
                "another experiment now: run it anew, or bring the function back."
            )
    return code_of(conditions, found.parent)
