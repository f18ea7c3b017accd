"""Small changes to an experiment from outside: flags, and dotted fields (`-P budget.max_total=2`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_type_hints

import msgspec

from crucible_ray.errors import SpecError
from crucible_ray.experiment.spec import (
    Analysis,
    Budget,
    Condition,
    Dataset,
    Experiment,
    FewShot,
    condition_name,
    has_several,
)
from crucible_ray.settings import did_you_mean, explain

_PARTS: dict[str, Callable[[], Any]] = {
    "budget": Budget,
    "analysis": Analysis,
    "few_shot": lambda: FewShot(0),
}
"""Parts of an experiment that come into being when a field of theirs is set."""


def override(
    experiment: Experiment,
    *,
    sample_size: int | None = None,
    repeat: int | None = None,
    seed: int | None = None,
    max_cost: float | None = None,
) -> Experiment:
    """The experiment with what the command line says; None leaves a field as it is.

    max_cost: US dollars over the whole run, which then stops at the budget.
    """
    given = {"sample_size": sample_size, "repeat": repeat, "seed": seed}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if sample_size is not None:
        changes["dataset"] = _without_sizes(experiment.dataset)
    if max_cost is not None:
        changes["budget"] = replace(experiment.budget or Budget(), max_total=max_cost, abort_on_exceed=True)
    return replace(experiment, **changes)


def _without_sizes(dataset: Any) -> Any:
    """The same without a dataset's own size of sample, which would win over the experiment's."""
    if has_several(dataset):
        return [_without_sizes(each) for each in dataset]
    return replace(dataset, sample_size=None) if isinstance(dataset, Dataset) else dataset


def set_fields(experiment: Experiment, values: Mapping[str, str]) -> Experiment:
    """Set dotted fields, each text read as its field's type.

    For example `repeat`, `budget.max_total`, `conditions.NAME.temperature`.
    Raises SpecError with every fault.
    """
    problems: list[str] = []
    for path, text in values.items():
        try:
            experiment = _set(experiment, path, path, text)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(tuple(problems))
    return experiment


def read_text(text: str, wanted: Any, place: str) -> Any:
    """A text as a value of a type. Raises SpecError, also for a comma list: a sweep."""
    if "," in text:
        raise SpecError((f"-P {place}={text}: lists of values (sweeps) are not supported by this version.",))
    try:
        return msgspec.convert(text, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise SpecError((f"-P {place}={text}: {explain(error, wanted)}",)) from error


def _set(value: Any, path: str, whole: str, text: str) -> Any:
    name, _, rest = path.partition(".")
    known = [each.name for each in fields(value)]
    if name not in known:
        raise SpecError((f"-P {whole}={text}: there is no field {name!r}: {did_you_mean(name, known)}",))
    content = getattr(value, name)
    if rest and name == "conditions":
        return replace(value, conditions=_set_condition(content, rest, whole, text))
    if rest:
        part = _PARTS[name]() if content is None and name in _PARTS else content
        if not is_dataclass(part):
            raise SpecError((f"-P {whole}={text}: {name} has no fields of its own.",))
        return replace(value, **{name: _set(part, rest, whole, text)})
    if name in (
        "conditions",
        "members",
        "fallback",
        "function",
        "hypotheses",
        "messages",
        "metrics",
        "extra",
        *_PARTS,
    ):
        raise SpecError(
            (f"-P {whole}={text}: {name} cannot be set as a whole from here; change it in the file.",)
        )
    if name in ("dataset", "source", "path"):
        return replace(value, **{name: text})
    return replace(
        value, **{name: read_text(text, get_type_hints(type(value), include_extras=True)[name], whole)}
    )


def _set_condition(
    conditions: tuple[Condition, ...], path: str, whole: str, text: str
) -> tuple[Condition, ...]:
    """A name may hold dots, so the longest one that fits is taken."""
    names = [condition_name(each) for each in conditions]
    fitting = [name for name in names if path.startswith(f"{name}.")]
    if not fitting:
        asked = path.rpartition(".")[0] or path
        raise SpecError(
            (f"-P {whole}={text}: no condition is called {asked!r}: {did_you_mean(asked, names)}",)
        )
    chosen = max(fitting, key=len)
    rest = path[len(chosen) + 1 :]
    return tuple(
        _set(each, rest, whole, text) if name == chosen else each
        for name, each in zip(names, conditions, strict=True)
    )
