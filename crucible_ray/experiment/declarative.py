"""An experiment written in TOML: field for field what `spec` says, `type` naming the kind of a condition."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final

from crucible_ray.errors import SpecError
from crucible_ray.experiment.hypothesis import Hypothesis
from crucible_ray.experiment.modules import load_function, names_function
from crucible_ray.experiment.spec import (
    Analysis,
    Budget,
    Condition,
    Dataset,
    Ensemble,
    Experiment,
    FewShot,
    Function,
    Looks,
    Model,
    option_problems,
)
from crucible_ray.experiment.validation import problems_of
from crucible_ray.settings import did_you_mean

_TYPES: Final[dict[str, type[Model] | type[Ensemble] | type[Function]]] = {
    "model": Model,
    "ensemble": Ensemble,
    "function": Function,
}
_LATER_TYPES: Final = ("hedge",)
_UNNAMED: Final = "?"
"""Stands for a required text that is missing, so that the rest is still checked."""


def read_toml(path: Path) -> Experiment:
    """The experiment of a TOML file. Raises SpecError with every fault of the file."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SpecError((f"{path} cannot be read: {error}",)) from error
    problems: list[str] = []
    experiment = _experiment(content, path.parent, problems)
    problems += [each for each in problems_of(experiment) if each not in problems]
    if problems:
        raise SpecError(tuple(f"{path}: {each}" for each in problems))
    return experiment


def _experiment(content: Mapping[str, Any], folder: Path, problems: list[str]) -> Experiment:
    values = dict(content)
    if "conditions" in values:
        values["conditions"] = _each(
            values["conditions"], "conditions", partial(_condition, folder), problems
        )
    values = _with_parser(values, folder, "", problems)
    for name, kind in (("budget", Budget), ("analysis", Analysis), ("few_shot", FewShot)):
        if name in values:
            values[name] = _table(values[name], kind, name, problems)
    if isinstance(values.get("stop_when"), dict):
        values["stop_when"] = _table(values["stop_when"], Looks, "stop_when", problems)
    if "dataset" in values:
        values["dataset"] = _dataset(values["dataset"], "dataset", problems)
    if "hypotheses" in values:
        values["hypotheses"] = _each(values["hypotheses"], "hypotheses", _hypothesis, problems)
    made = _make(Experiment, values, "", problems)
    assert isinstance(made, Experiment)
    return made


def _dataset(content: Any, where: str, problems: list[str]) -> Any:
    """A name, a table, a list of both, or a list of records: these have no `source`."""
    if isinstance(content, dict):
        return _table(content, Dataset, where, problems)
    if isinstance(content, list) and any(isinstance(each, str) or "source" in each for each in content):
        return _each(content, where, _dataset, problems)
    return content


def _each(content: Any, name: str, read: Any, problems: list[str]) -> Any:
    """A list, each part read; anything else is left for the check of values."""
    if not isinstance(content, list):
        return content
    parts = [read(part, f"{name}[{number}]", problems) for number, part in enumerate(content)]
    return [part for part in parts if part is not None]


def _condition(folder: Path, content: Any, where: str, problems: list[str]) -> Condition | None:
    if not isinstance(content, dict):
        problems.append(f'{where} must be a table with type = "model", "ensemble" or "function".')
        return None
    values = _with_parser(dict(content), folder, f"{where}: ", problems)
    guess = "ensemble" if "members" in values else "function" if "function" in values else "model"
    kind = values.pop("type", guess)
    faults = problems
    if kind not in _TYPES:
        why = (
            "is not supported by this version."
            if kind in _LATER_TYPES
            else f"does not exist: {did_you_mean(str(kind), _TYPES)}"
        )
        problems.append(f"{where}: type = {kind!r} {why}")
        # It stays as what was meant, so that what names it does not miss it; of a mere guess options are not judged.
        near = get_close_matches(str(kind), _TYPES, n=1)
        kind, faults = (near[0], problems) if near else (guess, [])
    if _TYPES[kind] is Ensemble and "members" in values:
        values["members"] = _each(values["members"], f"{where}: members", partial(_member, folder), problems)
    if "few_shot" in values:
        values["few_shot"] = _table(values["few_shot"], FewShot, f"{where}: few_shot", problems)
    if _TYPES[kind] is Model and isinstance(values.get("fallback"), list | dict):
        given = values["fallback"]
        spares = given if isinstance(given, list) else [given]
        values["fallback"] = _each(spares, f"{where}: fallback", partial(_member, folder), problems)
    if _TYPES[kind] is Function and "function" in values:
        values["function"] = _function(values["function"], folder, where, problems)
    made = _make(_TYPES[kind], values, where, faults)
    assert isinstance(made, Condition)
    return made


def _member(folder: Path, content: Any, where: str, problems: list[str]) -> Any:
    if not isinstance(content, dict):
        return content
    return _condition(folder, content, where, problems)


def _function(ref: Any, folder: Path, where: str, problems: list[str]) -> Any:
    """The function that is named; where there is none, what was written is left for the check of values."""
    if not isinstance(ref, str):
        problems.append(f'{where}: function must be a text such as "file.py:name".')
        return _nothing
    try:
        return load_function(ref, folder)
    except SpecError as error:
        problems += [f"{where}: function: {each}" for each in error.problems]
        return _nothing


def _with_parser(values: dict[str, Any], folder: Path, where: str, problems: list[str]) -> dict[str, Any]:
    """The values with the function that a `parse` names in its place."""
    parse = values.get("parse")
    if not isinstance(parse, str) or not names_function(parse):
        return values
    try:
        return {**values, "parse": load_function(parse, folder)}
    except SpecError as error:
        problems += [f"{where}parse: {each}" for each in error.problems]
        return {name: value for name, value in values.items() if name != "parse"}


def _nothing(item: Any, call: Any) -> None:
    """Stands for a function that could not be found, so that the rest is still checked."""


def _hypothesis(content: Any, where: str, problems: list[str]) -> Any:
    return _table(content, Hypothesis, where, problems) if isinstance(content, dict) else content


def _table(content: Any, kind: type, where: str, problems: list[str]) -> Any:
    if not isinstance(content, dict):
        problems.append(f"{where} must be a table.")
        return None
    return _make(kind, content, where, problems)


def _make(kind: type, values: Mapping[str, Any], where: str, problems: list[str]) -> Any:
    """A value of what is known among these options; what is not, or is missing, becomes a problem."""
    place = f"{where}: " if where else ""
    problems += [f"{place}{each}" for each in option_problems(kind, values)]
    known = {each.name: each for each in fields(kind)}
    options = {name: value for name, value in values.items() if name in known}
    for name, field in known.items():
        if field.default is MISSING and name not in options:
            problems.append(f"{place}{kind.__name__}: {name} is missing.")
            options[name] = _UNNAMED
    return kind(**options)
