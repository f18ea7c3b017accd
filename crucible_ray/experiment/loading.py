"""From `file.py`, `file.py:name`, `package.module:name` or `file.toml` to an experiment."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar, get_type_hints

from crucible_ray.errors import SpecError
from crucible_ray.experiment.adjusting import override, read_text, set_fields
from crucible_ray.experiment.declarative import read_toml
from crucible_ray.experiment.spec import Experiment
from crucible_ray.settings import did_you_mean

__all__ = ["Loaded", "load_experiment", "override"]

_DEFAULT_NAME = "experiment"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Loaded:
    """An experiment and where it was found."""

    experiment: Experiment
    path: Path
    """Its file, absolute: datasets' paths are relative to its folder."""
    name: str | None
    """Its name in that file; None for TOML."""


def load_experiment(ref: str, params: Mapping[str, str] | None = None) -> Loaded:
    """Find an experiment and bind `params` to its function's arguments, else to dotted fields.

    Raises SpecError: for a file of its author's that fails, with their own frames only.
    """
    params = params or {}
    place, name = _split(ref)
    if place.endswith(".toml"):
        if name is not None:
            raise SpecError((f"{ref}: a TOML file holds one experiment; leave out :{name}.",))
        path = _existing(place)
        return Loaded(set_fields(read_toml(path), params), path, None)
    module = _file_module(_existing(place)) if place.endswith(".py") else _named_module(place, ref)
    found, name = _find(module, name, place)
    path = Path(module.__file__ or place).resolve()
    if isinstance(found, Experiment):
        return Loaded(set_fields(found, params), path, name)
    return Loaded(_call(found, params, f"{place}:{name}"), path, name)


def _split(ref: str) -> tuple[str, str | None]:
    place, colon, name = ref.rpartition(":")
    if colon and name.isidentifier() and len(place) > 1:
        return place, name
    return ref, None


def _existing(place: str) -> Path:
    path = Path(place).expanduser().resolve()
    if not path.is_file():
        near = (
            sorted(each.name for each in path.parent.glob(f"*{path.suffix}")) if path.parent.is_dir() else []
        )
        hint = f" {did_you_mean(path.name, near).capitalize()}" if near else ""
        raise SpecError((f"{place} does not exist.{hint}",))
    return path


def _file_module(path: Path) -> ModuleType:
    """Run a file as a module of its own, with its folder on the path as `python file.py` has it."""
    name = f"crucible_experiment_{blake2b(str(path).encode(), digest_size=6).hexdigest()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError((f"{path} cannot be run as Python.",))
    module = importlib.util.module_from_spec(spec)
    _on_path(path.parent)
    # Dataclasses and pickle look their module up by name, so it is there before it runs.
    sys.modules[name] = module
    _theirs(lambda: spec.loader.exec_module(module) if spec.loader else None, str(path))
    return module


def _named_module(place: str, ref: str) -> ModuleType:
    if not all(part.isidentifier() for part in place.split(".")):
        raise SpecError((f"{ref}: write file.py, file.py:name, package.module:name or file.toml.",))
    _on_path(Path.cwd())
    try:
        there = importlib.util.find_spec(place) is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        raise SpecError((f"{ref}: there is no module {place!r} here or among the installed packages.",))
    return _theirs(lambda: importlib.import_module(place), place)


def _on_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


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
    made = _theirs(lambda: function(**arguments), place)
    if not isinstance(made, Experiment):
        raise SpecError((f"{place} returned {type(made).__name__}, no Experiment.",))
    return set_fields(made, rest)


def _kind_of(default: Any) -> Any:
    """The type that an argument without an annotation is read as."""
    return str if default is None or default is inspect.Parameter.empty else type(default)


def _theirs(run: Callable[[], _T], place: str) -> _T:
    """Run an author's code; what it raises becomes a SpecError with their frames alone."""
    try:
        return run()
    except SpecError as error:
        frames = _own_frames(error)
        where = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else place
        raise SpecError(tuple(f"{where}: {each}" for each in error.problems)) from error
    except SyntaxError as error:
        text = f"\n    {error.text.strip()}" if error.text else ""
        raise SpecError((f"{error.filename or place}, line {error.lineno}: {error.msg}{text}",)) from error
    except Exception as error:
        shown = "".join(traceback.format_list(_own_frames(error)))
        raise SpecError((f"{place} failed:\n{shown}{type(error).__name__}: {error}",)) from error


_NOT_THEIRS: Final = (
    str(Path(__file__).resolve().parents[1]),
    "<frozen ",
    *(sysconfig.get_path(each) for each in ("stdlib", "purelib", "platlib")),
)


def _own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of an error in its author's files: not the import system's, a library's or ours."""
    frames = traceback.extract_tb(error.__traceback__)
    return [each for each in frames if not each.filename.startswith(_NOT_THEIRS)]
