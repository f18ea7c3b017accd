"""From `file.py`, `file.py:name`, `package.module:name` or `file.toml` to an experiment."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from crucible_ray.errors import SpecError
from crucible_ray.experiment.adjusting import override, read_text, set_fields
from crucible_ray.experiment.declarative import read_toml
from crucible_ray.experiment.modules import (
    existing_file,
    file_module,
    named_module,
    run_theirs,
    split_reference,
)
from crucible_ray.experiment.spec import Experiment
from crucible_ray.settings import did_you_mean

__all__ = ["Loaded", "load_experiment", "override"]

_DEFAULT_NAME = "experiment"


@dataclass(frozen=True)
class Loaded:
    """An experiment and where it was found."""

    experiment: Experiment
    path: Path
    """Its file, absolute: datasets' paths are relative to its folder."""
    name: str | None
    """Its name in that file; None for TOML."""
    params: Mapping[str, str] = field(default_factory=dict)
    """What `-P` bound."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """What else the command line said about the experiment, by option."""


def load_experiment(ref: str, params: Mapping[str, str] | None = None) -> Loaded:
    """Find an experiment and bind `params` to its function's arguments, else to dotted fields.

    Raises SpecError: for a file of its author's that fails, with their own frames only.
    """
    params = params or {}
    place, name = split_reference(ref)
    if place.endswith(".toml"):
        if name is not None:
            raise SpecError((f"{ref}: a TOML file holds one experiment; leave out :{name}.",))
        path = existing_file(place)
        return Loaded(set_fields(read_toml(path), params), path, None, params)
    if not place.endswith(".py") and Path(place).expanduser().is_file():
        raise SpecError((f"{place} is no experiment: one is a .py or a .toml file.",))
    module = file_module(existing_file(place)) if place.endswith(".py") else named_module(place, ref)
    found, name = _find(module, name, place)
    path = Path(module.__file__ or place).resolve()
    if isinstance(found, Experiment):
        return Loaded(set_fields(found, params), path, name, params)
    return Loaded(_call(found, params, f"{place}:{name}"), path, name, params)


def _find(module: ModuleType, name: str | None, place: str) -> tuple[Any, str]:
    names = {key: value for key, value in vars(module).items() if isinstance(value, Experiment)}
    if name is not None:
        found = getattr(module, name, None)
        if isinstance(found, Experiment) or inspect.isfunction(found):
            return found, name
        what = (
            f"{name} is no experiment but {type(found).__name__}"
            if hasattr(module, name)
            else f"there is no {name!r}"
        )
        hint = f": {did_you_mean(name, names)}" if names else "."
        raise SpecError((f"{place}: {what}{hint}",))
    default = getattr(module, _DEFAULT_NAME, None)
    if isinstance(default, Experiment) or inspect.isfunction(default):
        return default, _DEFAULT_NAME
    if len(names) == 1:
        ((only, experiment),) = names.items()
        return experiment, only
    if names:
        raise SpecError((f"{place} holds several experiments: name one, as {place}:{next(iter(names))}.",))
    raise SpecError((f"{place} holds no experiment: assign one, experiment = Experiment(...).",))


def _call(function: Callable[..., Any], params: Mapping[str, str], place: str) -> Experiment:
    """Bind what the function takes, set the rest as fields of what it returns."""
    signature = inspect.signature(function)
    hints = get_type_hints(function)
    problems: list[str] = []
    arguments: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in params:
            try:
                arguments[name] = read_text(params[name], hints.get(name, _kind_of(parameter.default)), name)
            except SpecError as error:
                problems += error.problems
        elif parameter.default is parameter.empty:
            problems.append(f"{place} needs {name}: add -P {name}=...")
    rest = {name: text for name, text in params.items() if name not in signature.parameters}
    if problems:
        raise SpecError(tuple(problems))
    made = run_theirs(lambda: function(**arguments), place)
    if not isinstance(made, Experiment):
        raise SpecError((f"{place} returned {type(made).__name__}, no Experiment.",))
    return set_fields(made, rest)


def _kind_of(default: Any) -> Any:
    """The type that an argument without an annotation is read as."""
    return str if default is None or default is inspect.Parameter.empty else type(default)
